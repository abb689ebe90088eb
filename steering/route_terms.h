// The inputs of the ranking: what each path costs and whether it may be used, by the hard constraints.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "steering/conditions.h"
#include "steering/policy.h"
#include "steering/ranking.h"
#include "steering/route.h"

namespace perigee {

// A way to a PoP: a link and the declared RTT beyond it, or this PoP itself.
struct Way {
  std::optional<std::size_t> link;  // index into Policy::links; absent: local
  Nanos declared{0};
};

// All ways to the PoP, in policy order.
[[nodiscard]] std::vector<Way> ways_to(const Policy& policy, std::size_t pop);

[[nodiscard]] Path path_of(const Policy& policy, std::size_t pop, const Way& way);

// Cost without a measurement: what the operator said.
[[nodiscard]] Cost fixed_cost(const Policy& policy, const Way& way);

// Cost by the window, where that may decide: data plane alive, link up or degraded, window with enough
// samples and not older than three windows.
[[nodiscard]] Cost cost_of(const Policy& policy, const Conditions& conditions, const Way& way, Instant now);

// The same for requests, which go over kernel sockets: while no data plane is alive, they are priced by the
// least round trip of this host's connections to the endpoints of the PoP, whatever way the kernel has for
// them.
[[nodiscard]] Cost request_cost(const Policy& policy, const Conditions& conditions, std::size_t pop,
                                const Way& way, Instant now);

// The least round trip of connections to endpoints of the PoP; absent: none is known.
[[nodiscard]] std::optional<Nanos> connection_rtt(const Policy& policy, const Conditions& conditions,
                                                  std::size_t pop);
// Two measurements of one way that cannot both be right: they differ by more than the larger of 1 ms and 20
// %.
[[nodiscard]] bool disagree(Nanos probes, Nanos connections);

// Whether the two witnesses of a link do, its probes and the handshakes of forwarded connections over it;
// absent: one of them has too few samples, or may not decide (see cost_of). No decision follows from it.
[[nodiscard]] std::optional<bool> witnesses_disagree(const Policy& policy, const Conditions& conditions,
                                                     std::size_t link, Instant now);

[[nodiscard]] bool link_is_down(const Conditions& conditions, const Way& way);
// Its link, or the PoP at that link's other end.
[[nodiscard]] bool in_maintenance(const Policy& policy, const Conditions& conditions, const Way& way);

// The PoPs of these endpoints, in the order in which they first come.
[[nodiscard]] std::vector<std::size_t> pops_of(const Policy& policy,
                                               const std::vector<std::size_t>& endpoints);

// With a living data plane, and a way to its PoP that is not down.
[[nodiscard]] bool reachable(const Policy& policy, const Conditions& conditions,
                             const Policy::Endpoint& endpoint);

// What verdicts of the health checks are worth.
struct Trust {
  bool dataplane_seen = false;  // they count only while it is there
  bool frozen = false;          // all fail, so none counts, and afterwards each must form anew
};

// The state of an endpoint now, from its state before (EndpointRoute{} when there is none).
[[nodiscard]] EndpointRoute judge_endpoint(const Policy& policy, const Conditions& conditions,
                                           std::size_t index, const EndpointRoute& old, Trust trust,
                                           Instant now);

// Why an endpoint takes no new flows of any service, if so.
[[nodiscard]] std::optional<Exclusion> exclusion_of(const Policy::Endpoint& endpoint,
                                                    const EndpointRoute& state);

// A pool of a routed service as its requests find it. They leave through the host port, so their link is the
// one that transit uses for the endpoint's PoP, whatever link a candidate names: each endpoint is there once,
// in its first tier or with its first exclusion, over that link. Tiers left empty are gone.
[[nodiscard]] ServiceRoute of_requests(const Policy& policy, const Route& route, const ServiceRoute& pool);

}  // namespace perigee
