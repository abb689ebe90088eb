// The gate of a service with `max_in_flight`: how many of its requests there are at once, and who waits for a
// place. Shared by all threads. A request that finds a place takes one compare-and-swap; the queue has a
// mutex, which only requests take that have to wait, and those that leave while others wait.
//
// The highest priority goes first, and within it who came first. A queue that is full gives up its last entry
// of the lowest priority for a request of a higher one.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string_view>

#include "contract/units.h"
#include "router/loop.h"
#include "router/signal.h"

namespace perigee::router {

enum class Priority : std::uint8_t { high, normal, low, count_ };
inline constexpr std::size_t kPriorities = static_cast<std::size_t>(Priority::count_);
[[nodiscard]] std::string_view name_of(Priority priority);  // "high", ...

// Why a request got no place.
enum class Shed : std::uint8_t {
  full,     // the queue was
  late,     // it waited for as long as it may
  evicted,  // one of a higher priority took its place in the queue
  count_
};
[[nodiscard]] std::string_view name_of(Shed reason);

class Gate {
 public:
  class Waiter {
   public:
    Waiter(Loop& loop, Signal& signal, Priority priority)
        : loop_(loop), signal_(&signal), priority_(priority) {}
    enum class State : std::uint8_t { waiting, granted, evicted };
    [[nodiscard]] State state() const { return state_.load(std::memory_order_acquire); }

   private:
    friend class Gate;
    Loop& loop_;
    Signal* signal_;  // of that loop's thread alone; null: nobody waits any more
    const Priority priority_;
    std::atomic<State> state_{State::waiting};
    std::list<std::shared_ptr<Waiter>>::iterator place_;
  };

  void change(std::uint32_t most, std::uint32_t queue);

  // A place at once. False: wait().
  [[nodiscard]] bool enter();
  // In the queue; `signal` is raised when the state changes, which may be so already. Null: it is full.
  [[nodiscard]] std::shared_ptr<Waiter> wait(Loop& loop, Signal& signal, Priority priority);
  // Waits no more. True: it has a place, which it got in this moment.
  [[nodiscard]] bool give_up(Waiter& waiter);
  void leave();  // gives a place back

  void count(Shed reason) {
    sheds_[static_cast<std::size_t>(reason)].fetch_add(1, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t sheds(Shed reason) const {
    return sheds_[static_cast<std::size_t>(reason)].load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint32_t in_flight() const { return in_flight_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool queues() const { return waiting_.load(std::memory_order_relaxed) > 0; }
  [[nodiscard]] std::array<std::size_t, kPriorities> depths();

 private:
  using Queue = std::list<std::shared_ptr<Waiter>>;
  bool take_place();
  void grant();
  void settle(const std::shared_ptr<Waiter>& waiter, Waiter::State state);

  alignas(64) std::atomic<std::uint32_t> in_flight_{0};
  std::atomic<std::uint32_t> waiting_{0};  // changed under the mutex
  std::atomic<std::uint32_t> most_{0};
  std::atomic<std::uint32_t> queue_size_{0};
  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(Shed::count_)> sheds_{};
  std::mutex mutex_;  // of queues_
  std::array<Queue, kPriorities> queues_;
};

// A place, until it goes.
class Place {
 public:
  Place() = default;
  explicit Place(Gate& gate) : gate_(&gate) {}
  Place(Place&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
  Place& operator=(Place&& other) noexcept {
    std::swap(gate_, other.gate_);
    return *this;
  }
  ~Place() {
    if (gate_ != nullptr) gate_->leave();
  }

 private:
  Gate* gate_ = nullptr;
};

}  // namespace perigee::router
