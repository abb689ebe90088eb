// Of endpoints: what their engines say, and what forwarded connections met at them (metrics.h).
#pragma once

#include <prometheus/metric_family.h>

#include <vector>

#include "contract/units.h"
#include "gateway/snapshot.h"

namespace perigee::gateway {

void add_loads(const Snapshot& snapshot, Instant now, std::vector<prometheus::MetricFamily>& families);
void add_paths(const Snapshot& snapshot, std::vector<prometheus::MetricFamily>& families);

}  // namespace perigee::gateway
