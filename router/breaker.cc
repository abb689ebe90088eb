#include "router/breaker.h"

#include <algorithm>

namespace perigee::router {
namespace {

constexpr std::uint32_t kMaxCount = 0x7f;
constexpr std::uint16_t kMaxGeneration = 0x3fff;
constexpr std::uint64_t kMaxTimeMs = (std::uint64_t{1} << 40U) - 1;  // 34 years of CLOCK_MONOTONIC

// The word, from the low bit: state 2, trial 1, count 7, generation 14, time 40.
struct Breaker {
  BreakerState state = BreakerState::closed;
  bool trial = false;            // half open: one is under way
  std::uint32_t count = 0;       // closed: failures less successes; half open: successes
  std::uint16_t generation = 0;  // wraps; an attempt does not last that long
  std::uint64_t time_ms = 0;     // closed: of the first failure that counts; open: until when

  static Breaker of(std::uint64_t word) {
    return {static_cast<BreakerState>(word & 3U), (word >> 2U & 1U) != 0,
            static_cast<std::uint32_t>(word >> 3U & kMaxCount),
            static_cast<std::uint16_t>(word >> 10U & kMaxGeneration), word >> 24U};
  }
  [[nodiscard]] std::uint64_t word() const {
    return static_cast<std::uint64_t>(state) | std::uint64_t{trial} << 2U |
           std::uint64_t{std::min(count, kMaxCount)} << 3U | std::uint64_t{generation} << 10U |
           std::min(time_ms, kMaxTimeMs) << 24U;
  }
  [[nodiscard]] Breaker next(BreakerState to) const {
    return {to, false, 0, static_cast<std::uint16_t>((generation + 1U) & kMaxGeneration), 0};
  }
};

std::uint64_t ms_of(Instant now) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(now.ns, 0)) / 1'000'000;
}
std::uint64_t ms_of(Nanos time) { return static_cast<std::uint64_t>(time.count()) / 1'000'000; }

Breaker opened(const Breaker& breaker, const Policy::Router::Breaker& law, Instant now) {
  Breaker next = breaker.next(BreakerState::open);
  next.time_ms = ms_of(now) + ms_of(law.open);
  return next;
}

// Failures older than the window are forgotten.
std::uint32_t failures_of(const Breaker& breaker, const Policy::Router::Breaker& law, Instant now) {
  if (breaker.state != BreakerState::closed || ms_of(now) > breaker.time_ms + ms_of(law.window)) return 0;
  return breaker.count;
}

Breaker judge_closed(Breaker breaker, AttemptResult result, const Policy::Router::Breaker& law, Instant now) {
  const std::uint32_t failures = failures_of(breaker, law, now);
  if (result == AttemptResult::neutral) return breaker;
  if (result == AttemptResult::credential_refused) return opened(breaker, law, now);
  if (result == AttemptResult::success) {
    breaker.count = failures > 0 ? failures - 1 : 0;
    return breaker;
  }
  if (failures + 1 >= law.failures) return opened(breaker, law, now);
  if (failures == 0) breaker.time_ms = ms_of(now);
  breaker.count = failures + 1;
  return breaker;
}

Breaker judge_trial(Breaker breaker, AttemptResult result, const Policy::Router::Breaker& law, Instant now) {
  breaker.trial = false;
  if (result == AttemptResult::neutral) return breaker;
  if (result != AttemptResult::success) return opened(breaker, law, now);
  ++breaker.count;
  return breaker.count >= law.successes ? breaker.next(BreakerState::closed) : breaker;
}

}  // namespace

const char* name_of(AttemptResult result) {
  constexpr std::array<const char*, 4> kNames = {"success", "neutral", "failure", "credential_refused"};
  return kNames.at(static_cast<std::size_t>(result));
}

const char* name_of(BreakerState state) {
  switch (state) {
    case BreakerState::closed:
      return "closed";
    case BreakerState::open:
      return "open";
    case BreakerState::half_open:
      return "half_open";
  }
  return "closed";
}

AttemptResult result_of_status(std::uint16_t status) {
  switch (status) {
    case 401:
    case 403:
      return AttemptResult::credential_refused;
    case 408:  // it waited for a body that came too slowly, or is busy: not broken
    case 429:
      return AttemptResult::neutral;
    case 501:  // RFC 9110, sections 15.6.2 and 15.6.6: about what was asked
    case 505:
      return AttemptResult::success;
    default:
      break;
  }
  // An engine that redirects is not the engine the policy means.
  const bool wrong = status >= 500 || (status >= 300 && status < 400);
  return wrong ? AttemptResult::failure : AttemptResult::success;
}

BreakerState breaker_state(std::uint64_t word, Instant now) {
  const Breaker breaker = Breaker::of(word);
  if (breaker.state == BreakerState::open && ms_of(now) >= breaker.time_ms) return BreakerState::half_open;
  return breaker.state;
}

bool breaker_admits(std::uint64_t word, Instant now) {
  switch (breaker_state(word, now)) {
    case BreakerState::closed:
      return true;
    case BreakerState::open:
      return false;
    case BreakerState::half_open:
      return !Breaker::of(word).trial;  // one that is still packed as open has none
  }
  return false;
}

std::uint32_t breaker_failures(std::uint64_t word, const Policy::Router::Breaker& law, Instant now) {
  return failures_of(Breaker::of(word), law, now);
}

BreakerPermit admit(EndpointCounters& counters, bool forced, Instant now) {
  if (forced) return {true, false, false, 0};
  std::uint64_t word = counters.breaker.load(std::memory_order_relaxed);
  while (breaker_admits(word, now)) {
    Breaker breaker = Breaker::of(word);
    if (breaker.state == BreakerState::closed) return {true, true, false, breaker.generation};
    if (breaker.state == BreakerState::open) breaker = breaker.next(BreakerState::half_open);
    breaker.trial = true;
    if (counters.breaker.compare_exchange_weak(word, breaker.word(), std::memory_order_relaxed))
      return {true, true, true, breaker.generation};
  }
  return {};
}

BreakerChange report(EndpointCounters& counters, const BreakerPermit& permit, AttemptResult result,
                     const Policy::Router::Breaker& law, Instant now) {
  if (result == AttemptResult::credential_refused)
    counters.credential_refused.fetch_add(1, std::memory_order_relaxed);
  if (!permit.counts) return BreakerChange::none;
  std::uint64_t word = counters.breaker.load(std::memory_order_relaxed);
  while (true) {
    const Breaker breaker = Breaker::of(word);
    if (breaker.generation != permit.generation) return BreakerChange::none;
    const Breaker next = breaker.state == BreakerState::closed ? judge_closed(breaker, result, law, now)
                                                               : judge_trial(breaker, result, law, now);
    if (next.word() == word) return BreakerChange::none;  // the common case writes nothing
    if (!counters.breaker.compare_exchange_weak(word, next.word(), std::memory_order_relaxed)) continue;
    if (next.generation == breaker.generation) return BreakerChange::none;
    if (next.state == BreakerState::open) {
      counters.breaker_opened.fetch_add(1, std::memory_order_relaxed);
      return BreakerChange::opened;
    }
    counters.warming_since.store(now.ns, std::memory_order_relaxed);
    return BreakerChange::closed;
  }
}

}  // namespace perigee::router
