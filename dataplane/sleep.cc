#include "dataplane/sleep.h"

#include <algorithm>

namespace perigee {

Nanos SleepPolicy::after_round(bool empty, Instant now, Instant next_due) {
  if (!empty) {
    empty_rounds_ = 0;
    step_ = kShortestStep;
    return Nanos::zero();
  }
  if (busy_ || ++empty_rounds_ < kEmptyRounds) return Nanos::zero();
  const Nanos left = std::max(next_due - now, Nanos::zero());
  if (waits_on_all_) return left;
  const Nanos step = std::min(step_, left);
  step_ = std::min(step_ * 2, kLongestStep);
  return step;
}

void Backoff::failed(Instant now) {
  until_ = now + delay_;
  delay_ = std::min(delay_ * 2, kLongest);
}

}  // namespace perigee
