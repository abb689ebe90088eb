// Who writes an EngineReading (shared_counters.h): polls, and the ORCA reports in an endpoint's answers.
#pragma once

#include <optional>
#include <string_view>

#include "contract/units.h"
#include "router/shared_counters.h"
#include "steering/engine_metrics.h"
#include "steering/engine_rate.h"

namespace perigee::router {

// Of one thread at a time. What was read counts for `counts` from when it was taken.
void publish(const EngineLoad& load, const EngineRate& rate, Nanos counts, EngineReading& out);

// A reading was taken just now: what is sent from here on comes on top of it.
inline void mark_sent(EndpointCounters& counters) {
  counters.engine.sent_before.store(counters.tokens_sent.load(std::memory_order_relaxed),
                                    std::memory_order_relaxed);
}

// What reports told of the queue and the KV cache since `load` was taken, while that counts at `now`: into
// it.
void add_reports(const EngineReading& reading, Instant now, std::optional<EngineLoad>& load);

}  // namespace perigee::router
