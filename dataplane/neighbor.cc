#include "dataplane/neighbor.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace perigee {

using table::kNone;

namespace {

// Steps of the eviction hand for one new entry, so that a packet's cost stays bounded.
constexpr std::uint32_t kEvictSteps = 256;

Nanos retry_after(std::uint8_t tries) {
  return std::min<Nanos>(NeighborTable::kFirstRetry * (1U << (tries - 1U)), NeighborTable::kLastRetry);
}

// An entry for this address may exist by this table.
bool belongs(const ServingTable& table, const NeighborKey& key) {
  const Segment segment = table.segment(key.port, key.vlan);
  if (segment.none()) return false;
  if (segment.is_link()) {
    const LinkInfo& link = table.link(segment.index);
    return key.address == link.next_hop || key.address == link.peer;
  }
  const InterfaceInfo& interface = table.interface(segment.index);
  return interface.on_link(key.address) || (interface.is_host && table.is_vip(key.address));
}

}  // namespace

NeighborTable::NeighborTable(const NeighborLimits& limits)
    : limits_(limits),
      entries_(limits.entries),
      buckets_(std::bit_ceil(limits.entries), kNone),
      parked_(limits.parked),
      events_(limits.events) {
  pending_.reserve(limits.pending);
  for (std::uint32_t i = 0; i + 1 < limits.entries; ++i) entries_[i].next = i + 1;
  for (std::uint32_t i = 0; i + 1 < limits.parked; ++i) parked_[i].next = i + 1;
}

std::uint32_t& NeighborTable::bucket(const NeighborKey& key) {
  const std::uint64_t tag = static_cast<std::uint64_t>(key.port) << 16U | key.vlan;
  return buckets_[mix(tag << 32U | key.address) & (buckets_.size() - 1)];
}

std::uint32_t NeighborTable::lookup(const NeighborKey& key) {
  std::uint32_t index = bucket(key);
  while (index != kNone && entries_[index].key != key) index = entries_[index].next;
  return index;
}

NeighborTable::SegmentCount& NeighborTable::count_of(const NeighborKey& key) {
  for (SegmentCount& count : counts_) {
    if (count.port == key.port && count.vlan == key.vlan) return count;
  }
  return counts_.emplace_back(SegmentCount{key.port, key.vlan, 0});
}

std::uint32_t NeighborTable::add(const NeighborKey& key, bool permanent) {
  const bool segment_full = !permanent && count_of(key).entries >= limits_.clients_per_segment;
  if ((segment_full || free_entry_ == kNone) && !evict(key, segment_full)) return kNone;
  const std::uint32_t index = free_entry_;
  Entry& entry = entries_[index];
  free_entry_ = entry.next;
  entry = Entry{};
  entry.key = key;
  entry.in_use = true;
  entry.permanent = permanent;
  std::uint32_t& chain = bucket(key);
  entry.next = chain;
  chain = index;
  ++count_of(key).entries;
  ++used_;
  return index;
}

// CLOCK: the first client the hand meets that was not used since it last came by, of this segment or of any;
// else the first it met at all. Entries with parked packets stay.
bool NeighborTable::evict(const NeighborKey& key, bool same_segment) {
  std::uint32_t victim = kNone;
  for (std::uint32_t step = 0; step < std::min(kEvictSteps, limits_.entries); ++step) {
    const std::uint32_t index = hand_;
    hand_ = (hand_ + 1) % limits_.entries;
    Entry& entry = entries_[index];
    if (!entry.in_use || entry.permanent || entry.parked != 0) continue;
    if (same_segment && (entry.key.port != key.port || entry.key.vlan != key.vlan)) continue;
    const bool referenced = std::exchange(entry.referenced, false);
    if (victim == kNone || !referenced) victim = index;
    if (!referenced) break;
  }
  if (victim == kNone) return false;
  remove(victim, [](Handle) {});
  return true;
}

void NeighborTable::remove(std::uint32_t index, const Drop& drop) {
  Entry& entry = entries_[index];
  drop_parked(entry, drop);
  settle(entry);
  std::uint32_t* link = &bucket(entry.key);
  while (*link != index) link = &entries_[*link].next;
  *link = entry.next;
  --count_of(entry.key).entries;
  --used_;
  entry.in_use = false;
  entry.next = std::exchange(free_entry_, index);
}

