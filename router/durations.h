// Durations as a histogram keeps them: counts between fixed edges, and their sum.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "contract/units.h"

namespace perigee::router {

// In microseconds: from what the gateway adds to a request to the longest wait for a first event. A duration
// on an edge counts below it.
inline constexpr std::array<std::int64_t, 18> kDurationEdgesUs{
    50,     100,     250,     500,     1000,      2500,      5000,       10'000,     25'000,
    50'000, 100'000, 250'000, 500'000, 1'000'000, 2'500'000, 10'000'000, 30'000'000, 120'000'000};
inline constexpr std::size_t kDurationBuckets = kDurationEdgesUs.size() + 1;  // the last one: longer

[[nodiscard]] inline std::size_t duration_bucket(Nanos duration) {
  const std::int64_t us = (duration.count() + 999) / 1000;
  return static_cast<std::size_t>(std::ranges::lower_bound(kDurationEdgesUs, us) - kDurationEdgesUs.begin());
}

// A counter with one writer, which any thread reads.
class Count {
 public:
  void add(std::uint64_t more) {
    value_.store(value_.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

struct DurationHistogram {
  std::array<Count, kDurationBuckets> buckets;
  Count sum_ns;

  void add(Nanos duration) {
    buckets[duration_bucket(duration)].add(1);
    sum_ns.add(static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0)));
  }
};

}  // namespace perigee::router
