#include "steering/stall.h"

#include <algorithm>
#include <set>

#include "steering/health.h"
#include "steering/route_terms.h"

namespace perigee {
namespace {

// An endpoint whose checks are as frequent as its law has it had its turn within this.
Nanos turn(const Policy::Health& law) {
  const double interval = static_cast<double>(law.interval.count()) * (1 + kCheckJitter);
  return Nanos(static_cast<std::int64_t>(interval)) + law.timeout;
}

bool all_checks_fail(const Policy& policy, const Conditions& conditions, Instant now) {
  Instant last_pass;  // anywhere
  for (const Conditions::Endpoint& endpoint : conditions.endpoints)
    last_pass = std::max(last_pass, endpoint.passed_at);
  std::size_t failing = 0;
  std::set<std::size_t> pops;
  std::optional<Nanos> shortest;
  for (std::size_t i = 0; i < policy.endpoints.size(); ++i) {
    const Conditions::Endpoint measured = conditions.endpoint(i);
    // One that no path leads to says nothing, and one that failed before the last pass died by itself.
    if (measured.passed_at.never() || measured.failing_since.never() || measured.failing_since < last_pass ||
        (conditions.dataplane_alive && !reachable(policy, conditions, policy.endpoints[i])))
      continue;
    ++failing;
    pops.insert(policy.endpoints[i].pop);
    const Nanos one = turn(policy.endpoints[i].health);
    shortest = std::min(shortest.value_or(one), one);
  }
  return failing >= kStallEndpoints && pops.size() >= kStallPops && now - last_pass >= *shortest;
}

}  // namespace

Frozen frozen(const Policy& policy, const Conditions& conditions, Instant now) {
  if (all_checks_fail(policy, conditions, now)) return Frozen::checks;
  return conditions.dataplane_alive && conditions.dataplane_stalled ? Frozen::dataplane : Frozen::no;
}

}  // namespace perigee