void NeighborTable::apply(const ServingTable& table, Instant now, const Drop& drop) {
  for (std::uint32_t i = 0; i < limits_.entries; ++i) {
    Entry& entry = entries_[i];
    if (!entry.in_use) continue;
    entry.permanent = false;
    if (std::exchange(entry.pinned, false)) entry.mac = {};  // was told, not learned
    if (!belongs(table, entry.key)) remove(i, drop);
  }
  std::erase_if(counts_, [](const SegmentCount& count) { return count.entries == 0; });
  const table::Table& records = table.table();
  // Room for every segment of this table besides those that still hold entries.
  counts_.reserve(counts_.size() + records.links.size() + records.interfaces.size());
  for (std::uint32_t i = 0; i < records.links.size(); ++i) {
    const LinkInfo& link = table.link(i);
    keep_resolved({link.port, link.vlan, link.next_hop}, link.next_hop_mac, now, drop);
  }
  for (std::uint32_t i = 0; i < records.interfaces.size(); ++i) {
    const InterfaceInfo& interface = table.interface(i);
    if (interface.gateway == 0) continue;
    keep_resolved({interface.port, interface.vlan, interface.gateway}, interface.gateway_mac, now, drop);
  }
}

void NeighborTable::keep_resolved(const NeighborKey& key, const MacAddress& pin, Instant now,
                                  const Drop& drop) {
  std::uint32_t index = lookup(key);
  if (index == kNone) index = add(key, true);
  if (index == kNone) return;  // every entry is a next hop: the limits are far above what a table holds
  Entry& entry = entries_[index];
  entry.permanent = true;
  if (!pin.none()) {
    drop_parked(entry, drop);
    settle(entry);
    entry.pinned = true;
    entry.mac = pin;
    return;
  }
  if (entry.mac.none()) ask(index, now);
}

const MacAddress* NeighborTable::find(const NeighborKey& key, Instant now) {
  const std::uint32_t index = lookup(key);
  if (index == kNone) return nullptr;
  Entry& entry = entries_[index];
  entry.referenced = true;
  if (entry.mac.none() || entry.pinned) return entry.pinned ? &entry.mac : nullptr;
  if (now - std::max(entry.used, entry.confirmed) > kForgetAfter) {
    entry.mac = {};
    return nullptr;
  }
  entry.used = now;
  if (now - entry.confirmed > kRefreshAfter) ask(index, now);
  return &entry.mac;
}

bool NeighborTable::park(const NeighborKey& key, Handle packet, Instant now) {
  if (free_parked_ == kNone) return false;
  std::uint32_t index = lookup(key);
  if (index == kNone) {
    if (pending_.size() >= limits_.pending) return false;
    index = add(key, false);
    if (index == kNone) return false;
  }
  Entry& entry = entries_[index];
  if (entry.parked >= limits_.parked_per_entry || !ask(index, now)) return false;
  const std::uint32_t slot = free_parked_;
  free_parked_ = parked_[slot].next;
  parked_[slot] = {packet, kNone};
  if (entry.parked == 0) {
    entry.parked_first = slot;
    entry.give_up_at = now + kParkedFor;
    due(entry.give_up_at);
  } else {
    parked_[entry.parked_last].next = slot;
  }
  entry.parked_last = slot;
  ++entry.parked;
  return true;
}

bool NeighborTable::on_reply(const NeighborKey& key, const MacAddress& mac, Instant now,
                             const Release& release) {
  const std::uint32_t index = lookup(key);
  if (index == kNone) return false;
  Entry& entry = entries_[index];
  // Only an answer to a question of ours teaches anything; the first answer closes the question.
  if (entry.pinned || !entry.pending() || entry.tries == 0) return false;
  const MacAddress before = std::exchange(entry.mac, mac);
  if (!before.none() && before != mac) {
    report(NeighborEvent::Kind::changed, entry, before, mac);
  } else if (entry.permanent && (before.none() || entry.reported)) {
    report(NeighborEvent::Kind::learned, entry, before, mac);
  }
  entry.reported = false;
  entry.confirmed = entry.used = now;
  settle(entry);
  while (entry.parked != 0) release(unpark(entry), mac);
  return true;
}

