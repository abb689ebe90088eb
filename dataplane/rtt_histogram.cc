#include "dataplane/rtt_histogram.h"

#include <algorithm>

namespace perigee {

namespace {

constexpr auto kEdgesNs = [] {
  std::array<std::int64_t, telemetry::kRttEdgesSeconds.size()> edges{};
  for (std::size_t i = 0; i < edges.size(); ++i) {
    // Edges are whole microseconds; in binary 0.0003 s is a little off, so round what the product cuts.
    edges[i] = static_cast<std::int64_t>((telemetry::kRttEdgesSeconds[i] + 0.5e-9) * 1e9);
  }
  return edges;
}();

}  // namespace

std::size_t rtt_bucket(Nanos rtt) {
  return static_cast<std::size_t>(std::lower_bound(kEdgesNs.begin(), kEdgesNs.end(), rtt.count()) -
                                  kEdgesNs.begin());
}

void record_rtt(telemetry::LinkSlot& slot, Nanos rtt) {
  slot.rtt_buckets[rtt_bucket(rtt)].fetch_add(1, std::memory_order_relaxed);
  slot.rtt_sum_ns.fetch_add(static_cast<std::uint64_t>(rtt.count()), std::memory_order_relaxed);
}

}  // namespace perigee
