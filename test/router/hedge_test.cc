// How often a second attempt may go, and when.
#include "router/hedge.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace perigee::router {
namespace {

using namespace std::chrono_literals;

struct HedgeTest : testing::Test {
  int takes(int most, std::uint64_t tokens) {
    int taken = 0;
    while (taken < most && take(counters, tokens)) ++taken;
    return taken;
  }
  std::optional<Nanos> after(std::uint32_t samples) {
    look_at_times(counters, {20'000, samples});
    return hedge_after(counters, HedgeKind::stream);
  }
  void see(Nanos took, int times) {
    for (int i = 0; i < times; ++i) add_first_event(counters, HedgeKind::stream, took);
  }

  HedgeCounters counters;
  HedgeLaw law;
};

TEST_F(HedgeTest, NothingIsTakenThatWasNotEarned) {
  EXPECT_EQ(takes(1, 0), 0);
  for (int i = 0; i < 40; ++i) earn(counters, law, 100);
  EXPECT_EQ(takes(1, 100), 0);
  for (int i = 0; i < 20; ++i) earn(counters, law, 100);
  EXPECT_EQ(takes(5, 100), 1);
}

TEST_F(HedgeTest, ALongPromptNeedsItsTokensToo) {
  for (int i = 0; i < 200; ++i) earn(counters, law, 100);
  EXPECT_EQ(takes(1, 1000), 0) << "200 * 100 tokens are worth 400";
  EXPECT_EQ(takes(5, 100), 3) << "and the place it asked for was given back";
}

TEST_F(HedgeTest, WhatIsNotUsedFades) {
  for (int i = 0; i < 100'000; ++i) earn(counters, law, 1000);
  EXPECT_EQ(takes(100, 1000), 10) << "not 2000 at once";
}

TEST_F(HedgeTest, TheShareHoldsOverAllThreads) {
  constexpr int kEach = 20'000;
  std::atomic<int> taken = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        earn(counters, law, 500);
        if (i % 3 == 0 && take(counters, 500)) ++taken;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(taken, 4 * kEach / 50);
  EXPECT_GT(taken, 4 * kEach / 50 * 9 / 10) << "and is used";
  EXPECT_GE(counters.requests, 0);
  EXPECT_GE(counters.tokens, 0);
}

TEST_F(HedgeTest, NothingIsKnownBeforeEnoughWasSeen) {
  see(10ms, 19);
  EXPECT_EQ(after(20), std::nullopt);
  see(10ms, 1);
  ASSERT_TRUE(after(20));
  EXPECT_FALSE(hedge_after(counters, HedgeKind::embeddings)) << "each kind by itself";
}

TEST_F(HedgeTest, AfterIsWhatNinetyFiveOfAHundredTookLessThan) {
  see(10ms, 95);
  see(800ms, 5);
  EXPECT_GE(after(20).value(), 10ms);
  EXPECT_LT(after(20).value(), 12ms);
  see(800ms, 5);
  EXPECT_GE(after(20).value(), 800ms) << "more than five of a hundred took so long";
  EXPECT_LT(after(20).value(), 910ms);
}

TEST_F(HedgeTest, TimesFarApartHaveBucketsOfTheirOwn) {
  for (const Nanos took : {Nanos(0), Nanos(3us), Nanos(1ms), Nanos(90s), Nanos(2h)}) {
    HedgeCounters own;
    for (int i = 0; i < 20; ++i) add_first_event(own, HedgeKind::stream, took);
    look_at_times(own, {20'000, 20});
    const Nanos after = hedge_after(own, HedgeKind::stream).value();
    EXPECT_GT(after, std::min<Nanos>(took, 1h)) << took.count();
    EXPECT_LE(after, took + took / 8 + 1us) << took.count();
  }
}

TEST_F(HedgeTest, OldTimesAreForgotten) {
  see(800ms, 3000);
  EXPECT_GT(after(20).value(), 800ms);
  for (int i = 0; i < 12; ++i) {
    see(10ms, 1000);
    (void)after(20);
  }
  EXPECT_LT(after(20).value(), 12ms);
}

TEST_F(HedgeTest, AnEngineSaysWhetherItQueuesElseItsCapacityDoes) {
  const auto queues = [](std::int64_t waiting, bool full, Verdict barrier) {
    std::vector<Contender> all(2);
    all[1].barrier = barrier;
    all[1].full = full;
    all[1].read.engine_waiting = waiting;
    return any_queues(all);
  };
  EXPECT_FALSE(queues(-1, false, Verdict::chosen));
  EXPECT_TRUE(queues(-1, true, Verdict::chosen));
  EXPECT_FALSE(queues(0, true, Verdict::chosen)) << "the engine knows better";
  EXPECT_TRUE(queues(1, false, Verdict::chosen));
  EXPECT_TRUE(queues(1, false, Verdict::tried)) << "where the first attempt is";
  EXPECT_TRUE(queues(1, false, Verdict::same_pop));
  EXPECT_TRUE(queues(-1, false, Verdict::retry_after)) << "it said so itself";
  EXPECT_FALSE(queues(1, false, Verdict::residency)) << "no candidate of this request";
}

}  // namespace
}  // namespace perigee::router