void NeighborTable::on_hint(const NeighborKey& key, const MacAddress& mac, Instant now) {
  const std::uint32_t index = lookup(key);
  if (index == kNone || entries_[index].mac == mac) return;
  Entry& entry = entries_[index];
  if (entry.pinned) {
    if (!std::exchange(entry.reported, true)) {
      report(NeighborEvent::Kind::pin_differs, entry, entry.mac, mac);
    }
    return;
  }
  // Not more often than the first retry, or hints would be a lever to make us broadcast.
  if (now - entry.asked < kFirstRetry || !ask(index, now)) return;
  entry.ask_at = now;
  due(now);
}

// Starts asking, unless that is under way. False: too many are being asked for.
bool NeighborTable::ask(std::uint32_t index, Instant now) {
  Entry& entry = entries_[index];
  if (entry.pending()) return true;
  if (pending_.size() >= limits_.pending && !entry.permanent) return false;
  entry.pending_at = static_cast<std::uint32_t>(pending_.size());
  pending_.push_back(index);
  entry.tries = 0;
  entry.ask_at = now;
  due(now);
  return true;
}

void NeighborTable::settle(Entry& entry) {
  if (!entry.pending()) return;
  const std::uint32_t last = pending_.back();
  pending_[entry.pending_at] = last;
  entries_[last].pending_at = entry.pending_at;
  pending_.pop_back();
  entry.pending_at = kNone;
  entry.tries = 0;
}

bool NeighborTable::try_again(std::uint32_t index, Instant now, std::uint32_t& budget,
                              const SendRequest& send, const Drop& drop) {
  Entry& entry = entries_[index];
  if (now < entry.ask_at || budget == 0) return true;
  if (entry.tries >= kTries) {
    if (!entry.permanent) {
      remove(index, drop);
      return false;
    }
    if (!std::exchange(entry.reported, true)) {
      report(NeighborEvent::Kind::unreachable, entry, entry.mac, {});
    }
  }
  --budget;
  send(entry.key);
  entry.asked = now;
  entry.tries = std::min<std::uint8_t>(kTries + 1, entry.tries + 1);
  entry.ask_at = now + retry_after(entry.tries);
  return true;
}

void NeighborTable::run(Instant now, const SendRequest& send, const Drop& drop) {
  next_due_ = {};
  std::uint32_t budget = limits_.requests_per_run;
  for (std::size_t i = 0; i < pending_.size();) {
    Entry& entry = entries_[pending_[i]];
    if (entry.parked != 0 && now >= entry.give_up_at) drop_parked(entry, drop);
    if (!try_again(pending_[i], now, budget, send, drop)) continue;  // another took its place
    due(entry.ask_at);
    if (entry.parked != 0) due(entry.give_up_at);
    ++i;
  }
}

void NeighborTable::due(Instant at) {
  if (next_due_.never() || at < next_due_) next_due_ = at;
}

NeighborTable::Handle NeighborTable::unpark(Entry& entry) {
  const std::uint32_t slot = entry.parked_first;
  entry.parked_first = parked_[slot].next;
  --entry.parked;
  parked_[slot].next = std::exchange(free_parked_, slot);
  return parked_[slot].handle;
}

void NeighborTable::drop_parked(Entry& entry, const Drop& drop) {
  while (entry.parked != 0) drop(unpark(entry));
}

void NeighborTable::drop_all(const Drop& drop) {
  for (Entry& entry : entries_) drop_parked(entry, drop);
}

std::optional<NeighborEvent> NeighborTable::take_event() {
  if (events_count_ == 0) return std::nullopt;
  const NeighborEvent event = events_[events_first_];
  events_first_ = (events_first_ + 1) % limits_.events;
  --events_count_;
  return event;
}

void NeighborTable::report(NeighborEvent::Kind kind, const Entry& entry, const MacAddress& before,
                           const MacAddress& now) {
  if (events_count_ == limits_.events) {
    ++events_lost_;
    return;
  }
  events_[(events_first_ + events_count_) % limits_.events] = {kind, entry.key, before, now};
  ++events_count_;
}

}  // namespace perigee
