// The event loop of one thread: sockets, timers, signals and work posted by other threads. Everything it owns
// or calls runs on that thread; only post() and stop() may come from elsewhere.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "contract/error.h"
#include "contract/units.h"
#include "router/chain.h"
#include "router/signal.h"
#include "router/timer_wheel.h"

namespace perigee::router {

// What owns a descriptor in the loop's epoll set.
class Watched {
 public:
  // `events`: EPOLL* bits. Raise Signals here; close nothing but yourself.
  virtual void on_events(std::uint32_t events) = 0;

 protected:
  ~Watched() = default;
};

// Work for the end of the turn in which it was asked for, once: writes gathered from all that ran before.
class TurnEnd : private ChainLink {
 public:
  virtual void on_turn_end() = 0;

 protected:
  ~TurnEnd() = default;

 private:
  friend class Loop;
};

class Loop final : private Watched {
 public:
  // Fails when the system gives no descriptors.
  static Result<std::unique_ptr<Loop>> create();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Until stop(). A turn: sockets, posted work, timers, then those that are ready, then the turn's end.
  void run();
  void stop();
  void post(std::function<void()> work);

  // Read once a turn: the same for everything in it.
  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] std::chrono::system_clock::time_point wall_now() const;

  [[nodiscard]] ReadyList& ready() { return ready_; }
  [[nodiscard]] TimerWheel& timers() { return timers_; }
  void at_turn_end(TurnEnd& work);

  // Adds `fd` to the set with EPOLL* `events`. False: the system refused (errno says why).
  [[nodiscard]] bool watch(int fd, std::uint32_t events, Watched& watched);
  // Before `fd` is closed or `watched` goes; events already fetched for it are dropped.
  // Nothing happens when `fd` is not watched.
  void unwatch(int fd);

 private:
  static constexpr int kEventsPerTurn = 256;  // more wait in the kernel, in order
  static constexpr int kRoundsPerTurn = 8;    // signals that raise each other let sockets in after this many

  struct Watch {
    Watched* watched = nullptr;
    std::uint32_t generation = 0;  // tells a stale event from one for a new socket with the same number
  };

  Loop(int epoll_fd, int wake_fd);
  [[nodiscard]] int timeout_ms() const;
  void dispatch(std::uint64_t token, std::uint32_t events);
  void on_events(std::uint32_t events) override;  // was woken: runs posted work
  void finish_turn();
  void wake();

  const int epoll_fd_;
  const int wake_fd_;
  Instant now_;
  mutable std::optional<std::chrono::system_clock::time_point> wall_now_;
  ReadyList ready_;
  TimerWheel timers_;
  ChainLink turn_end_;
  std::vector<Watch> watches_;  // by descriptor
  std::atomic<bool> stopped_ = false;
  std::mutex posted_mutex_;  // taken by post(), and by the loop only when it was woken
  std::vector<std::function<void()>> posted_;
};

}  // namespace perigee::router
