// What makes each rule the one it is named for, by what it is told alone.
#include "simulator/rules.h"

#include <gtest/gtest.h>

#include <map>

#include "simulator/world.h"

namespace perigee::simulator {
namespace {

using namespace std::chrono_literals;

class Rules : public ::testing::Test {
 protected:
  Rules() : scenario_(), situation_{&scenario_, 1, {}, {}, {}}, world_(situation_, RuleKind::nearest, {}) {
    for (const auto rtt : {5ms, 5ms, 40ms}) {
      EndpointKnowledge endpoint;
      endpoint.placed = {true, rtt > 10ms ? 1U : 0U, 100, {}};
      endpoint.placed.path.rtt = rtt;
      endpoint.declared_rtt = rtt;
      known_.endpoints.push_back(endpoint);
    }
  }

  // How often each endpoint is chosen of 600.
  std::map<int, int> shares(RuleKind rule, const Tuning& tuning) {
    const auto dispatcher = make_dispatcher(rule, tuning, world_, 0);
    dispatcher->placed(known_, kStart);
    std::map<int, int> shares;
    for (std::uint32_t i = 0; i < 600; ++i) {
      const auto chosen = dispatcher->choose(known_, {i, 4000, 0, 0, kStart + 1s}, random_);
      ++shares[chosen ? *chosen : -1];
    }
    return shares;
  }

  Scenario scenario_;
  Situation situation_;
  World world_;
  Knowledge known_;
  Random random_{1};
};

TEST_F(Rules, NoneSendsToWhatCannotBeReached) {
  known_.endpoints[0].placed.usable = false;
  for (const RuleKind rule : kAllRules) {
    if (rule == RuleKind::oracle) continue;  // it looks at the links themselves
    EXPECT_EQ(shares(rule, tuned(rule)).count(0), 0U) << name_of(rule);
  }
  for (EndpointKnowledge& endpoint : known_.endpoints) endpoint.placed.usable = false;
  for (const RuleKind rule : kAllRules) {
    if (rule == RuleKind::oracle) continue;
    EXPECT_EQ(shares(rule, tuned(rule))[-1], 600) << name_of(rule);
  }
}

TEST_F(Rules, NearestTakesTheDeclaredNearestInTurn) {
  known_.endpoints[0].placed.path.rtt = 500ms;  // what is measured does not matter to it
  EXPECT_EQ(shares(RuleKind::nearest, {}), (std::map<int, int>{{0, 300}, {1, 300}}));
}

TEST_F(Rules, NearestWithSpillGoesOnWhenTheNearestIsFull) {
  EXPECT_EQ(shares(RuleKind::nearest_spill, {8, 0}).count(2), 0U);
  known_.endpoints[0].in_flight = known_.endpoints[1].in_flight = 8;
  EXPECT_EQ(shares(RuleKind::nearest_spill, {8, 0})[2], 600);
  known_.endpoints[2].in_flight = 9;
  EXPECT_EQ(shares(RuleKind::nearest_spill, {8, 0}).count(2), 0U) << "all are full: the least";
}

TEST_F(Rules, RoundRobinTakesAllInTurn) {
  EXPECT_EQ(shares(RuleKind::round_robin, {}), (std::map<int, int>{{0, 200}, {1, 200}, {2, 200}}));
}

TEST_F(Rules, LeastRequestsTakesTheLeast) {
  known_.endpoints[0].in_flight = 2;
  known_.endpoints[1].in_flight = 3;
  known_.endpoints[2].in_flight = 1;
  EXPECT_EQ(shares(RuleKind::least_requests, {})[2], 600);
}

TEST_F(Rules, TwoChoicesNeverTakesTheWorstUnlessItIsDrawnTwice) {
  known_.endpoints[2].in_flight = 9;
  EXPECT_NEAR(shares(RuleKind::two_choices, {})[2], 600 / 9, 25);
}

TEST_F(Rules, PeakEwmaJumpsToAPeakAndForgetsIt) {
  const auto dispatcher = make_dispatcher(RuleKind::peak_ewma, {10, 1}, world_, 0);
  const auto choose = [&](Instant now) { return *dispatcher->choose(known_, {0, 4000, 0, 0, now}, random_); };
  Instant now = kStart;
  choose(now);
  for (std::uint16_t e = 0; e < 3; ++e) dispatcher->first_event(known_, {0, 0, 0, e, now}, now + 50ms);
  dispatcher->first_event(known_, {0, 0, 0, 0, now}, now + 1s);
  for (int i = 0; i < 50; ++i) EXPECT_NE(choose(now + 1s), 0);
  known_.endpoints[1].in_flight = known_.endpoints[2].in_flight = 40;
  EXPECT_EQ(choose(now + 1s), 0) << "times in flight + 1";
}

TEST_F(Rules, LeastLoadCountsWhatWaitsAndWhatWasSentSince) {
  for (EndpointKnowledge& endpoint : known_.endpoints) endpoint.metrics = EngineMetrics{};
  known_.endpoints[0].metrics->waiting = 3;
  known_.endpoints[1].octets_since = 8000;
  EXPECT_EQ(shares(RuleKind::least_load, {0.15, 0})[2], 600);
  known_.endpoints[2].metrics->kv_usage = 0.97;  // 5 s at 0.15
  EXPECT_EQ(shares(RuleKind::least_load, {0.15, 0})[1], 600);
}

TEST_F(Rules, RttOnlyGoesByWhatIsMeasured) {
  EXPECT_EQ(shares(RuleKind::rtt_only, {0, 0}).count(2), 0U);
  EXPECT_NEAR(shares(RuleKind::rtt_only, {1, 0})[2], 600.0 / 17, 20) << "1/40 of 1/5 + 1/5 + 1/40";
  known_.endpoints[0].placed.path.rtt = known_.endpoints[1].placed.path.rtt = 90ms;
  EXPECT_EQ(shares(RuleKind::rtt_only, {0, 0})[2], 600);
}

TEST_F(Rules, OursWaitsInTheNearTierOnlyAsLongAsTheWayToTheNextIsLonger) {
  EXPECT_EQ(shares(RuleKind::ours, {2, 2}).count(2), 0U);
  for (EndpointKnowledge& endpoint : known_.endpoints) {
    endpoint.metrics = EngineMetrics{};
    endpoint.metrics_at = kStart + 1s;
  }
  const auto dispatcher = make_dispatcher(RuleKind::ours, {2, 2}, world_, 0);
  dispatcher->placed(known_, kStart);
  for (std::uint32_t i = 0; i < 6; ++i) {
    dispatcher->choose(known_, {i, 40'000, 0, 0, kStart + 1s}, random_);
    dispatcher->dispatched(known_, {i, 40'000, 0, static_cast<std::uint16_t>(i % 2), kStart + 1s});
  }
  EXPECT_EQ(*dispatcher->choose(known_, {7, 400, 0, 0, kStart + 1s}, random_), 2);
}

TEST_F(Rules, NamesAndGridsFit) {
  for (const RuleKind rule : kAllRules) {
    EXPECT_EQ(rule_of(name_of(rule)), rule);
    const Grid grid = grid_of(rule);
    EXPECT_NE(std::find(grid.points.begin(), grid.points.end(), tuned(rule)), grid.points.end())
        << name_of(rule) << ": what is frozen is a point of the grid";
  }
  EXPECT_FALSE(rule_of("best"));
}

}  // namespace
}  // namespace perigee::simulator
