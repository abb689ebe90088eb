#include "router/gate.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace perigee::router {
namespace {

using State = Gate::Waiter::State;

struct GateTest : testing::Test {
  std::shared_ptr<Gate::Waiter> wait(Priority priority) { return gate.wait(*loop, signal, priority); }

  std::unique_ptr<Loop> loop = Loop::create().value();
  Signal signal{loop->ready()};
  Gate gate;
};

TEST_F(GateTest, LetsInAsManyAsItMay) {
  EXPECT_FALSE(gate.enter()) << "shut until it is told";
  gate.change(2, 10);
  EXPECT_TRUE(gate.enter());
  EXPECT_TRUE(gate.enter());
  EXPECT_FALSE(gate.enter());
  gate.leave();
  EXPECT_TRUE(gate.enter());
  EXPECT_EQ(gate.in_flight(), 2U);
}

TEST_F(GateTest, TheHighestPriorityIsNextAndNobodyOvertakes) {
  gate.change(1, 10);
  ASSERT_TRUE(gate.enter());
  const auto low = wait(Priority::low);
  const auto normal = wait(Priority::normal);
  const auto high = wait(Priority::high);
  const auto later = wait(Priority::high);
  EXPECT_EQ(gate.depths(), (std::array<std::size_t, kPriorities>{2, 1, 1}));
  for (const auto& next : {high, later, normal, low}) {
    EXPECT_EQ(next->state(), State::waiting);
    gate.leave();
    EXPECT_EQ(next->state(), State::granted);
    EXPECT_FALSE(gate.enter()) << "the place is taken";
  }
  gate.leave();
  EXPECT_TRUE(gate.enter());
}

TEST_F(GateTest, AFullQueueGivesUpItsLastOneOfALowerPriority) {
  gate.change(1, 3);
  ASSERT_TRUE(gate.enter());
  const auto normal = wait(Priority::normal);
  const auto low = wait(Priority::low);
  const auto last = wait(Priority::low);
  EXPECT_EQ(wait(Priority::low), nullptr);
  const auto high = wait(Priority::high);
  EXPECT_EQ(last->state(), State::evicted);
  EXPECT_FALSE(gate.give_up(*last));
  EXPECT_EQ(low->state(), State::waiting);
  ASSERT_NE(wait(Priority::normal), nullptr);
  EXPECT_EQ(low->state(), State::evicted);
  EXPECT_EQ(wait(Priority::normal), nullptr) << "nobody has less";
  EXPECT_EQ(high->state(), State::waiting);
  EXPECT_EQ(normal->state(), State::waiting);
}

TEST_F(GateTest, WithoutAQueueNobodyWaits) {
  gate.change(1, 0);
  ASSERT_TRUE(gate.enter());
  EXPECT_EQ(wait(Priority::high), nullptr);
  gate.leave();
  const auto found = wait(Priority::low);
  ASSERT_NE(found, nullptr) << "a place came free in between";
  EXPECT_TRUE(gate.give_up(*found));
}

TEST_F(GateTest, WhoGivesUpMayHaveAPlaceByThen) {
  gate.change(1, 10);
  ASSERT_TRUE(gate.enter());
  const auto one = wait(Priority::normal);
  const auto two = wait(Priority::normal);
  EXPECT_FALSE(gate.give_up(*one));
  gate.leave();
  EXPECT_EQ(one->state(), State::waiting) << "it is out of the queue";
  EXPECT_TRUE(gate.give_up(*two));
}

TEST_F(GateTest, MorePlacesAreGivenAtOnce) {
  gate.change(1, 10);
  ASSERT_TRUE(gate.enter());
  const auto one = wait(Priority::normal);
  const auto two = wait(Priority::normal);
  gate.change(2, 10);
  EXPECT_EQ(one->state(), State::granted);
  EXPECT_EQ(two->state(), State::waiting);
}

TEST_F(GateTest, NoPlaceIsLostBetweenThreads) {
  constexpr int kPlaces = 2;
  gate.change(kPlaces, 100);
  std::atomic<int> inside = 0;
  std::atomic<int> most = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      const auto own = Loop::create().value();
      Signal raised(own->ready());
      for (int k = 0; k < 500; ++k) {
        if (!gate.enter()) {
          const auto waiter = gate.wait(*own, raised, static_cast<Priority>((i + k) % 3));
          while (waiter->state() == State::waiting) std::this_thread::yield();
          ASSERT_TRUE(gate.give_up(*waiter));
        }
        most = std::max(most.load(), ++inside);
        --inside;
        gate.leave();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most, kPlaces);
  EXPECT_EQ(gate.in_flight(), 0U);
}

}  // namespace
}  // namespace perigee::router
