#include "router/signal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "router/task.h"

namespace perigee::router {
namespace {

using testing::ElementsAre;

using Log = std::vector<std::string>;

Task<> wait_times(Signal& signal, std::string name, int times, Log& log) {
  for (int i = 0; i < times; ++i) {
    co_await signal.wait();
    log.push_back(name);
  }
}

TEST(Task, GivesItsValueToTheAwaiter) {
  std::string seen;
  const auto inner = [](int n) -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(n); };
  spawn([](auto make, std::string& out) -> Task<> {
    auto value = co_await make(7);
    out = std::to_string(*value);
  }(inner, seen));
  EXPECT_EQ(seen, "7");
}

TEST(Task, DoesNothingUntilItIsStarted) {
  bool ran = false;
  Task<> task = [](bool& out) -> Task<> {
    out = true;
    co_return;
  }(ran);
  EXPECT_FALSE(ran);
  task.start();
  EXPECT_TRUE(ran);
  EXPECT_TRUE(task.done());
}

TEST(Task, AwaitingWhatEndsAtOnceDoesNotGrowTheStack) {
#ifdef NDEBUG
  constexpr int kTimes = 1'000'000;
#else
  constexpr int kTimes = 1'000;  // GCC makes it a jump only when it optimises
#endif
  struct Counter {
    static Task<int> one() { co_return 1; }
    static Task<> count(int times, int& sum) {
      for (int i = 0; i < times; ++i) sum += co_await one();
    }
  };
  int sum = 0;
  Task<> task = Counter::count(kTimes, sum);
  task.start();
  EXPECT_EQ(sum, kTimes);
}

TEST(Task, EndsWhereItWaitsWhenDestroyed) {
  ReadyList ready;
  auto held = std::make_shared<int>(1);
  {
    Signal signal(ready);
    Task<> task = [](Signal& on, std::shared_ptr<int> value) -> Task<> {
      co_await on.wait();
      *value = 2;
    }(signal, held);
    task.start();
    EXPECT_EQ(held.use_count(), 2);
  }
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_EQ(*held, 1);
}

TEST(Signal, ResumesItsWaiterFromTheReadyListOnly) {
  ReadyList ready;
  Signal signal(ready);
  Log log;
  spawn(wait_times(signal, "a", 1, log));
  signal.raise();
  signal.raise();
  EXPECT_TRUE(log.empty());
  ready.run();
  EXPECT_THAT(log, ElementsAre("a"));
  EXPECT_TRUE(ready.empty());
}

TEST(Signal, RememberedWhileNobodyWaits) {
  ReadyList ready;
  Signal signal(ready);
  Log log;
  signal.raise();
  signal.raise();
  Task<> task = wait_times(signal, "a", 2, log);
  task.start();
  EXPECT_THAT(log, ElementsAre("a"));  // raised twice is raised once
  signal.raise();
  ready.run();
  EXPECT_THAT(log, ElementsAre("a", "a"));
}

TEST(Signal, RunsInTheOrderRaisedAndLeavesNewOnesForTheNextRound) {
  ReadyList ready;
  Signal first(ready);
  Signal second(ready);
  Log log;
  spawn(wait_times(second, "second", 1, log));
  spawn([](Signal& own, Signal& other, Log& out) -> Task<> {
    co_await own.wait();
    out.push_back("first");
    other.raise();
    own.raise();
    co_await own.wait();  // raised: at once
    out.push_back("first again");
  }(first, second, log));
  first.raise();
  ready.run();
  EXPECT_THAT(log, ElementsAre("first", "first again"));
  ready.run();
  EXPECT_THAT(log, ElementsAre("first", "first again", "second"));
}

TEST(Signal, PassLetsTheOthersRunFirst) {
  ReadyList ready;
  Signal own(ready);
  Signal other(ready);
  Log log;
  spawn(wait_times(other, "other", 1, log));
  Task<> busy = [](Signal& signal, Log& out) -> Task<> {
    out.push_back("begin");
    co_await signal.pass();
    out.push_back("end");
  }(own, log);
  other.raise();
  busy.start();
  ready.run();
  EXPECT_THAT(log, ElementsAre("begin", "other", "end"));
}

TEST(Signal, LeavesTheReadyListWhenDestroyed) {
  ReadyList ready;
  Log log;
  std::optional<Signal> gone(std::in_place, ready);
  Signal stays(ready);
  std::optional<Task<>> waiter(wait_times(*gone, "gone", 1, log));
  waiter->start();
  spawn(wait_times(stays, "stays", 1, log));
  gone->raise();
  stays.raise();
  waiter.reset();
  gone.reset();
  ready.run();
  EXPECT_THAT(log, ElementsAre("stays"));
}

TEST(Signal, MayBeDestroyedByOneThatRunsInTheSameRound) {
  ReadyList ready;
  Log log;
  Signal first(ready);
  auto second = std::make_unique<Signal>(ready);
  std::optional<Task<>> waiter(wait_times(*second, "second", 1, log));
  waiter->start();
  spawn([](Signal& own, std::optional<Task<>>& task, std::unique_ptr<Signal>& signal) -> Task<> {
    co_await own.wait();
    task.reset();
    signal.reset();
  }(first, waiter, second));
  first.raise();
  second->raise();
  ready.run();
  EXPECT_TRUE(log.empty());
  EXPECT_TRUE(ready.empty());
}

}  // namespace
}  // namespace perigee::router
