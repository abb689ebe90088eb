// How much an endpoint takes: load decides where flows go only as room that is left, as half of it, or as
// none.
#pragma once

#include <cstdint>
#include <optional>

#include "contract/units.h"
#include "steering/engine_metrics.h"
#include "steering/policy.h"
#include "steering/route.h"

namespace perigee {

// By its flows and its declared capacity; `flows`: absent where nobody counts them.
void judge_flows(EndpointRoute& next, const EndpointRoute& old, const Policy::Endpoint& endpoint,
                 std::optional<std::uint64_t> flows, const Policy::Steering& law);

// By its engine's queue, which is its capacity as it shows itself. A queue stays when it is a quarter of what
// runs, or the KV cache is full, in more readings than not: `dwell` of them ahead. Then the endpoint is full
// until as many were without any; after that it takes half for the hold, and what it takes grows as after any
// other fullness. Unknown (not asked, or stale) is no queue. `load`: as of this evaluation.
[[nodiscard]] EngineQueue judge_queue(const EngineQueue& old, const std::optional<EngineLoad>& load,
                                      const Policy::Steering& law, Instant now);

}  // namespace perigee
