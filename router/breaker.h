// The passive breaker of an endpoint: a pure step over one 64-bit word that all threads share by
// compare-and-swap.
//
//   closed     every attempt is admitted. A failure counts one up, a success one down; at `failures`, of
//   which
//              the first is not older than `window`, it opens. Refused credentials open it at once.
//   open       nothing is admitted for `open`.
//   half open  one attempt at a time. `successes` of them in a row close it, one failure opens it again.
//
// A word has a generation, which every change of state moves on. An attempt is judged only in the generation
// that admitted it: what an older one says is no news of the endpoint as it is now.
#pragma once

#include <atomic>
#include <cstdint>

#include "contract/units.h"
#include "router/shared_counters.h"
#include "steering/policy.h"

namespace perigee::router {

enum class BreakerState : std::uint8_t { closed, open, half_open };
[[nodiscard]] const char* name_of(BreakerState state);  // "closed", "open", "half_open"

// How an attempt ended, as far as it says something about the endpoint.
enum class AttemptResult : std::uint8_t {
  success,             // the endpoint did its part, also when the answer is the client's own 4xx
  neutral,             // says nothing: the client went, 408, 429, the endpoint is draining
  failure,             // connect, TLS, reset or silence before the head, broken while it answered, 5xx
  credential_refused,  // 401 or 403: not the client's credential was refused but ours
};
[[nodiscard]] const char* name_of(AttemptResult result);  // "success", ...
// Of an attempt that got a response head, by its status.
[[nodiscard]] AttemptResult result_of_status(std::uint16_t status);

// What an attempt got from admit(), to be given back with its result exactly once.
struct BreakerPermit {
  bool granted = false;
  bool counts = false;  // its result will be looked at
  bool trial = false;   // the one of a half-open breaker: say its success as early as the first event
  std::uint16_t generation = 0;
};

// What a report did, for the log.
enum class BreakerChange : std::uint8_t { none, opened, closed };

// As it is at `now`; an open breaker whose time is over reads as half open.
[[nodiscard]] BreakerState breaker_state(std::uint64_t word, Instant now);
// Whether an attempt would be admitted now. Takes nothing.
[[nodiscard]] bool breaker_admits(std::uint64_t word, Instant now);
// Failures that count now in a closed breaker.
[[nodiscard]] std::uint32_t breaker_failures(std::uint64_t word, const Policy::Router::Breaker& law,
                                             Instant now);

// `forced`: the panic order chose it although its breaker is open; such an attempt is not counted. Otherwise
// it is not granted when another thread took the trial first: choose again.
[[nodiscard]] BreakerPermit admit(EndpointCounters& counters, bool forced, Instant now);
// Also starts the slow start of an endpoint whose breaker closed.
BreakerChange report(EndpointCounters& counters, const BreakerPermit& permit, AttemptResult result,
                     const Policy::Router::Breaker& law, Instant now);

}  // namespace perigee::router
