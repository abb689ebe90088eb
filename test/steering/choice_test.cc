#include "steering/choice.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

namespace perigee {
namespace {

using namespace std::chrono_literals;

class ChoiceTest : public ::testing::Test {
 protected:
  Contender& add(std::uint8_t tier, Nanos network, Nanos wait = 0ms, Nanos service = 0ms) {
    Contender contender;
    contender.endpoint = EndpointId{static_cast<std::uint32_t>(all.size() + 1)};
    contender.tier = tier;
    contender.weight = 100;
    contender.cost = {network, wait, service, 0ms};
    all.push_back(contender);
    return all.back();
  }
  [[nodiscard]] Choice decide(std::uint64_t random = 1) const { return choose(all, law, {random, prefix}); }
  [[nodiscard]] std::vector<int> spread(int count) const {
    std::mt19937_64 random(3);
    std::vector<int> chosen(all.size());
    for (int i = 0; i < count; ++i)
      if (const Choice choice = decide(random()); choice.candidate) ++chosen[*choice.candidate];
    return chosen;
  }

  std::vector<Contender> all;
  ChoiceLaw law;
  std::optional<std::uint64_t> prefix;
};

TEST_F(ChoiceTest, NothingIsLeftOfNothing) {
  EXPECT_FALSE(decide().candidate);
  EXPECT_EQ(decide().rule, Rule::nothing_left);
  add(0, 1ms).barrier = Verdict::tried;
  all[0].retry_at = Instant{77};
  EXPECT_FALSE(decide().candidate);
  EXPECT_EQ(decide().retry_at, Instant{77});
}

TEST_F(ChoiceTest, TheCheaperOfTwoWhateverTheDraw) {
  add(0, 1ms, 40ms, 30ms);
  add(0, 20ms, 0ms, 30ms);
  for (std::uint64_t random = 0; random < 200; ++random) EXPECT_EQ(decide(random).candidate, 1);
  EXPECT_EQ(decide().rule, Rule::less_cost);
  EXPECT_EQ(decide().verdicts[0], Verdict::lost);
}

TEST_F(ChoiceTest, TheDearestOfThreeIsNeverTaken) {
  law.choices = 2;
  add(0, 1ms);
  add(0, 2ms);
  add(0, 3ms);
  const std::vector<int> chosen = spread(9000);
  EXPECT_NEAR(chosen[0], 6000, 200);
  EXPECT_NEAR(chosen[1], 3000, 200);
  EXPECT_EQ(chosen[2], 0);
  law.choices = 3;
  EXPECT_EQ(spread(100)[0], 100);
}

TEST_F(ChoiceTest, SharesOfEqualsAreTheWeights) {
  add(0, 10ms).weight = 100;
  add(0, 10050us).weight = 300;
  add(0, 10ms).weight = 600;
  const std::vector<int> chosen = spread(100'000);
  EXPECT_NEAR(chosen[0], 10'000, 500);
  EXPECT_NEAR(chosen[1], 30'000, 700);
  EXPECT_NEAR(chosen[2], 60'000, 700);
}

TEST_F(ChoiceTest, EqualCostsGoByLoadForTheWeight) {
  add(0, 10ms).load = 4;
  add(0, 10ms).load = 5;
  all[1].weight = 200;
  EXPECT_EQ(decide().candidate, 1) << "5 / 200 against 4 / 100";
  EXPECT_EQ(decide().rule, Rule::less_load);
}

TEST_F(ChoiceTest, TheFirstTierIsLeftForMoreThanTheMarginOnly) {
  add(0, 1ms, 21ms);
  add(0, 1ms, 30ms);
  add(1, 20ms);
  EXPECT_LT(*decide().candidate, 2) << "22 ms against 20 and a margin of 2";
  all[0].cost.wait = 22ms;
  EXPECT_EQ(decide().candidate, 2);
  EXPECT_TRUE(decide().spilled);
  EXPECT_EQ(decide().verdicts[0], Verdict::behind);
}

TEST_F(ChoiceTest, ALaterTierMustBeatTheOneThatIsUsed) {
  add(0, 1ms, 50ms);
  add(1, 20ms, 10ms);
  add(2, 29ms);
  EXPECT_EQ(decide().candidate, 1);
  all[2].cost.network = 27ms;
  EXPECT_EQ(decide().candidate, 2);
}

TEST_F(ChoiceTest, AnUnknownRoundTripIsNoReasonToLeaveATierOrToTakeIt) {
  add(0, 1ms, 500ms).cost.network.reset();
  add(1, 20ms);
  EXPECT_EQ(decide().candidate, 0);
  all[0].cost.network = 1ms;
  all[1].cost.network.reset();
  EXPECT_EQ(decide().candidate, 0);
}

TEST_F(ChoiceTest, BesideAnUnknownRoundTripOnlyTheEndpointsCount) {
  add(0, 90ms, 0ms, 10ms);
  add(0, 1ms, 5ms, 10ms).cost.network.reset();
  EXPECT_EQ(decide().candidate, 0);
}

TEST_F(ChoiceTest, WhatSpeaksAgainstOneGoesBeforeTiersAndCosts) {
  add(0, 1ms).full = true;
  add(0, 1ms).unhealthy = true;
  add(1, 80ms).breaker_open = true;
  EXPECT_EQ(decide().candidate, 0);
  EXPECT_FALSE(decide().panic);
  all[0].barrier = Verdict::tried;
  EXPECT_EQ(decide().candidate, 2);
  EXPECT_TRUE(decide().panic);
  EXPECT_EQ(decide().verdicts[1], Verdict::unhealthy);
}

TEST_F(ChoiceTest, APrefixStaysTogetherWithinItsMargin) {
  for (int i = 0; i < 5; ++i) add(0, 1ms);
  law.affinity_margin = 10ms;
  prefix = 99;
  const std::uint8_t own = *decide().candidate;
  for (std::uint64_t random = 0; random < 100; ++random) EXPECT_EQ(decide(random).candidate, own);
  EXPECT_EQ(decide().rule, Rule::affinity);
  all[own].cost.wait = 11ms;
  EXPECT_NE(decide().candidate, own) << "it costs more than the margin";
  all[own].cost.wait = 0ms;
  all[own].load = 4;  // 1 * 5 / 4 + 2 = 3
  EXPECT_NE(decide().candidate, own) << "it has more than its share";
  prefix.reset();
  all[own].load = 1;
  EXPECT_GT(spread(5000)[(own + 1) % 5], 500);
}

TEST_F(ChoiceTest, AStaleEstimateIsRefreshedNowAndThen) {
  add(0, 10ms);
  add(0, 14ms).stale = true;
  EXPECT_NEAR(spread(20'000)[1], 200, 60);
  all[1].cost.wait = 2ms;  // 16 ms: more than half above
  EXPECT_EQ(spread(20'000)[1], 0);
}

TEST_F(ChoiceTest, AHedgeTakesNothingThatAnythingSpeaksAgainst) {
  law.affinity_margin = 1s;
  prefix = 7;
  add(0, 1ms).full = true;
  add(0, 1ms).unhealthy = true;
  add(1, 1ms).breaker_open = true;
  const auto hedge = [&] { return choose(all, law, {3, prefix, true}); };
  EXPECT_FALSE(hedge().candidate);
  EXPECT_EQ(hedge().rule, Rule::nothing_left);
  EXPECT_EQ(hedge().verdicts[1], Verdict::unhealthy);
  EXPECT_TRUE(decide().candidate) << "another request would";
  add(1, 9ms);
  add(1, 2ms);
  EXPECT_EQ(hedge().candidate, 4) << "and no prefix is looked at";
  EXPECT_EQ(hedge().rule, Rule::hedge);
}

// choose() over what decisive() kept gives the same candidate by the same rule.
TEST_F(ChoiceTest, ARecordGivesTheSameAnswer) {
  std::mt19937_64 random(11);
  std::map<Rule, int> rules;
  for (int round = 0; round < 20'000; ++round) {
    all.clear();
    const std::size_t count = 1 + random() % (round % 2 == 0 ? 8 : kMaxContenders);
    law.choices = static_cast<std::uint32_t>(1 + random() % kMaxChoices);
    law.affinity_margin = Nanos(random() % 2 * 20'000'000);
    law.refresh_one_in = static_cast<std::uint32_t>(1 + random() % 3);
    prefix = random() % 2 == 0 ? std::optional(random()) : std::nullopt;
    for (std::size_t i = 0; i < count; ++i) {
      Contender& one = add(static_cast<std::uint8_t>(random() % 4), Nanos(random() % 40'000'000),
                           Nanos(random() % 20'000'000));
      one.weight = static_cast<std::uint32_t>(1 + random() % 1000);
      one.load = static_cast<std::uint32_t>(1 + random() % 6);
      one.stale = random() % 4 == 0;
      one.full = random() % 3 == 0;
      one.unhealthy = random() % 5 == 0;
      if (random() % 6 == 0) one.cost.network.reset();
      if (random() % 6 == 0) one.barrier = Verdict::residency;
    }
    const Draw draw{random(), prefix, random() % 4 == 0};
    const Choice whole = choose(all, law, draw);
    std::array<Contender, kMaxContenders> kept;
    const auto record = decisive(all, law, draw, kept);
    ASSERT_LE(record.size(), kMaxRecorded);
    const Choice again = choose(record, law, draw);
    ASSERT_EQ(again.candidate.has_value(), whole.candidate.has_value());
    ASSERT_EQ(again.rule, whole.rule) << round;
    ASSERT_EQ(again.spilled, whole.spilled);
    ASSERT_EQ(again.panic, whole.panic);
    if (whole.candidate) {
      ASSERT_EQ(record[*again.candidate].endpoint, all[*whole.candidate].endpoint) << round;
    }
    ++rules[whole.rule];
  }
  EXPECT_EQ(rules.size(), 8U) << "every rule was met";
}

}  // namespace
}  // namespace perigee
