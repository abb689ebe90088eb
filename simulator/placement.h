// The slow loop of one gateway: probes -> windows -> Conditions -> route(), the real one, each tick.
#pragma once

#include <cstdint>
#include <vector>

#include "simulator/dispatcher.h"
#include "simulator/link_process.h"
#include "simulator/scenario.h"

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

class Placement {
 public:
  // `links`: to each PoP; they outlive this.
  Placement(const Scenario& scenario, std::uint16_t gateway, const std::vector<LinkProcess>& links,
            std::uint64_t seed);

  // One evaluation. Writes what follows from it into `known`. True: the tiers or a weight changed.
  bool tick(Instant now, Knowledge& known);

  [[nodiscard]] const Route& route() const { return route_; }
  [[nodiscard]] const Policy& policy() const { return policy_; }
  // Evaluations that changed who is in the first tier, or the order in it, at or after kCountedFrom.
  [[nodiscard]] std::uint32_t first_tier_changes() const { return changes_; }

 private:
  void tell(Knowledge& known) const;

  Policy policy_;
  ServiceId pool_;
  Conditions conditions_;
  Route route_;
  std::vector<ProbedLink> probed_;
  std::uint32_t changes_ = 0;
};

// The policy of `gateway`: one link to each PoP, one routed service with one model at every engine.
[[nodiscard]] Policy policy_of(const Scenario& scenario, std::uint16_t gateway);

}  // namespace perigee::simulator
