#include "dataplane/path_times.h"

#include <algorithm>

#include "contract/telemetry_file.h"
#include "dataplane/link_slots.h"

namespace perigee {

namespace {

constexpr unsigned kFractionShift = 4, kTickShift = 20;  // of FlowEntry::since_fraction and FlowTick
constexpr std::uint64_t kClock = (std::uint64_t{1} << (32U + kTickShift)) - 1;  // goes round after 52 days

Nanos time_since_start(const FlowEntry& flow, Instant now) {
  const std::uint64_t start = static_cast<std::uint64_t>(flow.since) << kTickShift |
                              static_cast<std::uint64_t>(flow.since_fraction) << kFractionShift;
  return Nanos(static_cast<std::int64_t>((static_cast<std::uint64_t>(now.ns) - start) & kClock));
}

// One writer; release, so that a reader that sees one of these also sees whose slot it is.
void add(telemetry::Counter& counter, std::uint64_t by) {
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_release);
}

bool same_links(const ServingTable& a, const ServingTable& b) {
  return std::equal(a.table().links.begin(), a.table().links.end(), b.table().links.begin(),
                    b.table().links.end(), same_record);
}

}  // namespace

PathTimes::PathTimes(telemetry::Paths* paths) : paths_(paths) {
  if (paths == nullptr) return;
  held_.resize(paths->slots.size());
  for (std::size_t slot = paths->slots.size(); slot > 0; --slot)
    free_.push_back(static_cast<std::uint16_t>(slot - 1));
}

void PathTimes::adopt(const ServingTable* before, const ServingTable& table, const FlowEnds& ends,
                      Instant now) {
  if (paths_ == nullptr) return;
  if (before == nullptr || !same_links(*before, table)) links_since_ = now;
  std::array<std::uint8_t, kNoLink + 1> now_at;  // by index before; kNotTimed: gone
  now_at.fill(kNotTimed);
  now_at[kNoLink] = kNoLink;
  for (std::size_t link = 0; link < links_.size(); ++link) now_at[link] = still(link, before, table);

  OfLinks none;
  none.fill(kNone);
  slots_.assign(ends.endpoint_places(), none);
  for (std::size_t slot = 0; slot < held_.size(); ++slot) {
    Held& held = held_[slot];
    if (held.endpoint == kNoPlace) continue;
    const KnownEndpoint& known = ends.endpoint(held.endpoint);
    const std::uint8_t link = now_at[held.link];
    const bool same = known.index != table::kNone && known.address == held.address &&
                      known.port == held.port &&
                      known.id.value == paths_->slots[slot].endpoint.load(std::memory_order_relaxed);
    if (!same || link == kNotTimed) {
      take_back(static_cast<std::uint16_t>(slot));
      continue;
    }
    held.link = link;
    slots_[held.endpoint][link] = static_cast<std::uint16_t>(slot);
  }
  links_.clear();
  for (const table::Link& link : table.table().links) links_.emplace_back(LinkId{link.id});
}

// Its index in `table`, if that has the same record.
std::uint8_t PathTimes::still(std::size_t link, const ServingTable* before, const ServingTable& table) const {
  const std::uint32_t index = table.link_index(links_[link]);
  if (before == nullptr || index == table::kNone) return kNotTimed;
  const bool same = same_record(before->table().links[link], table.table().links[index]);
  return same ? static_cast<std::uint8_t>(index) : kNotTimed;
}

void PathTimes::start(FlowEntry& flow, Segment out, Instant now) {
  flow.since = flow_tick(now);
  flow.since_fraction = static_cast<std::uint16_t>(static_cast<std::uint64_t>(now.ns) >> kFractionShift);
  flow.timed_link = out.is_link() ? static_cast<std::uint8_t>(out.index) : kNoLink;
}

void PathTimes::stop(telemetry::FlowTiming timing, const FlowEntry& flow, const FlowEnds& ends,
                     LinkView links, Instant now) {
  const std::uint8_t link = flow.timed_link;
  if (paths_ == nullptr || link > kNoLink) return;
  const Nanos took = time_since_start(flow, now);
  if (now - took <= links_since_) return;  // its number was another link's then
  if (timing == telemetry::FlowTiming::handshake && took >= kLatestAnswer) return;
  if (link != kNoLink && (links.usable() >> link & 1U) == 0) return;
  const KnownEndpoint& endpoint = ends.endpoint(flow.endpoint_hint);
  std::uint16_t& slot = slots_[flow.endpoint_hint][link];
  if (slot == kNone) slot = give(endpoint, {flow.endpoint_hint, link, endpoint.port, endpoint.address, {}});
  if (slot == kNone) return;

  telemetry::FlowTimes& times = paths_->slots[slot].times[static_cast<std::size_t>(timing)];
  Recent& recent = held_[slot].recent[static_cast<std::size_t>(timing)];
  const bool first = times.count.load(std::memory_order_relaxed) == 0;
  add(times.count, 1);
  add(times.sum_ns, static_cast<std::uint64_t>(took.count()));
  constexpr auto kApart = static_cast<FlowTick>(telemetry::kFlowTimesApart.count() >> kTickShift);
  if (!first && flow_tick(now) - recent.last < kApart) return;
  times.recent[recent.next].store(telemetry::recent_time(now, took), std::memory_order_release);
  recent = {flow_tick(now), static_cast<std::uint8_t>((recent.next + 1U) % telemetry::kRecentTimes)};
}

// kNone: of an endpoint that is not in the table any more, or there is no free slot.
std::uint16_t PathTimes::give(const KnownEndpoint& endpoint, const Held& held) {
  if (endpoint.index == table::kNone || free_.empty()) return kNone;
  const std::uint16_t slot = free_.back();
  free_.pop_back();
  held_[slot] = held;
  telemetry::PathSlot& given = paths_->slots[slot];
  const LinkId link = held.link == kNoLink ? LinkId{} : links_[held.link];
  telemetry::give_out(given, endpoint.id, link, given.incarnation.load(std::memory_order_relaxed) + 1);
  const std::uint32_t used = std::max<std::uint32_t>(paths_->used.load(std::memory_order_relaxed), slot + 1U);
  paths_->used.store(used, std::memory_order_release);
  return slot;
}

void PathTimes::take_back(std::uint16_t slot) {
  telemetry::PathSlot& taken = paths_->slots[slot];
  telemetry::give_out(taken, {}, {}, taken.incarnation.load(std::memory_order_relaxed) + 1);
  held_[slot] = {};
  free_.push_back(slot);
}

}  // namespace perigee
