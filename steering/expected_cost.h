// What a request is expected to cost at an endpoint, of what is known about both, and which requests teach
// what service takes there. The router and the simulator ask the same.
#pragma once

#include <cstdint>
#include <optional>

#include "steering/ranking.h"
#include "steering/request_cost.h"
#include "steering/service_estimate.h"

namespace perigee {

struct RequestSeen {
  std::uint64_t octets = 0;   // of its body
  double tokens = 0;          // of its prompt, as estimated
  ConnectionSeen connection;  // that it would go out on
};

struct EndpointSeen {
  Cost path;
  ServiceTerms service;
  QueueSeen queue;
  std::optional<double> prefill_rate;  // tokens a second, as its engine shows; absent: what `service` says
};

// Without a penalty; without the network when no round trip is known.
[[nodiscard]] CostTerms expected_cost(const RequestSeen& request, const EndpointSeen& endpoint);

// What service took of a streamed request whose first event came so long after it was sent. Absent: it was
// expected to wait as well, or nothing is known of the way.
[[nodiscard]] std::optional<Nanos> service_seen(const CostTerms& expected, Nanos first_event);

}  // namespace perigee
