// A token bucket kept as one point in time (the generic cell rate algorithm): no timer, no fractions.
#pragma once

#include <cstdint>

#include "contract/units.h"

namespace perigee {

class RateLimit {
 public:
  RateLimit() = default;  // never gives
  // `rate` tokens a second, at most `burst` at once (0 counts as 1). Rate 0 never gives.
  RateLimit(std::uint32_t rate, std::uint32_t burst);

  // Takes one token. False: none is left, nothing changes. A full bucket to begin with.
  bool take(Instant now);

 private:
  Nanos per_token_{0};  // 0: never gives
  Nanos tolerance_{0};  // how far `next_` may lie ahead of now
  Instant next_;        // when the bucket would be full again
};

}  // namespace perigee
