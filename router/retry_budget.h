// How many requests may be in a second or later attempt at once: a share of those in flight, so that retries
// never multiply the load of endpoints that fail because of it. Shared by all threads.
#pragma once

#include <cstdint>
#include <utility>

#include "router/shared_counters.h"
#include "steering/policy.h"

namespace perigee::router {

// A request's part in the counters: counted as active from construction, as retrying from the first retry
// that was allowed. Gives both back when it goes, on every path.
class RetryBudget {
 public:
  // `counters` must outlive it.
  explicit RetryBudget(RetryCounters& counters);
  RetryBudget(RetryBudget&& other) noexcept
      : counters_(std::exchange(other.counters_, nullptr)), retries_(other.retries_) {}
  RetryBudget& operator=(RetryBudget&&) = delete;
  ~RetryBudget();

  // Whether one more attempt may be made: the request has had fewer than `retries`, and others leave room.
  [[nodiscard]] bool take(const Policy::Router& law);
  [[nodiscard]] std::uint32_t retries() const { return retries_; }

 private:
  RetryCounters* counters_;
  std::uint32_t retries_ = 0;
};

}  // namespace perigee::router
