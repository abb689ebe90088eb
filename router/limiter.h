// What a key, and a service by all of its clients, may use: requests and tokens a minute, and requests at
// once. Exact over all threads of the process: each allowance is one word that is moved by compare-and-swap.
// It refills evenly, and a minute's worth may be used at once.
//
// Tokens are reserved before a request is sent, by an estimate, and settled when it is over. What was used
// beyond the allowance is a debt that the next minute pays.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "contract/units.h"
#include "router/json_scan.h"
#include "router/openai.h"
#include "router/request_record.h"
#include "router/shared_counters.h"
#include "router/task.h"
#include "steering/request_limits.h"

namespace perigee::router {

// Tokens a request may generate as far as they are reserved: more than this is rare, and settled afterwards.
inline constexpr std::uint64_t kReservedCompletion = 4096;
inline constexpr std::uint64_t kOctetsOfToken = 4;  // of a prompt, about

struct TokenEstimate {
  std::uint64_t prompt = 0;
  std::uint64_t completion = 0;

  [[nodiscard]] std::uint64_t all() const { return prompt + completion; }
};
// Before a request is sent. `facts`: null when its body is not JSON.
[[nodiscard]] TokenEstimate estimate_tokens(Operation operation, const JsonFacts* facts,
                                            std::uint64_t body_octets);
// After it is over: as the endpoint said, or by the events that came.
[[nodiscard]] TokenEstimate tokens_used(const RequestRecord& record, const TokenEstimate& estimate);

// One allowance of `limit` a minute.
struct Allowance {
  std::uint64_t limit = 0;
  std::uint64_t remaining = 0;
  Nanos whole_in{};
};
[[nodiscard]] Allowance allowance(const std::atomic<std::int64_t>& whole_at, std::uint64_t limit,
                                  Instant now);
// Takes `count`, all or nothing. Not granted: how long until it would be; nullopt there: never, it is more
// than the whole.
struct Taken {
  bool granted = false;
  std::optional<Nanos> wait;
};
Taken take(std::atomic<std::int64_t>& whole_at, std::uint64_t limit, std::uint64_t count, Instant now);
// Gives back (or with a negative `count` takes beyond all limits).
void give_back(std::atomic<std::int64_t>& whole_at, std::uint64_t limit, std::int64_t count);

// Limits that hold, and what is used of them; both null: none. Both outlive what is reserved.
struct Limited {
  const RequestLimits* limits = nullptr;
  LimitCounters* counters = nullptr;
};

// What one request holds of the allowances of its key and its service; by default of none. When it goes, its
// tokens count as settled, or else as reserved.
class Reservation {
 public:
  // For the client, when it is over a limit; then nothing is held.
  [[nodiscard]] const std::optional<ApiError>& error() const { return error_; }
  // The first limit that only watches and would have refused: "requests", "tokens", "concurrency" of the key,
  // "service_requests" and so on; empty: none.
  [[nodiscard]] std::string_view would_refuse() const { return would_refuse_; }
  // Lines x-ratelimit-*, each with CRLF; empty for a key without limits. What other clients leave of the
  // service is not theirs to see.
  [[nodiscard]] std::string fields(Instant now) const;
  // Tokens were reserved, and wait to be settled.
  [[nodiscard]] bool metered() const;

 private:
  friend class Limiter;

  // Of the key or the service.
  class Share {
   public:
    Share() = default;
    explicit Share(Limited of) : of_(of) {}
    Share(Share&& other) noexcept;
    Share& operator=(Share&& other) noexcept;
    ~Share() { release(); }

    [[nodiscard]] const Limited& of() const { return of_; }
    [[nodiscard]] bool metered() const { return metered_; }
    bool count_in();
    // Each takes from its allowance.
    Taken take_request(Instant now);
    Taken take_tokens(std::uint64_t tokens, Instant now);
    void settle(std::uint64_t reserved, std::uint64_t used);
    void give_all_back(std::uint64_t reserved);

   private:
    void release();

    Limited of_;
    bool counted_ = false;    // in in_flight
    bool requested_ = false;  // a request was taken
    bool metered_ = false;    // tokens were taken, and are not settled
  };

  std::array<Share, 2> shares_;  // of the key, of the service
  std::uint64_t tokens_ = 0;     // reserved of each that is metered
  std::optional<ApiError> error_;
  std::string_view would_refuse_;
};

// Tasks, so that a store that several gateways share can stand behind them. Whoever awaits one owns it:
// should its owner go first, nothing of it runs on.
class Limiter {
 public:
  // Of both or none.
  static Task<Reservation> reserve(Limited key, Limited service, std::uint64_t tokens, Instant now);
  // The request used so many tokens. Does nothing where nothing is metered(): then a caller need not await
  // it.
  static Task<void> settle(Reservation& reservation, std::uint64_t tokens);

 private:
  static bool take_all(Reservation& reservation, std::size_t share, Instant now);
};

}  // namespace perigee::router
