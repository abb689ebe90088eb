// HEDGES: a second attempt at another PoP, beside a first one that takes longer than 95 of 100 of its class.
// The first to answer is the answer. This is when, how often, and what became of them; session_hedge.cc does
// it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "contract/units.h"
#include "router/shared_counters.h"
#include "router/snapshot.h"

namespace perigee::router {

// What requests of a class are timed apart by: an embedding has no first token.
enum class HedgeKind : std::uint8_t { stream, embeddings, count_ };
[[nodiscard]] std::string_view name_of(HedgeKind kind);  // "stream", "embeddings"

enum class HedgeEnd : std::uint8_t {
  won,        // it answered first
  lost,       // the first attempt did
  failed,     // it ended without an answer
  abandoned,  // the client went, or we stop
  count_
};
[[nodiscard]] std::string_view name_of(HedgeEnd end);  // "won", ...

// Why a request that took long had none.
enum class HedgeRefusal : std::uint8_t {
  queue,        // somewhere requests wait: one more would make others wait longer
  no_endpoint,  // none in another PoP
  budget,       // of requests, or of tokens
  count_
};
[[nodiscard]] std::string_view name_of(HedgeRefusal reason);  // "queue", ...

// A request that may have a hedge: it earns its share of one.
void earn(HedgeCounters& counters, const HedgeLaw& law, std::uint64_t tokens);
// One hedge with a prompt of so many tokens, if enough was earned. What was earned fades with the requests
// that follow, so that no more than some ten go at once; never are there more than the share of all requests,
// or of all tokens.
[[nodiscard]] bool take(HedgeCounters& counters, std::uint64_t tokens);
void give_back(HedgeCounters& counters, std::uint64_t tokens);

// From the beginning of the first attempt to the first event, of whichever attempt: a time that a hedge cut
// short is beyond the quantile in any case.
void add_first_event(HedgeCounters& counters, HedgeKind kind, Nanos took);
// The 95th percentile anew, of some thousand requests. Of one thread, at each tick.
void look_at_times(HedgeCounters& counters, const HedgeLaw& law);
// When a hedge may go, since the beginning of the first attempt. Absent: too little is known.
[[nodiscard]] std::optional<Nanos> hedge_after(const HedgeCounters& counters, HedgeKind kind);

// Whether requests wait anywhere: as the engine says, or else at the endpoint's capacity.
[[nodiscard]] bool any_queues(std::span<const Contender> contenders);
// Whether `now` gives the endpoint new requests of the pool: the snapshot of a request is as old as the
// request.
[[nodiscard]] bool usable(const RouterSnapshot& now, ServiceId service, std::uint32_t pool,
                          EndpointId endpoint);

}  // namespace perigee::router
