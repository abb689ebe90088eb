// Every counter that the router's threads share: relaxed or compare-and-swap, each group on a cache line of
// its own, many writers. But for these and ResponseIds nothing in the router is written by more than one
// thread.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "router/rtt_window.h"

namespace perigee::router {

inline constexpr std::size_t kCacheLine = 64;
// Models that one endpoint was found not to have, remembered at once; more push out the oldest.
inline constexpr std::size_t kAbsentModels = 8;

// What an endpoint's engine says of its load, and what follows from it, for the requests that decide now. -1:
// unknown; times are nanoseconds as in Instant, 0: never. The poll of its metrics (the control side) writes
// all of it, and ORCA reports in its answers the first four. Each value is read by itself, relaxed: a reader
// may see those of two readings side by side, an interval apart at most, which no estimate notices.
struct EngineReading {
  std::atomic<std::int64_t> waiting{-1};      // requests in its queue
  std::atomic<std::int64_t> kv_use{-1};       // of its KV cache, in 1/10000
  std::atomic<std::int64_t> taken{0};         // when it said so
  std::atomic<std::int64_t> counts_until{0};  // from then on both are unknown
  std::atomic<std::uint64_t> sent_before{0};  // tokens_sent of the endpoint when it was taken

  std::atomic<std::int64_t> running{-1};              // requests it works on
  std::atomic<std::int64_t> prompt_tokens_total{-1};  // since it began
  std::atomic<std::int64_t> polled_until{0};          // from then on both are unknown

  // Learned from polls; true until something else is learned.
  std::atomic<std::int64_t> prefill_rate{-1};   // prompt tokens a second while it had a queue
  std::atomic<std::int64_t> prompt_tokens{-1};  // of one request
  std::atomic<std::int64_t> prefill_ns{-1};     // of one request, from the queue to its first token, of late
};

// Of one endpoint, for as long as any snapshot names it. Held by shared_ptr: a new snapshot takes over those
// of the one before. Times are nanoseconds as in Instant, 0: never.
struct EndpointCounters {
  // Requests sent to it and not over: from before the first octet is sent to after the last one came, or
  // abort.
  alignas(kCacheLine) std::atomic<std::uint32_t> in_flight{0};
  std::array<std::atomic<std::uint64_t>, 4> attempts{};  // that are over, by AttemptResult
  // Tokens of prompts, as estimated: sent to it since the start; of those in flight, the ones without an
  // answer yet, and the part of them whose answer begins with the first token.
  std::atomic<std::uint64_t> tokens_sent{0};
  std::atomic<std::uint64_t> tokens_waiting{0};
  std::atomic<std::uint64_t> tokens_waiting_streamed{0};

  alignas(kCacheLine) std::atomic<std::uint64_t> breaker{0};  // breaker.h packs it
  std::atomic<std::int64_t> retry_after{0};                   // it asked to be left alone until then
  std::atomic<std::int64_t> warming_since{0};                 // slow start begins
  std::atomic<std::uint64_t> breaker_opened{0};               // how often
  std::atomic<std::uint64_t> credential_refused{0};           // how often it answered 401 or 403
  std::atomic<bool> dead{false};  // for its health checks: connecting fails. Writer: the control loop
  RttWindow rtt;                  // of its connections, as the kernel sees them

  alignas(kCacheLine) std::array<std::atomic<std::uint64_t>, kAbsentModels> absent{};  // choose.cc packs them

  alignas(kCacheLine) EngineReading engine;
};

// Of the limits of one API key or service, for as long as any snapshot has it; as with endpoints, a new one
// takes them over.
// Nanoseconds as in Instant: when the allowance will be whole again if nothing more is taken (limiter.h).
struct LimitCounters {
  alignas(kCacheLine) std::atomic<std::int64_t> requests_whole_at{0};
  std::atomic<std::int64_t> tokens_whole_at{0};
  std::atomic<std::uint32_t> in_flight{0};  // requests admitted and not over
};

// Of a class of requests that may have hedges (hedge.h), for as long as any snapshot has it.
inline constexpr std::size_t kHedgeBuckets = 240;  // up to an hour
struct HedgeCounters {
  // What was earned, in millionths: of a hedge, and of a token of a prompt.
  alignas(kCacheLine) std::atomic<std::int64_t> requests{0};
  std::atomic<std::int64_t> tokens{0};
  // By HedgeKind: when a hedge may go, in ns, -1: not known; and how long first events took.
  alignas(kCacheLine) std::array<std::atomic<std::int64_t>, 2> after{-1, -1};
  std::array<std::array<std::atomic<std::uint32_t>, kHedgeBuckets>, 2> times{};
  std::array<std::atomic<std::uint64_t>, 4> ends{};      // by HedgeEnd
  std::array<std::atomic<std::uint64_t>, 3> refusals{};  // by HedgeRefusal
};

// Of the process.
struct RetryCounters {
  alignas(kCacheLine) std::atomic<std::uint32_t> active{0};  // requests of clients, from admission to the end
  alignas(kCacheLine) std::atomic<std::uint32_t> retrying{0};  // those that are in a second or later attempt
};

}  // namespace perigee::router
