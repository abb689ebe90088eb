// The slow loop of one gateway: probes -> windows -> Conditions -> route(), the real one, each tick.
#pragma once

#include <cstdint>
#include <vector>

#include "simulator/dispatcher.h"
#include "simulator/link_process.h"
#include "simulator/scenario.h"
#include "steering/route.h"

namespace perigee::simulator {

inline constexpr Nanos kProbeInterval =
    std::chrono::milliseconds(20);  // 4 source ports, 100 ms each, and some

// Probes of one link: the window of the last ten seconds, and whether the link is up.
class ProbedLink {
 public:
  ProbedLink(const LinkProcess& link, Nanos window, std::uint64_t seed);

  // Takes up what came back until `now`.
  void update(Instant now);
  [[nodiscard]] Conditions::Link read(Instant now) const;

 private:
  void take(Instant sent);

  const LinkProcess* link_;
  std::uint64_t seed_;
  std::size_t capacity_;            // probes in the window
  Instant next_ = kStart;           // probe to be sent
  std::vector<std::int64_t> ring_;  // round trips in order of time, kLost for none
  std::size_t oldest_ = 0;
  std::vector<std::int64_t> sorted_;  // those that came back
  std::uint32_t lost_in_a_row_ = 0, good_in_a_row_ = 0;
  bool down_ = false;
};

// What one gateway's loop decided in the course of a run. No rule has a part in it, so it is found once for
// all of them.
struct PlacementLog {
  Instant first_tick;
  std::vector<Instant> at;               // ticks that changed something, in order of time
  std::vector<Placed> placed;            // after each of them, of all endpoints one after the other
  std::uint32_t first_tier_changes = 0;  // of who is in the first tier or in which order, once it counts
};
[[nodiscard]] PlacementLog place(const Scenario& scenario, std::uint16_t gateway,
                                 const std::vector<LinkProcess>& links, Instant until, std::uint64_t seed);

// The policy of `gateway`: one link to each PoP, one routed service with one model at every engine.
[[nodiscard]] Policy policy_of(const Scenario& scenario, std::uint16_t gateway);

}  // namespace perigee::simulator
