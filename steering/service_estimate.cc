#include "steering/service_estimate.h"

#include <algorithm>
#include <cmath>

namespace perigee {
namespace {

constexpr double kFarOff = 3;            // usual distances
constexpr double kLeastDistance = 0.02;  // of what is expected: samples that are all alike are still samples
constexpr double kPriorTokens = 1000;    // where the prior's second point lies

// The prior is a shape more than a height: it is moved to where the samples are. Of prompts that are all as
// long the slope is then the prior's part of what they took. Left where it was, a prior above them would have
// its fixed part alone explain them: no slope, and so an engine that works off any queue in no time.
double scale_of(const ServiceTerms& prior, double samples, double tokens, double took) {
  const double expected = static_cast<double>(prior.fixed.count()) * samples + prior.ns_per_token * tokens;
  if (expected <= 0) return 1;  // no sample, or a prior that says nothing
  const double of_prior = ServiceEstimate::kPriorSamples * expected / samples;
  return (took + of_prior) / (expected + of_prior);
}

}  // namespace

void ServiceEstimate::add(double tokens, Nanos took, const ServiceTerms& prior, Instant now) {
  const double expected = static_cast<double>(terms(prior).of(tokens).count());
  double seen = static_cast<double>(std::max(took, Nanos(0)).count());
  const double off = std::abs(seen - expected);
  const bool few = weight_ < 3;
  const double reach = kFarOff * std::max(distance_, kLeastDistance * expected);
  if (!few && off > reach) seen = expected + (seen > expected ? reach : -reach);
  // The usual distance may grow by half in one sample: a lasting change is believed after a few.
  const double counted = few ? off : std::min(off, 1.5 * reach);
  distance_ += (counted - distance_) / std::min(weight_ + 1, 8.0);
  const double kept = 1 - 1 / kMemory;
  weight_ = weight_ * kept + 1;
  x_ = x_ * kept + tokens;
  y_ = y_ * kept + seen;
  xx_ = xx_ * kept + tokens * tokens;
  xy_ = xy_ * kept + tokens * seen;
  refreshed_ = now;
}

ServiceTerms ServiceEstimate::terms(const ServiceTerms& prior) const {
  const double scale = scale_of(prior, weight_, x_, y_);
  const double fixed = scale * static_cast<double>(prior.fixed.count());
  const double second = fixed + scale * prior.ns_per_token * kPriorTokens;
  const double half = kPriorSamples / 2;
  const double w = weight_ + kPriorSamples;
  const double x = x_ + half * kPriorTokens;
  const double y = y_ + half * (fixed + second);
  const double xx = xx_ + half * kPriorTokens * kPriorTokens;
  const double xy = xy_ + half * kPriorTokens * second;
  const double spread = w * xx - x * x;  // > 0: the prior has two points
  double slope = (w * xy - x * y) / spread;
  double base = (y - slope * x) / w;
  if (slope < 0) {
    slope = 0;
    base = y / w;
  } else if (base < 0) {
    base = 0;
    slope = xy / xx;
  }
  return {Nanos(static_cast<std::int64_t>(std::max(base, 0.0))), slope};
}

}  // namespace perigee
