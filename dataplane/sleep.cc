#include "dataplane/sleep.h"

#include <algorithm>

namespace perigee {

void SleepPolicy::found(Found what, Instant now) {
  if (what == Found::nothing) return;
  look_until_ = std::max(look_until_, now + (what == Found::traffic ? kLookAfterTraffic : kLookAfterOwn));
  step_ = kShortestStep;
}

Nanos SleepPolicy::rest(Instant now, Instant next_due) {
  if (busy_ || now < look_until_) return Nanos::zero();
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
