// What requests taught, on its way from the router's threads to the control loop.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <optional>

#include "router/shared_counters.h"
#include "steering/learned_costs.h"

namespace perigee::router {

// A ring of one writer and one reader. What comes while it is full is lost: an estimate needs some samples,
// not all.
template <class T, std::size_t kSize>
class SampleRing {
  static_assert((kSize & (kSize - 1)) == 0, "indexes wrap by a mask");

 public:
  void put(const T& sample) {  // writer
    const std::size_t at = end_.load(std::memory_order_relaxed);
    if (at - begin_.load(std::memory_order_acquire) == kSize) return;
    items_[at & (kSize - 1)] = sample;
    end_.store(at + 1, std::memory_order_release);
  }
  std::optional<T> take() {  // reader
    const std::size_t at = begin_.load(std::memory_order_relaxed);
    if (at == end_.load(std::memory_order_acquire)) return std::nullopt;
    T out = items_[at & (kSize - 1)];
    begin_.store(at + 1, std::memory_order_release);
    return out;
  }

 private:
  alignas(kCacheLine) std::atomic<std::size_t> begin_{0};
  alignas(kCacheLine) std::atomic<std::size_t> end_{0};
  std::array<T, kSize> items_{};
};

// Of one thread. A tick's worth at 20000 requests a second.
struct CostSamples {
  SampleRing<ServiceSample, 2048> service;
  SampleRing<TokenSample, 2048> tokens;
};

}  // namespace perigee::router
