#include "steering/request_cost.h"

#include <algorithm>

namespace perigee {

std::uint32_t round_trips(const ConnectionSeen& connection, std::uint64_t request_octets) {
  std::uint32_t rounds = 1;
  if (!connection.open) rounds += connection.tls ? 2U : 1U;
  std::uint64_t window = std::max<std::uint64_t>(connection.window, 1460);
  for (std::uint64_t sent = window; sent < request_octets; sent += window) {
    window *= 2;
    ++rounds;
  }
  return rounds;
}

Nanos expected_wait(const QueueSeen& seen, double tokens_per_second) {
  if (tokens_per_second <= 0) return Nanos(0);
  double tokens = seen.outstanding;
  if (seen.waiting) {
    const double worked_off = tokens_per_second * static_cast<double>(seen.age.count()) / 1e9;
    const double polled = std::max(*seen.waiting * seen.mean_prompt - worked_off, 0.0) +
                          std::min(seen.sent_since, seen.outstanding);
    tokens = std::max(polled, seen.outstanding_streamed);
  }
  return Nanos(static_cast<std::int64_t>(std::min(tokens / tokens_per_second, 3600.0) * 1e9));
}

}  // namespace perigee
