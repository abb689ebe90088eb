// WHERE A REQUEST GOES: pure. contend() reads what is shared into plain values, choose() decides by those
// alone.
//
// 1. Never: not the endpoint or one of those that the request is pinned to, tried in this request, barred by
// the operator or the Route, outside the residency, without the model,
//    or Retry-After in force.
// 2. Of the rest, those nothing speaks against; when there are none, the panic order: the full ones, then
// those with
//    an open breaker, then unhealthy ones, then both.
// 3. Of these, the first tier that has any. An order that the request gives goes instead of the tiers.
// 4. Within it, two are drawn by weight, with replacement, and the one with less load for its weight is
// taken. So
//    the worst one is never starved, weights hold also between two, and no one is flooded by all threads at
//    once.
//
// Load is (in flight + 1 + what recent failures weigh) / weight, and the weight grows from a tenth while an
// endpoint starts slowly.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "contract/units.h"
#include "router/snapshot.h"

namespace perigee::router {

inline constexpr std::size_t kMaxTried = 16;  // attempts of one request; policies allow fewer retries
// An endpoint that answers 429 or 503 without a Retry-After is left alone for this long, so that a refusal in
// a millisecond never makes it the least loaded one.
inline constexpr Nanos kDefaultRetryAfter = std::chrono::seconds(1);
inline constexpr Nanos kMaxRetryAfter = std::chrono::seconds(60);  // no endpoint takes itself out for longer
inline constexpr Nanos kAbsentFor =
    std::chrono::seconds(60);  // a model that was missing is asked for again then
// What one counted failure weighs, in requests in flight: failing fast must not look like being idle.
inline constexpr std::uint32_t kFailureLoad = 16;

// What kept or keeps a candidate out, or how it fared.
enum class Verdict : std::uint8_t {
  chosen,
  lost,          // drawn, with more load for its weight
  not_drawn,     // as good, but chance named others
  behind,        // a later tier
  full,          // at its capacity
  breaker_open,  // or half open with a trial under way
  unhealthy,
  retry_after,
  model_absent,
  residency,
  barred,
  tried,
  pinned_elsewhere  // the request names other endpoints, or a response that another one has
};
[[nodiscard]] const char* name_of(Verdict verdict);  // "chosen", ...

// The rule that ended the choice.
enum class Rule : std::uint8_t {
  only_one,      // a single candidate was left
  less_load,     // of two drawn
  same_drawn,    // one candidate, drawn twice
  nothing_left,  // no candidate may be used: see Decision::retry_at
};
[[nodiscard]] const char* name_of(Rule rule);

// One candidate as a choice sees it.
struct Contender {
  Verdict barrier = Verdict::chosen;  // the first thing of step 1 that speaks against it; chosen: none
  bool full = false, breaker_open = false, unhealthy = false;
  std::uint8_t tier = 0;
  std::uint32_t load = 1;    // in flight + 1 + failures
  std::uint32_t weight = 1;  // effective, in thousandths of the policy's
  Instant retry_at;          // of barrier retry_after
  friend bool operator==(const Contender&, const Contender&) = default;
};

// Endpoints that a request is narrowed to, indexes into the snapshot, each once.
struct EndpointList {
  std::array<std::uint16_t, kMaxServiceEndpoints> endpoints{};
  std::size_t count = 0;
  bool ordered = false;  // the first that may be used is to be

  [[nodiscard]] std::optional<std::uint8_t> place_of(std::uint16_t endpoint) const;
};

// What a request brings to the choice.
struct ChoiceRequest {
  std::uint32_t use = 0;  // of the model: an endpoint may have it for one operation and not for another
  RegionSet regions = kAnyRegion;                // service, key and request intersected
  std::array<std::uint16_t, kMaxTried> tried{};  // endpoints, indexes into the snapshot
  std::size_t tried_count = 0;
  std::optional<std::uint16_t> only;    // no other endpoint has what the request names
  const EndpointList* among = nullptr;  // no other endpoint is allowed; null: any

  void add_tried(std::uint16_t endpoint);
  [[nodiscard]] bool has_tried(std::uint16_t endpoint) const;
};

// Two random numbers, uniform over all values.
struct Draw {
  std::uint32_t first = 0, second = 0;
};

struct Decision {
  std::optional<std::uint16_t> endpoint;  // index into the snapshot; none: nothing_left
  std::optional<std::uint8_t> candidate;  // index into the pool
  Rule rule = Rule::nothing_left;
  bool panic = false;      // it is one that something speaks against: admit() its breaker by force
  std::uint8_t count = 0;  // candidates
  std::array<Verdict, kMaxServiceEndpoints> verdicts{};  // beside the pool's candidates; the first `count`
  Instant retry_at;  // with nothing left: when the first Retry-After ends; never: waiting does not help
};

// The candidates now. `out` has room for kMaxServiceEndpoints; returns the part that was written.
std::span<const Contender> contend(const RouterSnapshot& snapshot, const RouterSnapshot::Pool& pool,
                                   const ChoiceRequest& request, Instant now, std::span<Contender> out);
// Fills all of a Decision but `endpoint`. No allocation, no clock, no randomness of its own.
[[nodiscard]] Decision choose(std::span<const Contender> contenders, Draw draw);
// Both.
[[nodiscard]] Decision choose(const RouterSnapshot& snapshot, const RouterSnapshot::Pool& pool,
                              const ChoiceRequest& request, Instant now, Draw draw);

// Whether a request is the canary's: decided by the hash of its key and session, so that one session stays on
// one side, and differently for each model. `sticky` is random for a request that has neither.
[[nodiscard]] bool takes_canary(const RouterSnapshot::Model& model, std::uint64_t sticky);

// What an attempt learned, for the choices that follow.
// `after`: from Retry-After, if the endpoint gave one. Cut to kMaxRetryAfter.
void remember_retry_after(EndpointCounters& counters, std::optional<Nanos> after, Instant now);
// What the memory of absent models goes by: one client's odd request must not take the model from the others.
[[nodiscard]] std::uint32_t absent_id(const RouterSnapshot::Pool& pool, std::uint32_t use);
// 404 for a model that the policy says is there. `pool`: absent_id().
void remember_absent(EndpointCounters& counters, std::uint32_t pool, Instant now);
[[nodiscard]] bool is_absent(const EndpointCounters& counters, std::uint32_t pool, Instant now);

}  // namespace perigee::router
