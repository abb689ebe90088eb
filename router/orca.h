// The load report that an endpoint puts into the head of an answer when the request asked for it (ORCA, Open
// Request Cost Aggregation, of xDS): `endpoint-load-metrics: TEXT named_metrics.num_requests_waiting=3, ...`
// or `JSON {"named_metrics": {...}}`. vLLM and Triton know it. It is between the router and its endpoints:
// neither field comes from a client or goes to one (header_rules.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "contract/units.h"
#include "router/shared_counters.h"

namespace perigee::router {

inline constexpr std::string_view kOrcaRequestField = "endpoint-load-metrics-format: text\r\n";
inline constexpr std::string_view kOrcaAnswerName = "endpoint-load-metrics";

struct OrcaReport {
  std::optional<std::uint32_t> waiting;  // named_metrics.num_requests_waiting
  std::optional<double> kv_use;  // kv_cache_usage_perc, or kv_cache_utilization as Triton has it; 0..1
  friend bool operator==(const OrcaReport&, const OrcaReport&) = default;
};

// Of the field's value; what is not understood is unknown.
[[nodiscard]] OrcaReport parse_orca(std::string_view value);

// The report in an endpoint's answer, if there is one: requests are decided by it from here on.
void take_report(std::optional<std::string_view> field, Instant now, Nanos counts,
                 EndpointCounters& counters);

// What it leaves out stays as it was said before, while that counts. Of any thread.
void publish(const OrcaReport& report, Instant now, Nanos counts, EngineReading& out);

}  // namespace perigee::router
