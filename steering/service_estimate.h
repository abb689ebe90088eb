// How long an endpoint takes to the first event of a request that meets no queue: fixed + per token of its
// prompt, fitted to what was seen.
//
// Least squares with a memory of kMemory samples, so that it follows an endpoint that becomes slower. A
// sample far off the line counts as one at three times the usual distance (Huber, "Robust Estimation of a
// Location Parameter", 1964), so that a single stall moves little and a lasting change still wins. The prior
// counts as kPriorSamples samples, so that a cold estimate is the prior and there is always a solution.
#pragma once

#include <cstdint>

#include "contract/units.h"

namespace perigee {

// A line: fixed + tokens * per_token. Both are never negative.
struct ServiceTerms {
  Nanos fixed{0};
  double ns_per_token = 0;

  [[nodiscard]] Nanos of(double tokens) const {
    return fixed + Nanos(static_cast<std::int64_t>(tokens * ns_per_token));
  }
  friend bool operator==(const ServiceTerms&, const ServiceTerms&) = default;
};

class ServiceEstimate {
 public:
  static constexpr double kMemory = 48;
  static constexpr double kPriorSamples = 1;

  // `took`: from the request's arrival at the endpoint to its first event. It met no queue.
  void add(double tokens, Nanos took, const ServiceTerms& prior, Instant now);

  [[nodiscard]] ServiceTerms terms(const ServiceTerms& prior) const;
  [[nodiscard]] double samples() const { return weight_; }        // at most kMemory
  [[nodiscard]] Instant refreshed() const { return refreshed_; }  // never: it is the prior

 private:
  // Weighted sums over samples; times in ns.
  double weight_ = 0, x_ = 0, y_ = 0, xx_ = 0, xy_ = 0;
  double distance_ = 0;  // the usual one from the line
  Instant refreshed_;
};

}  // namespace perigee
