// The exported histogram of a link: cumulative over the slot's life, at exactly the edges that are exported.
#pragma once

#include <cstddef>

#include "contract/telemetry.h"

namespace perigee {

// Index in LinkSlot::rtt_buckets of the first edge not below `rtt` (edges are inclusive, as `le` says); the
// last index is +Inf.
std::size_t rtt_bucket(Nanos rtt);

// Counts one round trip: its bucket and the sum. `rtt` is not negative.
void record_rtt(telemetry::LinkSlot& slot, Nanos rtt);

}  // namespace perigee
