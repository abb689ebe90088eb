// The law of steering on one set of paths, step by step.

#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "test/steering/line.h"

namespace perigee {
namespace {

using namespace std::chrono_literals;

TEST(Ranking, OrdersByCost) {
  const Line line = settled();
  EXPECT_EQ(line.order(), "mel/a | mel/b | per/p");
}

TEST(Ranking, AStepSwitchesOnceAfterTheDwell) {
  Line line = settled();
  line.cost("mel/a", 60);
  EXPECT_EQ(line.tick(), RankingChange::none);
  EXPECT_EQ(line.tick(), RankingChange::none);
  EXPECT_EQ(line.tick(), RankingChange::rtt);
  EXPECT_EQ(line.order(), "mel/b | per/p | mel/a");
  line.run(2min);
  EXPECT_EQ(line.changes, 1);
}

TEST(Ranking, ASpikeShorterThanTheDwellDoesNothing) {
  Line line = settled();
  for (int i = 0; i < 100; ++i) {
    line.cost("mel/a", 60);
    line.tick();
    line.tick();
    line.cost("mel/a", 10);
    line.tick();
  }
  EXPECT_EQ(line.changes, 0);
  EXPECT_EQ(line.order().substr(0, 5), "mel/a");
}

TEST(Ranking, BothThresholdsMustBePassed) {
  Line line = settled();
  line.cost("mel/b", 9.05);  // 9.5 % and 0.95 ms better
  line.run(10s);
  EXPECT_EQ(line.changes, 0);
  line.cost("mel/a", 5);
  line.cost("mel/b", 4.2);  // 16 %, but only 0.8 ms
  line.run(10s);
  EXPECT_EQ(line.changes, 0);
  line.cost("mel/b", 3.9);  // both, once the good news is believed
  line.run(30s);
  EXPECT_EQ(line.changes, 1);
}

TEST(Ranking, HoldKeepsASwitchFromBeingUndone) {
  Line line = settled();
  line.cost("mel/a", 60);
  line.run(1s);
  ASSERT_EQ(line.changes, 1);
  line.cost("mel/a", 5);
  line.run(28s);
  EXPECT_EQ(line.changes, 1) << "within the hold";
  line.run(3s);
  EXPECT_EQ(line.changes, 2);
  EXPECT_EQ(line.order().substr(0, 5), "mel/a");
}

TEST(Ranking, FailureSwitchesAtOnceAndTwice) {
  Line line = settled();
  line.usable("mel/a", Usable::link_down);
  EXPECT_EQ(line.tick(), RankingChange::failure);
  EXPECT_EQ(line.order(), "mel/b | per/p");
  line.usable("mel/b", Usable::unhealthy);
  EXPECT_EQ(line.tick(), RankingChange::failure) << "the hold does not keep a dead path";
  EXPECT_EQ(line.order(), "per/p");
  line.usable("per/p", Usable::link_down);
  EXPECT_EQ(line.tick(), RankingChange::failure);
  EXPECT_EQ(line.order(), "");
  line.usable("per/p", Usable::yes);
  EXPECT_EQ(line.tick(), RankingChange::recovery) << "better than nothing, at once";
}

TEST(Ranking, RecoveryWaitsForTheHold) {
  Line line = settled();
  line.usable("mel/a", Usable::link_down);
  line.run(100s);
  line.usable("mel/a", Usable::yes);
  line.tick();
  EXPECT_EQ(line.order(), "mel/b | mel/a | per/p") << "next in line already";
  line.run(29s);
  EXPECT_EQ(line.changes, 1);
  line.run(2s);
  EXPECT_EQ(line.changes, 2);
  EXPECT_EQ(line.last, RankingChange::recovery);
  EXPECT_EQ(line.order(), "mel/a | mel/b | per/p");
}

TEST(Ranking, AFlappingPathIsNotTakenUp) {
  Line line = settled();
  for (int i = 0; i < 100; ++i) {
    line.usable("mel/a", Usable::link_down);
    line.run(10s);
    line.usable("mel/a", Usable::yes);
    line.run(20s);
  }
  EXPECT_EQ(line.changes, 1);
}

TEST(Ranking, TheStartSettlesRightWithoutAHold) {
  Line line;
  line.path("per/p");  // the operator's order begins with the farthest
  line.path("mel/b");
  line.path("mel/a");
  line.tick();
  EXPECT_EQ(line.order(), "per/p | mel/b | mel/a");
  line.cost("per/p", 40);
  line.run(500ms);
  line.cost("mel/b", 14);
  line.run(500ms);
  EXPECT_EQ(line.order().substr(0, 5), "mel/b");
  line.cost("mel/a", 10);
  line.run(500ms);
  EXPECT_EQ(line.order(), "mel/a | mel/b | per/p");
  EXPECT_TRUE(line.ranking.settled);
  EXPECT_EQ(line.last, RankingChange::initial);
}

TEST(Ranking, APathThatIsNeverMeasuredDelaysTheHoldByThreeWindows) {
  Line line;
  line.cost("mel/a", 10);
  line.path("mel/b");
  line.run(29s);
  EXPECT_FALSE(line.ranking.settled);
  line.run(2s);
  EXPECT_TRUE(line.ranking.settled);
  EXPECT_EQ(line.order(), "mel/a | mel/b") << "unknown comes last";
}

TEST(Ranking, UnknownIsNeverZero) {
  Line line;
  line.path("mel/a");
  line.cost("per/p", 400);
  line.tick();
  EXPECT_EQ(line.order(), "per/p | mel/a");
}

TEST(Ranking, UnknownKeepsItsPlaceForThreeWindowsThenIsLast) {
  Line line = settled();
  line.forget("mel/a");
  line.run(29s);
  EXPECT_EQ(line.changes, 0);
  line.run(2s);
  EXPECT_EQ(line.changes, 1);
  EXPECT_EQ(line.order(), "mel/b | per/p | mel/a");
}

TEST(Ranking, WithNothingMeasuredTheLastOrderStays) {
  Line line = settled();
  for (const char* name : {"mel/a", "mel/b", "per/p"}) line.forget(name);
  line.run(10min);
  EXPECT_EQ(line.order(), "mel/a | mel/b | per/p");
  // The data plane is back, and the farthest link answers first.
  line.cost("per/p", 40);
  line.run(2s);
  line.cost("mel/b", 14);
  line.run(2s);
  line.cost("mel/a", 10);
  line.run(1min);
  EXPECT_EQ(line.changes, 0);
}

TEST(Ranking, EqualPathsOfTwoPopsShareATier) {
  Line line;
  line.cost("mel/a", 10);
  line.cost("mel/b", 10.05);
  line.cost("per/p", 10.1);
  line.settle();
  EXPECT_EQ(line.order(), "mel/a per/p | mel/b") << "a PoP is once in a tier";
  line.cost("per/p", 14.9);
  line.run(1min);
  EXPECT_EQ(line.order(), "mel/a per/p | mel/b") << "within 1.5 of the best";
  line.cost("per/p", 17);
  line.run(1min);
  EXPECT_EQ(line.order(), "mel/a | mel/b | per/p");
  line.cost("per/p", 12.3);  // nearer, but beyond 1.2
  line.run(1min);
  EXPECT_EQ(line.order().substr(0, 7), "mel/a |");
  line.cost("per/p", 10.5);
  line.run(1min);
  EXPECT_EQ(line.order().substr(0, 11), "mel/a per/p");
}

TEST(Ranking, AChallengerWithinTheBandSharesAndOneFarBetterTakesOver) {
  Line line = settled();
  line.cost("per/p", 9);
  line.run(1min);
  EXPECT_EQ(line.order(), "per/p mel/a | mel/b");
  EXPECT_EQ(line.ranked("per/p").share, 1000U);
  EXPECT_EQ(line.ranked("mel/a").share, 900U) << "in proportion to 1/cost";
  line.cost("per/p", 5);
  line.run(1min);
  EXPECT_EQ(line.order(), "per/p | mel/a | mel/b");
}

TEST(Ranking, AStepOfOneThatSharesIsOneChange) {
  Line line;
  line.cost("mel/a", 10);
  line.cost("per/p", 11);
  line.settle();
  ASSERT_EQ(line.order(), "mel/a per/p");
  line.cost("mel/a", 90);
  int orders = 0;
  std::string order = line.order();
  line.tick();
  EXPECT_EQ(line.ranked("mel/a").share, 800U) << "its flows become less at once";
  for (int i = 0; i < 600; ++i) {
    line.tick();
    if (std::exchange(order, line.order()) != order) ++orders;
  }
  EXPECT_EQ(order, "per/p | mel/a");
  EXPECT_EQ(orders, 1);
}

TEST(Ranking, InAMetroTheBandOfEqualCostsHasAHysteresisToo) {
  Line line;
  line.law.hysteresis_absolute = 100us;
  line.cost("mel/a", 0.2);
  line.cost("per/p", 0.29);
  line.settle();
  EXPECT_EQ(line.order(), "mel/a per/p") << "within 100 us";
  for (int i = 0; i < 1000; ++i) {
    line.cost("per/p", i % 20 < 10 ? 0.33 : 0.28);
    line.tick();
  }
  EXPECT_EQ(line.changes, 0);
  line.cost("per/p", 0.41);
  line.run(1min);
  EXPECT_EQ(line.order(), "mel/a | per/p");
}

TEST(Ranking, ALocalPathIsNotDividedByItsCost) {
  Line line;
  line.cost("syd/-", 0);
  line.cost("mel/a", 0.08);
  line.cost("per/p", 0.2);
  line.settle();
  EXPECT_EQ(line.order(), "syd/- mel/a | per/p");
  EXPECT_EQ(line.ranked("mel/a").share, 1000U) << "within 100 us: equal";
}

TEST(Ranking, StandbyTiersAreWhatWouldBeActiveNext) {
  Line line;
  line.cost("mel/a", 10);
  line.cost("mel/b", 14);
  line.cost("per/p", 44);
  line.cost("bne/n", 40);
  line.settle();
  EXPECT_EQ(line.order(), "mel/a | mel/b | bne/n per/p");
  EXPECT_EQ(line.ranked("per/p").share, 950U);
  line.usable("mel/a", Usable::unhealthy);
  line.usable("mel/b", Usable::unhealthy);
  line.tick();
  EXPECT_EQ(line.order(), "bne/n per/p");
}

TEST(Ranking, BadNewsCountsAtOnceAndGoodNewsByHalves) {
  Line line = settled();
  const auto damped = [&] { return static_cast<double>(line.ranked("mel/b").damped->count()) / 1e6; };
  line.cost("mel/b", 60);
  line.tick();
  EXPECT_DOUBLE_EQ(damped(), 60);
  line.cost("mel/b", 20);
  line.run(3900ms);
  EXPECT_DOUBLE_EQ(damped(), 60);
  line.run(300ms);
  EXPECT_DOUBLE_EQ(damped(), 40);
  line.run(4s);
  EXPECT_DOUBLE_EQ(damped(), 30);
  line.cost("mel/b", 31);
  line.tick();
  line.cost("mel/b", 20);
  line.run(3900ms);
  EXPECT_DOUBLE_EQ(damped(), 30) << "good news begins anew after a break";
  line.run(1min);
  EXPECT_DOUBLE_EQ(damped(), 20);
}

TEST(Ranking, AShareMovesByAFifthOfItselfAtMost) {
  Line line = settled();
  line.cost("per/p", 10);
  line.run(1min);
  ASSERT_EQ(line.order(), "mel/a per/p | mel/b");
  line.cost("per/p", 14.7);
  std::vector<std::uint32_t> shares;
  for (int i = 0; i < 4; ++i) {
    line.tick();
    shares.push_back(line.ranked("per/p").share);
  }
  EXPECT_EQ(shares, (std::vector<std::uint32_t>{800, 700, 700, 700}));
}

TEST(Ranking, APathThatLeavesAgainAndAgainWaitsLongerEachTime) {
  Line line = settled();
  std::vector<int> waits;  // in seconds, from usable to taken up
  for (int i = 0; i < 4; ++i) {
    line.usable("mel/a", Usable::link_down);
    line.run(5s);
    line.usable("mel/a", Usable::yes);
    int waited = 0;
    for (; line.order().substr(0, 5) != "mel/a"; ++waited) line.run(1s);
    waits.push_back(waited);
    line.run(1s);
  }
  EXPECT_NEAR(waits[0], 30, 1);
  EXPECT_GT(waits[1], 45);
  EXPECT_GT(waits[2], waits[1] + 15);
  EXPECT_GT(waits[3], waits[2] + 15);
  line.run(60min);  // forgotten
  line.usable("mel/a", Usable::link_down);
  line.run(5s);
  line.usable("mel/a", Usable::yes);
  line.run(32s);
  EXPECT_EQ(line.order().substr(0, 5), "mel/a");
}

TEST(Ranking, TheOperatorsWordActsAtOnce) {
  Line line = settled();
  line.path("mel/a").cost.policy = ms(20);
  EXPECT_EQ(line.tick(), RankingChange::policy);
  EXPECT_EQ(line.order(), "mel/b | mel/a | per/p");
  line.usable("mel/b", Usable::drained);
  EXPECT_EQ(line.tick(), RankingChange::policy);
  line.usable("mel/b", Usable::yes);
  EXPECT_EQ(line.tick(), RankingChange::policy) << "no hold for what the operator gives back";
  line.cost("bne/n", 3);
  EXPECT_EQ(line.tick(), RankingChange::policy) << "a new path";
  EXPECT_EQ(line.order().substr(0, 5), "bne/n");
}

TEST(Ranking, CapacitySpillsAtOnce) {
  Line line = settled();
  line.usable("mel/a", Usable::full);
  line.usable("mel/b", Usable::full);
  EXPECT_EQ(line.tick(), RankingChange::capacity);
  EXPECT_EQ(line.order(), "per/p");
}

}  // namespace
}  // namespace perigee
