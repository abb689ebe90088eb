// Coarse timers for one loop: 4 ms ticks, constant time to arm, re-arm and disarm. They bound waits; nothing
// that must leave now ever waits for one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "contract/units.h"
#include "router/chain.h"

namespace perigee::router {

class Signal;
class Timer;

// Hierarchical wheel: level 0 holds ticks one by one, each further level 64 times coarser slots, whose timers
// move down when their time comes near. Knows no clock: the loop tells it the time.
class TimerWheel {
 public:
  static constexpr Nanos kTick = std::chrono::milliseconds(4);
  static constexpr std::size_t kSlots = 64;  // bits of one word: the next used slot is one instruction away
  static constexpr std::size_t kLevels = 4;  // 18 hours; a later timer waits at the end of the top level

  explicit TimerWheel(Instant start);
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // Expires what is due by `now`: raises the Signals. Never before a deadline, at most one tick after it.
  void advance(Instant now);
  // When advance() next has something to do (perhaps only to move timers down); nothing without armed timers.
  [[nodiscard]] std::optional<Instant> next() const;

 private:
  friend class Timer;
  void insert(Timer& timer);
  void remove(Timer& timer);
  [[nodiscard]] std::uint64_t next_tick() const;
  void turn_slot(std::size_t level);

  std::array<std::array<ChainLink, kSlots>, kLevels> slots_;
  std::array<std::uint64_t, kLevels> used_{};  // a bit for each slot that holds timers
  std::uint64_t tick_;                         // the last one advanced to
};

class Timer : private ChainLink {
 public:
  // Both outlive the Timer; Loop::timers() is the wheel.
  Timer(TimerWheel& wheel, Signal& signal) : wheel_(wheel), signal_(signal) {}
  ~Timer() { disarm(); }

  // Raises the Signal once `deadline` (on the loop's clock) has come; replaces an earlier deadline.
  void arm(Instant deadline);
  void disarm();
  [[nodiscard]] bool armed() const { return !alone(); }
  // The deadline came, and the timer was neither armed nor disarmed since.
  [[nodiscard]] bool expired() const { return expired_; }

 private:
  friend class TimerWheel;
  TimerWheel& wheel_;
  Signal& signal_;
  std::uint64_t due_ = 0;    // tick; may be later than the slot it waits in
  std::uint64_t waits_ = 0;  // tick at which the slot it waits in is looked at
  std::uint8_t level_ = 0;
  std::uint8_t slot_ = 0;
  bool expired_ = false;
};

}  // namespace perigee::router
