// How long forwarded TCP connections take to be answered, by endpoint and the link they leave over: a second
// witness beside the probes, of what the traffic itself meets. Times are those of the packets' arrival here.
//
// The clock of a flow is in its own entry (since, since_fraction, timed_link): it starts with the SYN, and
// anew with the client's first data. No time is taken of
//   a SYN that was sent again, or answered so late that it may have been (which answer is of which SYN? Karn)
//   a flow whose link went down or out of the table since the clock started
// A time belongs to the link that the client's segment left over. The answer may come back over another: the
// other PoP decides that, and what it makes of the link is what the traffic has of it.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "contract/telemetry.h"
#include "contract/units.h"
#include "dataplane/flow_ends.h"
#include "dataplane/flow_table.h"
#include "dataplane/link_view.h"
#include "dataplane/serving_table.h"

namespace perigee {

// RFC 6298 section 2.1: what is not answered within the least first timeout may be sent again, also by the
// endpoint, and the one of both that got lost may never have come here.
inline constexpr Nanos kLatestAnswer = std::chrono::seconds(1);

class PathTimes {
 public:
  // Slots are given out here, to pairs that have a time, until there are no more. Null: nothing is kept.
  explicit PathTimes(telemetry::Paths* paths);

  // The endpoints of `table` are in their places. Pairs of a link or endpoint that it does not have as
  // `before` (null: none) had it lose their slot. Allocates; nothing else here does.
  void adopt(const ServingTable* before, const ServingTable& table, const FlowEnds& ends, Instant now);

  // A segment leaves by `out` whose answer is to be timed.
  static void start(FlowEntry& flow, Segment out, Instant now);
  static void never(FlowEntry& flow) { flow.timed_link = kNotTimed; }
  // The answer is here.
  void stop(telemetry::FlowTiming timing, const FlowEntry& flow, const FlowEnds& ends, LinkView links,
            Instant now);

 private:
  static constexpr std::uint8_t kNoLink =
      table::kMaxLinks;  // below kNotTimed; FlowEntry::timed_link: in this PoP
  static constexpr std::uint16_t kNone = 0xffff;
  using OfLinks = std::array<std::uint16_t, kNoLink + 1>;  // places in paths_, by link
  struct Recent {
    FlowTick last = 0;
    std::uint8_t next = 0;
  };
  struct Held {  // a slot that is in use
    Place endpoint = kNoPlace;
    std::uint8_t link = kNoLink;
    std::uint16_t port = 0;
    std::uint32_t address = 0;
    std::array<Recent, static_cast<std::size_t>(telemetry::FlowTiming::count_)> recent{};
  };
  std::uint16_t give(const KnownEndpoint& endpoint, const Held& held);
  void take_back(std::uint16_t slot);
  [[nodiscard]] std::uint8_t still(std::size_t link, const ServingTable* before,
                                   const ServingTable& table) const;

  telemetry::Paths* paths_;
  std::vector<Held> held_;           // by slot
  std::vector<std::uint16_t> free_;  // slots, the next one last
  std::vector<OfLinks> slots_;       // by endpoint place
  std::vector<LinkId> links_;        // of the table in force
  Instant links_since_;              // they have had their indexes and records
};

}  // namespace perigee
