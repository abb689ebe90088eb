// The law of health checks, pure: `fall` failures in a row take an endpoint out, `rise` passes bring it back.
// One pass is enough to leave `unknown`. Latency is no part of it.
#pragma once

#include <cstdint>

#include "contract/units.h"
#include "steering/conditions.h"
#include "steering/policy.h"

namespace perigee {

enum class CheckOutcome : std::uint8_t {
  passed,
  failed,           // the answer was wrong, late or cut short, or a router said unreachable
  connect_refused,  // RST
  connect_timeout   // no answer to the SYN
};
[[nodiscard]] const char* name_of(CheckOutcome outcome);  // "passed", "failed", "connect refused", ...

// Checks of one endpoint are an interval apart, or up to this share of it less or more: many drift apart.
inline constexpr double kCheckJitter = 0.1;

// The shortest time from a silent cut to the verdict `dead`: a check began just after it, and the `fall`th
// ends.
[[nodiscard]] Nanos earliest_dead(const Policy::Health& law);

struct HealthState {
  Health verdict = Health::unknown;
  Instant since;                       // when the verdict began
  std::uint32_t passes = 0;            // in a row
  std::uint32_t failures = 0;          // in a row
  std::uint32_t connect_failures = 0;  // in a row, of the last kinds
  Instant passed_at;                   // the last time; never: it did not
  Instant failing_since;               // the first of those in a row; never: the last one passed
  friend bool operator==(const HealthState&, const HealthState&) = default;
};

// The state after one more check. `dead` once `fall` checks in a row could not even connect; from there
// `rise` passes lead back to healthy, as from unhealthy. Do not feed checks that were begun while the data
// plane was not alive: they say nothing about the endpoint.
[[nodiscard]] HealthState observe(const HealthState& state, CheckOutcome outcome, const Policy::Health& law,
                                  Instant now);

}  // namespace perigee
