// (Policy, Route) to the forwarding table. Pure and deterministic: equal input gives equal octets, so the
// control loop publishes only what changed. What compile() makes passes table::validate().
#pragma once

#include "contract/table.h"
#include "steering/policy.h"
#include "steering/route.h"

namespace perigee {

// Paths that are excluded only because their link is down stay in the table behind all others: the data plane
// skips them by its own probes, and may use them when they come back while there is no gateway.
[[nodiscard]] table::Table compile(const Policy& policy, const Route& route, const table::Identity& identity);

// With nothing measured: declared cost, then the policy's order. For a PoP without a gateway.
[[nodiscard]] table::Table compile(const Policy& policy, const table::Identity& identity);

}  // namespace perigee
