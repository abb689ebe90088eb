// Signal: the one thing a coroutine waits for. Its sockets and timers raise it; the loop resumes the waiter
// later in the same turn, so nothing ever runs inside the code that raised.
#pragma once

#include <coroutine>
#include <utility>

#include "router/chain.h"

namespace perigee::router {

class Signal;

// The Signals of one loop that are raised and have a waiter, in the order they were raised.
class ReadyList {
 public:
  [[nodiscard]] bool empty() const { return head_.alone(); }
  // Resumes the waiters that are listed now; those that get listed meanwhile stay for the next call.
  inline void run();

 private:
  friend class Signal;
  ChainLink head_;
};

class Signal : private ChainLink {
 public:
  // `ready` (Loop::ready()) outlives the Signal.
  explicit Signal(ReadyList& ready) : ready_(ready) {}

  // Raising twice before the waiter ran is raising once. Only from the loop's own thread.
  void raise() {
    raised_ = true;
    if (waiter_ && alone()) ready_.head_.push_back(*this);
  }

  // `co_await signal.wait()` returns at once when the Signal was raised since the last wait, else suspends
  // until it is. At most one waiter. A waiter may find nothing to do: it looks at its sockets and timers
  // again.
  [[nodiscard]] auto wait() { return Awaiter{*this, false}; }

  // `co_await signal.pass()` lets everyone else that is ready run first, then continues: for long work.
  [[nodiscard]] auto pass() { return Awaiter{*this, true}; }

 private:
  friend class ReadyList;
  struct Awaiter {
    Signal& signal;
    bool passes;

    [[nodiscard]] bool await_ready() const noexcept {
      return !passes && std::exchange(signal.raised_, false);
    }
    void await_suspend(std::coroutine_handle<> waiter) const noexcept {
      signal.waiter_ = waiter;
      if (passes) signal.raise();
    }
    static void await_resume() noexcept {}
  };

  ReadyList& ready_;
  std::coroutine_handle<> waiter_;
  bool raised_ = false;
};

inline void ReadyList::run() {
  ChainLink now;
  head_.move_all_to(now);
  while (!now.alone()) {
    auto& signal = static_cast<Signal&>(*now.next);
    signal.unlink();
    signal.raised_ = false;
    std::exchange(signal.waiter_, nullptr).resume();
  }
}

}  // namespace perigee::router
