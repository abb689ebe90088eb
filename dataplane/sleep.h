// When a worker may sleep and for how long. Pure: the waiting itself is in waiter.h.
#pragma once

#include <cstdint>

#include "contract/units.h"

namespace perigee {

inline constexpr std::uint32_t kEmptyRounds = 32;  // looks at the ports before a sleep
inline constexpr Nanos kShortestStep = std::chrono::microseconds(50);
inline constexpr Nanos kLongestStep = std::chrono::milliseconds(1);

// Decides after each round over the ports. `waits_on_all`: every port has a descriptor that wakes us for its
// packets; otherwise the sleep is a step that grows while nothing comes.
class SleepPolicy {
 public:
  SleepPolicy(bool busy, bool waits_on_all) : busy_(busy), waits_on_all_(waits_on_all) {}

  // How long to wait now, from `now` until at most `next_due`; 0: look again at once.
  Nanos after_round(bool empty, Instant now, Instant next_due);

 private:
  bool busy_;
  bool waits_on_all_;
  std::uint32_t empty_rounds_ = 0;
  Nanos step_ = kShortestStep;
};

// A port whose descriptor reports an error is not waited on for a while, 100 ms and doubling to 1 s: a socket
// of an interface that is down makes every poll() return at once.
class Backoff {
 public:
  static constexpr Nanos kFirst = std::chrono::milliseconds(100);
  static constexpr Nanos kLongest = std::chrono::seconds(1);

  void failed(Instant now);
  void recovered() { *this = Backoff{}; }
  [[nodiscard]] bool due(Instant now) const { return now >= until_; }

 private:
  Instant until_;
  Nanos delay_ = kFirst;
};

}  // namespace perigee
