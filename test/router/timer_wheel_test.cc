#include "router/timer_wheel.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "router/signal.h"

namespace perigee::router {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Instant kStart{1'234'567'890'123};

struct Clock {
  Instant now = kStart;
  ReadyList ready;
  TimerWheel wheel{kStart};
  Signal signal{ready};

  void pass(Nanos time) {
    now = now + time;
    wheel.advance(now);
  }
  // As a loop does: wakes only when the wheel says so. Returns the number of times.
  int sleep_until(Instant end) {
    int wakes = 0;
    while (const auto next = wheel.next()) {
      if (*next > end) break;
      EXPECT_GT(*next, now);
      now = *next;
      wheel.advance(now);
      ++wakes;
    }
    now = end;
    wheel.advance(now);
    return wakes;
  }
};

TEST(TimerWheel, AsksForNoWakeWithoutTimers) {
  Clock clock;
  EXPECT_EQ(clock.wheel.next(), std::nullopt);
  Timer timer(clock.wheel, clock.signal);
  EXPECT_EQ(clock.wheel.next(), std::nullopt);
  timer.arm(clock.now + seconds(75));
  EXPECT_NE(clock.wheel.next(), std::nullopt);
  timer.disarm();
  EXPECT_EQ(clock.wheel.next(), std::nullopt);
}

TEST(TimerWheel, NeverExpiresEarlyAndAtMostATickLate) {
  for (const Nanos after : std::initializer_list<Nanos>{
           Nanos(1), milliseconds(3), milliseconds(4), milliseconds(255), milliseconds(256),
           milliseconds(257), seconds(10), seconds(16), seconds(75), hours(1), hours(20), hours(50)}) {
    Clock clock;
    Timer timer(clock.wheel, clock.signal);
    const Instant deadline = kStart + after;
    timer.arm(deadline);
    clock.sleep_until(deadline - Nanos(1));
    EXPECT_FALSE(timer.expired()) << after.count();
    clock.sleep_until(deadline + TimerWheel::kTick);
    EXPECT_TRUE(timer.expired()) << after.count();
    EXPECT_FALSE(timer.armed());
  }
}

TEST(TimerWheel, ADeadlineThatHasPassedExpiresAtTheNextTick) {
  Clock clock;
  Timer timer(clock.wheel, clock.signal);
  timer.arm(kStart - seconds(5));
  EXPECT_FALSE(timer.expired());
  clock.pass(TimerWheel::kTick);
  EXPECT_TRUE(timer.expired());
}

TEST(TimerWheel, ALaterDeadlineReplacesAnEarlierOneAndViceVersa) {
  Clock clock;
  Timer timer(clock.wheel, clock.signal);
  timer.arm(clock.now + seconds(1));
  timer.arm(clock.now + seconds(5));
  clock.sleep_until(kStart + seconds(4));
  EXPECT_FALSE(timer.expired());
  timer.arm(clock.now + milliseconds(100));
  clock.sleep_until(kStart + seconds(4) + milliseconds(104));
  EXPECT_TRUE(timer.expired());
  timer.arm(clock.now + seconds(1));
  EXPECT_FALSE(timer.expired());
}

TEST(TimerWheel, RearmingForEachRequestCostsNoWakes) {
  Clock clock;
  Timer idle(clock.wheel, clock.signal);
  for (int request = 0; request < 100'000; ++request) {
    idle.arm(clock.now + seconds(75));
    clock.now = clock.now + milliseconds(1);
    if (const auto next = clock.wheel.next(); next && *next <= clock.now) clock.wheel.advance(clock.now);
  }
  EXPECT_LE(clock.sleep_until(clock.now + seconds(80)), 8);
  EXPECT_TRUE(idle.expired());
}

TEST(TimerWheel, RaisesTheSignal) {
  Clock clock;
  Timer timer(clock.wheel, clock.signal);
  timer.arm(clock.now + milliseconds(10));
  clock.pass(seconds(1));
  // Raised: a wait now does not suspend.
  EXPECT_TRUE(clock.signal.wait().await_ready());
}

TEST(TimerWheel, ADestroyedTimerIsGone) {
  Clock clock;
  {
    Timer timer(clock.wheel, clock.signal);
    timer.arm(clock.now + milliseconds(10));
  }
  clock.pass(seconds(1));
  EXPECT_FALSE(clock.signal.wait().await_ready());
}

// Many timers armed, re-armed and disarmed at random, against their deadlines in plain.
TEST(TimerWheel, KeepsToEveryDeadline) {
  std::mt19937_64 random(20261130);
  Clock clock;
  struct Kept {
    std::unique_ptr<Timer> timer;
    std::optional<Instant> deadline;
  };
  std::vector<Kept> all(300);
  for (Kept& kept : all) kept.timer = std::make_unique<Timer>(clock.wheel, clock.signal);
  for (int step = 0; step < 20'000; ++step) {
    Kept& kept = all[random() % all.size()];
    if (random() % 4 == 0) {
      kept.timer->disarm();
      kept.deadline.reset();
    } else {
      const Nanos longest =
          std::array<Nanos, 4>{milliseconds(20), seconds(1), seconds(100), hours(2)}[random() % 4];
      kept.deadline =
          clock.now +
          Nanos(static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(longest.count())));
      kept.timer->arm(*kept.deadline);
    }
    clock.pass(
        Nanos(static_cast<std::int64_t>(random() % (random() % 50 == 0 ? 60'000'000'000U : 9'000'000U))));
    std::optional<Instant> earliest;
    for (Kept& each : all) {
      if (each.timer->expired()) {
        ASSERT_TRUE(each.deadline && *each.deadline <= clock.now);
        each.timer->disarm();
        each.deadline.reset();
      } else if (each.deadline) {
        ASSERT_GT(*each.deadline, clock.now - TimerWheel::kTick);
        if (!earliest || *each.deadline < *earliest) earliest = each.deadline;
      }
    }
    ASSERT_EQ(clock.wheel.next().has_value(), earliest.has_value());
    if (earliest) {
      ASSERT_LE(*clock.wheel.next(), *earliest + TimerWheel::kTick);
    }
  }
}

}  // namespace
}  // namespace perigee::router
