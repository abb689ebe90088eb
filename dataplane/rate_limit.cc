#include "dataplane/rate_limit.h"

#include <algorithm>

namespace perigee {

RateLimit::RateLimit(std::uint32_t rate, std::uint32_t burst) {
  if (rate == 0) return;
  per_token_ = std::max(Nanos(std::chrono::seconds(1)) / rate, Nanos(1));
  tolerance_ = per_token_ * (std::max(burst, 1U) - 1);
}

bool RateLimit::take(Instant now) {
  if (per_token_.count() == 0) return false;
  const Instant from = std::max(next_, now);
  if (from - now > tolerance_) return false;
  next_ = from + per_token_;
  return true;
}

}  // namespace perigee
