#include "dataplane/flow_table.h"

namespace perigee {

namespace {

bool may_be_flow(const FlowEntry& entry) {
  const FlowPhase phase = entry.phase.load(std::memory_order_acquire);
  return phase != FlowPhase::free && phase < FlowPhase::count_ && entry.service != 0 && entry.endpoint != 0;
}

}  // namespace

std::uint32_t FlowTable::slots_for(std::uint32_t capacity) {
  const std::uint32_t wanted = capacity + capacity / 7 + 1;
  return (wanted + kGroup - 1) / kGroup * kGroup;
}

FlowTable::FlowTable(std::span<FlowEntry> entries, std::uint32_t capacity, const HashSeed& seed)
    : entries_(entries),
      capacity_(capacity),
      groups_(static_cast<std::uint32_t>(entries.size() / kGroup)),
      seed_(seed),
      tags_(entries.size()),
      went_past_(groups_) {
  rebuild();
}

void FlowTable::rebuild() {
  for (std::uint32_t slot = 0; slot < entries_.size(); ++slot) {
    FlowEntry& entry = entries_[slot];
    if (!may_be_flow(entry)) {
      entry.phase.store(FlowPhase::free, std::memory_order_relaxed);
      continue;
    }
    const std::uint64_t hash = FlowKey::of_entry(entry).hash(seed_);
    tags_[slot] = tag_of(hash);
    for (std::uint32_t group = home(hash); group != slot / kGroup; group = after(group)) ++went_past_[group];
    ++size_;
  }
}

std::uint32_t FlowTable::used(std::uint32_t group) const { return ~match(group, 0) & 0xffffU; }

std::uint32_t FlowTable::find(std::uint64_t hash, const FlowKey& key) const {
  const std::uint8_t tag = tag_of(hash);
  std::uint32_t group = home(hash);
  for (std::uint32_t seen = 0; seen < groups_; ++seen) {
    for (std::uint32_t mask = match(group, tag); mask != 0; mask &= mask - 1) {
      const std::uint32_t slot = group * kGroup + static_cast<std::uint32_t>(std::countr_zero(mask));
      if (key.of(entries_[slot])) return slot;
    }
    if (went_past_[group] == 0) [[likely]]
      return kNoSlot;
    group = after(group);
  }
  return kNoSlot;
}

std::uint32_t FlowTable::reserve(std::uint64_t hash) {
  if (full()) return kNoSlot;
  std::uint32_t group = home(hash);
  std::uint32_t free = match(group, 0);
  for (; free == 0; free = match(group, 0)) {  // ends: not full, so some group has room
    ++went_past_[group];
    group = after(group);
  }
  const std::uint32_t slot = group * kGroup + static_cast<std::uint32_t>(std::countr_zero(free));
  tags_[slot] = tag_of(hash);
  ++size_;
  return slot;
}

void FlowTable::erase(std::uint32_t slot) {
  FlowEntry& entry = entries_[slot];
  const std::uint64_t hash = FlowKey::of_entry(entry).hash(seed_);
  entry.phase.store(FlowPhase::free, std::memory_order_release);
  tags_[slot] = 0;
  for (std::uint32_t group = home(hash); group != slot / kGroup; group = after(group)) --went_past_[group];
  --size_;
}

}  // namespace perigee
