// WHERE A REQUEST GOES: contend() reads what the threads share into plain values, steering/choice.h decides
// by those alone.
//
// A candidate is barred when it is not the endpoint (or one of those) that the request is pinned to, was
// tried in this request, is barred by the operator or the Route, outside the residency, without the model, or
// asked by Retry-After to be left alone. Its load is requests in flight + 1 + what recent failures weigh; its
// weight grows from a tenth while it starts slowly. An order that the request gives goes instead of the
// tiers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "contract/units.h"
#include "router/endpoint_pool.h"
#include "router/snapshot.h"
#include "steering/choice.h"

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
  std::string_view not_pop;             // of another attempt that is under way; empty: none
  std::uint64_t octets = 0;             // of its body
  double tokens = 0;                    // of its prompt, as estimated
  std::optional<std::uint64_t>
      prefix;  // hash of what its prompt begins with; absent: nothing to keep together

  void add_tried(std::uint16_t endpoint);
  [[nodiscard]] bool has_tried(std::uint16_t endpoint) const;
};

struct Decision : Choice {
  std::optional<std::uint16_t> endpoint;  // index into the snapshot; none: nothing_left
  CostTerms cost;                         // of the candidate
};

// The candidates now, at most kMaxServiceEndpoints. `out` has room for them; returns the part that was
// written. Connections that are open are looked for in `connections`, the thread's own; null: one is taken to
// be open.
std::span<const Contender> contend(const RouterSnapshot& snapshot, const RouterSnapshot::Pool& pool,
                                   const ChoiceRequest& request, const EndpointPool* connections, Instant now,
                                   std::span<Contender> out);
// The choice among them.
[[nodiscard]] Decision decide(const RouterSnapshot& snapshot, const RouterSnapshot::Pool& pool,
                              std::span<const Contender> contenders, const Draw& draw);

// What the prompts of a pool that begin with `octets` go by (FNV-1a, 64 bits).
[[nodiscard]] std::uint64_t prefix_of(const RouterSnapshot::Pool& pool, std::string_view octets);

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
