#include "steering/health.h"

#include <algorithm>
#include <limits>

namespace perigee {
namespace {

std::uint32_t one_more(std::uint32_t count) {
  return count == std::numeric_limits<std::uint32_t>::max() ? count : count + 1;
}

Health verdict_of(const HealthState& state, const Policy::Health& law) {
  if (state.passes > 0) {
    const bool enough = state.passes >= law.rise || state.verdict == Health::unknown;
    return enough ? Health::healthy : state.verdict;
  }
  if (state.connect_failures >= law.fall) return Health::dead;
  if (state.failures < law.fall) return state.verdict;
  // Connecting worked at least once of late: it is out, but not dead.
  return Health::unhealthy;
}

}  // namespace

Nanos earliest_dead(const Policy::Health& law) {
  const double between = static_cast<double>(law.interval.count()) * (1 - kCheckJitter) * (law.fall - 1);
  return Nanos(static_cast<std::int64_t>(between)) + law.timeout;
}

HealthState observe(const HealthState& state, CheckOutcome outcome, const Policy::Health& law, Instant now) {
  HealthState next = state;
  const bool passed = outcome == CheckOutcome::passed;
  const bool connected = passed || outcome == CheckOutcome::failed;
  next.passes = passed ? one_more(state.passes) : 0;
  next.failures = passed ? 0 : one_more(state.failures);
  next.connect_failures = connected ? 0 : one_more(state.connect_failures);
  if (passed) next.passed_at = now;
  next.failing_since = passed ? Instant{} : state.failing_since.never() ? now : state.failing_since;
  next.verdict = verdict_of(next, law);
  if (next.verdict != state.verdict) next.since = now;
  return next;
}

const char* name_of(Health health) {
  switch (health) {
    case Health::unknown:
      return "unknown";
    case Health::healthy:
      return "healthy";
    case Health::unhealthy:
      return "unhealthy";
    case Health::dead:
      return "dead";
  }
  return "unknown";
}

const char* name_of(CheckOutcome outcome) {
  switch (outcome) {
    case CheckOutcome::passed:
      return "passed";
    case CheckOutcome::failed:
      return "failed";
    case CheckOutcome::connect_refused:
      return "connect refused";
    case CheckOutcome::connect_timeout:
      return "connect timed out";
  }
  return "failed";
}

}  // namespace perigee
