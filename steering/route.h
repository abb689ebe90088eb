// THE DECISION: route(Policy, Conditions, previous Route, now) -> Route, pure, once per tick. All memory of
// steering (incumbents, dwell, hold, what was last known) lives in the Route and nowhere else. Everything in
// it is named by id, so a Route outlives a change of policy.
//
// Paths are ranked, not endpoints: a path is a PoP reached over a link (or locally). A service's tiers follow
// from its paths; each PoP has its own order of links by the same law (ranking.h).
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "contract/table.h"
#include "contract/units.h"
#include "steering/conditions.h"
#include "steering/policy.h"
#include "steering/ranking.h"

namespace perigee {

struct Candidate {
  EndpointId endpoint;
  LinkId link;  // none: in this PoP
  std::uint32_t weight = 0;
  friend bool operator==(const Candidate&, const Candidate&) = default;
};

// New flows are spread over a tier's candidates by weight. An endpoint is at most once in a tier.
using Tier = std::vector<Candidate>;

enum class Exclusion : std::uint8_t {
  drained,          // `drain: true`
  maintenance,      // of it, its PoP, or the path's link
  pop_not_allowed,  // by the service's `pops`
  not_pinned,       // while the service is pinned to others
  unhealthy,        // by the health checks
  full,             // near its capacity, and another of the service is not
  cost_tier,        // one of a lower cost tier is usable
  link_down,        // the path's link
  over_max_rtt,     // measured + declared beyond the service's limit
  beyond_limit,     // more tiers than a table takes
  model_absent      // of a routed service's model: the endpoint does not list it
};
[[nodiscard]] const char* name_of(Exclusion exclusion);  // "drained", ...

// A candidate that no tier has, and the first reason why.
struct Excluded {
  EndpointId endpoint;
  LinkId link;
  Exclusion reason = Exclusion::drained;
  friend bool operator==(const Excluded&, const Excluded&) = default;
};

enum class SwitchReason : std::uint8_t { initial, rtt, failure, recovery, policy, capacity, count_ };
[[nodiscard]] const char* name_of(SwitchReason reason);

// The first tier of a service became another set of paths in this evaluation. Absent `from`: there was none;
// absent `to`: nothing is left.
struct Switch {
  ServiceId service;             // or the pool's
  std::optional<Path> from, to;  // the best path of the tier
  SwitchReason reason = SwitchReason::initial;
  friend bool operator==(const Switch&, const Switch&) = default;
};

struct ServiceRoute {
  ServiceId id;
  std::vector<Tier> tiers;         // empty: new flows are refused
  std::vector<Excluded> excluded;  // in policy order
  Ranking ranking;                 // memory and cost terms of its paths
  double healthy = 1;  // share of what is as near as the first tier or nearer; 1 too when there is nothing
  bool panic = false;  // it is below the policy's `panic`
  friend bool operator==(const ServiceRoute&, const ServiceRoute&) = default;
};

// A link beside the one in use (equal_links.h).
struct EqualLink {
  LinkId link;
  std::uint32_t dwell = 0;  // evaluations in a row that would change the following
  bool shares = false;      // it is as good, and takes flows too
  friend bool operator==(const EqualLink&, const EqualLink&) = default;
};

struct PopRoute {
  PopId id;
  Ranking ranking;               // of the links that lead there
  std::vector<EqualLink> equal;  // those but the first of the ranking; none where flows are not spread
  friend bool operator==(const PopRoute&, const PopRoute&) = default;
};

// The queue of an endpoint's engine (room.h). Requests are not kept off by it: each is priced by its own
// wait.
struct EngineQueue {
  bool stays = false;          // forwarded flows go to others, while there are any
  std::uint32_t share = 1000;  // thousandths of its weight for them
  std::uint32_t readings = 0;  // with a queue, less those without one; at most `dwell`
  Instant read_at;             // the load that was counted last
  Instant gone_at;             // when it was last over; never: it was not
  friend bool operator==(const EngineQueue&, const EngineQueue&) = default;
};

// What holds for an endpoint in every service.
struct EndpointRoute {
  EndpointId id;
  bool accepts_new = true;         // for the table: not drained, not in maintenance, and not unhealthy
  bool healthy = true;             // the last verdict that counted
  bool maintenance = false;        // of it or its PoP
  bool dead = false;               // and its verdict is that connecting fails
  bool reset_established = false;  // for the table: dead, or its drain is over
  bool full = false;               // it has flows up to the policy's share of its capacity
  bool halved = false;             // it was full, and takes half of its weight until it has more room
  std::uint32_t share = 1000;      // thousandths of its weight, on the way to what the two say
  EngineQueue queue;
  Instant draining_since;   // never: not draining
  Instant reachable_since;  // with a living data plane and a usable path; never: it is not
  friend bool operator==(const EndpointRoute&, const EndpointRoute&) = default;
};

// What is in maintenance, as of the last evaluation.
struct UnderMaintenance {
  std::string what, name;  // "pop", "link" or "endpoint"
  WallTime until;
  std::string note;
  friend bool operator==(const UnderMaintenance&, const UnderMaintenance&) = default;
};
// Everything failed at once, so it is we who stalled: what is measured then decides nothing.
enum class Frozen : std::uint8_t {
  no,
  checks,    // every health check fails: their verdicts do not count
  dataplane  // its poll loop stalled: what its probes measured does not count
};
[[nodiscard]] const char* name_of(Frozen frozen);

struct Route {
  std::vector<ServiceRoute> services;    // those that are forwarded, in policy order
  std::vector<ServiceRoute> pools;       // of routed services: each model's, then its canary's
  std::vector<PopRoute> pops;            // other PoPs, in policy order
  std::vector<EndpointRoute> endpoints;  // in policy order
  std::vector<Switch> switches;          // of the last evaluation only
  std::vector<UnderMaintenance> maintenance;
  bool dataplane_seen = false;  // alive at least once
  Frozen frozen = Frozen::no;

  [[nodiscard]] const ServiceRoute* service(ServiceId id) const;
  [[nodiscard]] const ServiceRoute* pool(ServiceId id) const;
  [[nodiscard]] const PopRoute* pop(PopId id) const;
  [[nodiscard]] const EndpointRoute* endpoint(EndpointId id) const;
  friend bool operator==(const Route&, const Route&) = default;
};

// - Hard constraints first: drained, in maintenance, PoPs and pins of the service, unhealthy, link down, max
//   RTT. They act at once. Latency never decides liveness, and unknown health or RTT excludes nothing.
// - Of what is left, the least cost tier with anything usable; what only came back waits for `hold` first.
// - A verdict of the health checks counts only once the endpoint could be reached for as long as it takes to
//   form one (data plane alive, a path up); until then the last verdict that counted stays. So neither a dead
//   data plane nor a dead link resets the flows of an endpoint that lives.
// - What is all of ours is no news of others (stall.h).
// - Then the paths are ranked (ranking.h), and made tiers of (placement.h).
[[nodiscard]] Route route(const Policy& policy, const Conditions& conditions, const Route& previous,
                          Instant now);

// The Route that `table` was compiled from, as far as the table tells, so that a restarted gateway moves no
// traffic: same tiers, same links, settled, on hold from `now`. What the policy no longer has is left out.
// `table` must have passed table::validate().
[[nodiscard]] Route rebuild(const Policy& policy, const table::Table& table, Instant now);

}  // namespace perigee
