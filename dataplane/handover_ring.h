// A bounded queue from one thread to one other. Ours and not rte_ring, whose compiler barriers
// ThreadSanitizer cannot judge.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <memory>
#include <utility>

namespace perigee {

template <class T>
class HandoverRing {
 public:
  // `capacity` is rounded up to a power of two.
  explicit HandoverRing(std::size_t capacity)
      : mask_(std::bit_ceil(capacity) - 1), slots_(std::make_unique<T[]>(mask_ + 1)) {}

  // Producer only; false when full.
  bool push(T value) {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_seen_ > mask_) {
      head_seen_ = head_.load(std::memory_order_acquire);
      if (tail - head_seen_ > mask_) return false;
    }
    slots_[tail & mask_] = std::move(value);
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  // Consumer only; false when empty.
  bool pop(T& value) {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    if (head == tail_seen_) {
      tail_seen_ = tail_.load(std::memory_order_acquire);
      if (head == tail_seen_) return false;
    }
    value = std::move(slots_[head & mask_]);
    head_.store(head + 1, std::memory_order_release);
    return true;
  }

 private:
  const std::size_t mask_;
  const std::unique_ptr<T[]> slots_;
  // Each side's own index and what it last saw of the other's share a cache line nobody else writes.
  alignas(64) std::atomic<std::size_t> head_{0};  // written by the consumer
  std::size_t tail_seen_ = 0;
  alignas(64) std::atomic<std::size_t> tail_{0};  // written by the producer
  std::size_t head_seen_ = 0;
};

}  // namespace perigee
