// The least round trip of the last seconds: what is longer waited somewhere on its way, or for a late
// acknowledgement.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>

#include "contract/units.h"

namespace perigee::router {

// Of two windows, this one and the one before, so that it is 5 to 10 s old at most. Any thread adds and
// reads.
class RttWindow {
 public:
  static constexpr Nanos kWindow = std::chrono::seconds(5);
  static constexpr Nanos kBetween = std::chrono::milliseconds(50);  // samples: each costs a system call

  // Whether a sample is worth its system call; true for one thread, once.
  [[nodiscard]] bool due(Instant now) {
    std::int64_t last = sampled_.load(std::memory_order_relaxed);
    return now.ns - last >= kBetween.count() &&
           sampled_.compare_exchange_strong(last, now.ns, std::memory_order_relaxed);
  }

  void add(Nanos rtt, Instant now) {
    const std::uint64_t word = number_of(now) << 32U | micros_of(rtt);
    std::uint64_t is = current_.load(std::memory_order_relaxed);
    while (true) {
      const bool same = is >> 32U == number_of(now);
      if (same && is <= word) return;
      if (!current_.compare_exchange_weak(is, word, std::memory_order_relaxed)) continue;
      if (!same) before_.store(is, std::memory_order_relaxed);
      return;
    }
  }

  [[nodiscard]] std::optional<Nanos> least(Instant now) const {
    std::optional<Nanos> least;
    for (const std::uint64_t word :
         {current_.load(std::memory_order_relaxed), before_.load(std::memory_order_relaxed)}) {
      if (word == 0 || (word >> 32U) + 1 < number_of(now)) continue;
      const Nanos rtt = std::chrono::microseconds(word & 0xffffffffU);
      least = std::min(least.value_or(rtt), rtt);
    }
    return least;
  }

 private:
  static std::uint64_t number_of(Instant now) {
    return static_cast<std::uint64_t>(now.ns / kWindow.count()) + 1;
  }
  static std::uint64_t micros_of(Nanos rtt) {
    return static_cast<std::uint64_t>(std::clamp<std::int64_t>(rtt.count() / 1000, 0, 0xffffffff));
  }

  // The window's number and its least, in microseconds; 0: none.
  std::atomic<std::uint64_t> current_{0};
  std::atomic<std::uint64_t> before_{0};
  std::atomic<std::int64_t> sampled_{0};
};

}  // namespace perigee::router
