// When a worker may sleep and for how long. Pure: the waiting itself is in waiter.h.
#pragma once

#include <cstdint>

#include "contract/units.h"

namespace perigee {

// How long a worker looks at its ports before it sleeps: after client traffic, and after a packet of our own,
// whose burst has a few more. To look longer spares the next packet a waking, but where clients or endpoints
// share the CPU they wait for it: 50 us doubled their p99 (`scripts/bench dataplane --part paths`).
inline constexpr Nanos kLookAfterTraffic = std::chrono::microseconds(5);
inline constexpr Nanos kLookAfterOwn = std::chrono::microseconds(3);
inline constexpr Nanos kShortestStep = std::chrono::microseconds(50);
inline constexpr Nanos kLongestStep = std::chrono::milliseconds(1);

// What a round over the ports found: packets that went on, packets that ended here, or none.
enum class Found : std::uint8_t { nothing, own, traffic };

// Decides after each round over the ports. `waits_on_all`: every port has a descriptor that wakes us for its
// packets; otherwise the sleep is a step that grows while nothing comes.
class SleepPolicy {
 public:
  SleepPolicy(bool busy, bool waits_on_all) : busy_(busy), waits_on_all_(waits_on_all) {}

  void found(Found what, Instant now);
  // How long to wait after a round that found nothing, from `now` until at most `next_due`; 0: look again at
  // once.
  Nanos rest(Instant now, Instant next_due);

 private:
  bool busy_;
  bool waits_on_all_;
  Instant look_until_;
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
