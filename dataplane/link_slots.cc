#include "dataplane/link_slots.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "contract/telemetry_file.h"

namespace perigee {

namespace {

void reset(telemetry::LinkSlot& slot, Instant now) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  slot.state.store(static_cast<std::uint32_t>(telemetry::LinkState::unknown), kRelaxed);
  slot.state_since_ns.store(now.ns, kRelaxed);
  slot.last_sample_ns.store(0, kRelaxed);
  for (telemetry::Counter* counter : {&slot.sent, &slot.received, &slot.lost, &slot.late, &slot.duplicate,
                                      &slot.reordered, &slot.reflected, &slot.transitions, &slot.rtt_sum_ns,
                                      &slot.tx_packets, &slot.tx_octets, &slot.rx_packets, &slot.rx_octets}) {
    counter->store(0, kRelaxed);
  }
  for (telemetry::Counter& counter : slot.invalid) counter.store(0, kRelaxed);
  for (telemetry::Counter& counter : slot.rtt_buckets) counter.store(0, kRelaxed);
  telemetry::store_window(slot, {});
}

}  // namespace

bool same_record(const table::Link& a, const table::Link& b) {
  static_assert(std::has_unique_object_representations_v<table::Link>);
  return std::memcmp(&a, &b, sizeof a) == 0;
}

void LinkSlots::give_out(std::uint32_t slot, std::uint32_t id, Instant now) {
  telemetry::LinkSlot& given = layout_.links[slot];
  // Free while it is reset, so that no reader takes a half-reset slot for either link.
  given.id.store(0, std::memory_order_release);
  reset(given, now);
  const std::uint64_t old = given.incarnation.load(std::memory_order_relaxed);
  std::uint64_t incarnation = random_();
  while (incarnation == old || incarnation == 0) incarnation = random_();
  given.incarnation.store(incarnation, std::memory_order_release);
  given.id.store(id, std::memory_order_release);
}

std::vector<std::uint32_t> LinkSlots::adopt(const std::vector<table::Link>& links, Instant now) {
  std::vector<std::uint32_t> origin(links.size(), table::kNone);
  std::vector<std::uint32_t> slots(links.size(), table::kNone);
  for (std::uint32_t old = 0; old < links_.size(); ++old) {
    const auto same_id = [&](const table::Link& link) { return link.id == links_[old].id; };
    const auto found = std::find_if(links.begin(), links.end(), same_id);
    if (found == links.end()) {
      layout_.links[slots_[old]].id.store(0, std::memory_order_release);
      continue;
    }
    const auto index = static_cast<std::size_t>(found - links.begin());
    slots[index] = slots_[old];
    if (same_record(*found, links_[old])) origin[index] = old;
  }
  std::uint32_t free = 0;
  for (std::size_t index = 0; index < links.size(); ++index) {
    if (origin[index] != table::kNone) continue;
    if (slots[index] == table::kNone) {
      // There are as many slots as a table may have links, so one is free.
      while (layout_.links[free].id.load(std::memory_order_relaxed) != 0) ++free;
      slots[index] = free;
    }
    give_out(slots[index], links[index].id, now);
  }
  links_ = links;
  slots_ = std::move(slots);
  return origin;
}

}  // namespace perigee
