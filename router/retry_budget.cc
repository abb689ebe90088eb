#include "router/retry_budget.h"

#include <algorithm>

namespace perigee::router {

RetryBudget::RetryBudget(RetryCounters& counters) : counters_(&counters) {
  counters.active.fetch_add(1, std::memory_order_relaxed);
}

RetryBudget::~RetryBudget() {
  if (counters_ == nullptr) return;
  counters_->active.fetch_sub(1, std::memory_order_relaxed);
  if (retries_ > 0) counters_->retrying.fetch_sub(1, std::memory_order_relaxed);
}

bool RetryBudget::take(const Policy::Router& law) {
  if (retries_ >= law.retries) return false;
  if (retries_ == 0) {
    const std::uint32_t active = counters_->active.load(std::memory_order_relaxed);
    const auto share = static_cast<std::uint32_t>(law.retry_budget * active);
    const std::uint32_t limit = std::max(share, law.retry_min);
    std::uint32_t retrying = counters_->retrying.load(std::memory_order_relaxed);
    do {
      if (retrying >= limit) return false;
    } while (!counters_->retrying.compare_exchange_weak(retrying, retrying + 1, std::memory_order_relaxed));
  }
  ++retries_;
  return true;
}

}  // namespace perigee::router
