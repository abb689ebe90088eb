#include "steering/learned_costs.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

using namespace std::chrono_literals;

const ServiceTerms kPrior{50ms, 100'000};
constexpr Instant kNow{5'000'000'000};
constexpr EndpointId kOne{1}, kTwo{2}, kThree{3};
constexpr ServiceId kChat{7}, kOther{8};

double ms(Nanos value) { return static_cast<double>(value.count()) / 1e6; }

TEST(LearnedCosts, AnUnknownEndpointIsAsItsPeersOrElseThePrior) {
  LearnedCosts costs;
  EXPECT_EQ(costs.service(kOne, kChat, kPrior), kPrior);
  for (int i = 0; i < 60; ++i) {
    costs.add(ServiceSample{kOne, kChat, 1000, 100ms}, kPrior, kNow);
    costs.add(ServiceSample{kTwo, kChat, 1000, 200ms}, kPrior, kNow);
  }
  EXPECT_NEAR(ms(costs.service(kThree, kChat, kPrior).of(1000)), 150, 6);
  EXPECT_NEAR(ms(costs.service(kOne, kChat, kPrior).of(1000)), 100, 6);
  EXPECT_EQ(costs.service(kThree, kOther, kPrior), kPrior) << "another model's peers say nothing";
  EXPECT_EQ(costs.refreshed(kOne, kChat), kNow);
  EXPECT_TRUE(costs.refreshed(kThree, kChat).never());
  EXPECT_NEAR(costs.mean_prompt(kChat), 1000, 1);
}

TEST(LearnedCosts, WhatTheEngineSaysCountsUntilItsRequestsSayMore) {
  LearnedCosts costs;
  const PrefillSeen engine{2000, 500ms};
  EXPECT_NEAR(ms(costs.service(kOne, kChat, kPrior, engine).of(2000)), 500, 0.1) << "the prior: 250 ms";
  EXPECT_NEAR(ms(costs.service(kOne, kChat, kPrior, engine).fixed), 100, 0.1) << "both terms, twice as much";
  for (int i = 0; i < 60; ++i) costs.add(ServiceSample{kTwo, kChat, 2000, 100ms}, kPrior, kNow);
  EXPECT_NEAR(ms(costs.service(kOne, kChat, kPrior, engine).of(2000)), 500, 0.1) << "before its peers";
  for (int i = 0; i < 60; ++i) costs.add(ServiceSample{kOne, kChat, 2000, 120ms}, kPrior, kNow);
  EXPECT_NEAR(ms(costs.service(kOne, kChat, kPrior, engine).of(2000)), 120, 12) << "what was seen decides";
  EXPECT_NEAR(ms(costs.service(kThree, kOther, kPrior, PrefillSeen{1, 1h}).of(1)), 32 * ms(kPrior.of(1)), 1)
      << "not any number is believed";
}

TEST(LearnedCosts, OctetsPerTokenFollowUsage) {
  LearnedCosts costs;
  EXPECT_EQ(costs.octets_per_token(kChat), LearnedCosts::kOctetsPerToken);
  for (int i = 0; i < 1000; ++i) costs.add(TokenSample{kChat, 2000, 1000});
  EXPECT_NEAR(costs.octets_per_token(kChat), 2, 0.1);
  costs.add(TokenSample{kChat, 0, 1000});
  costs.add(TokenSample{kChat, 1000, 0});
  EXPECT_NEAR(costs.octets_per_token(kChat), 2, 0.1) << "nothing is learned from nothing";
}

TEST(LearnedCosts, WhatThePolicyHasNoMoreSpeaksForNobodyAndMayComeBack) {
  LearnedCosts costs;
  for (int i = 0; i < 60; ++i) costs.add(ServiceSample{kOne, kChat, 1000, 100ms}, kPrior, kNow);
  const ServiceTerms learned = costs.service(kOne, kChat, kPrior);
  EXPECT_NE(costs.service(kTwo, kChat, kPrior), kPrior) << "as its peer";
  costs.keep({kChat}, {kTwo}, kNow);
  EXPECT_EQ(costs.service(kTwo, kChat, kPrior), kPrior);
  costs.keep({}, {}, kNow + 10min);
  costs.keep({kChat}, {kOne, kTwo}, kNow + 59min);
  EXPECT_EQ(costs.service(kOne, kChat, kPrior), learned);
  EXPECT_NE(costs.service(kTwo, kChat, kPrior), kPrior);
  costs.keep({kChat}, {kTwo}, kNow + 2h);
  costs.keep({kChat}, {kOne, kTwo}, kNow + 3h);
  EXPECT_TRUE(costs.refreshed(kOne, kChat).never()) << "an hour is too long";
}

// Of a policy that names everything anew each time.
TEST(LearnedCosts, OfManyThatLeaveTheOldestAreForgotten) {
  LearnedCosts costs;
  for (std::uint32_t i = 1; i <= LearnedCosts::kMostRetired + 2; ++i) {
    costs.add(ServiceSample{EndpointId{i}, kChat, 1000, 100ms}, kPrior, kNow);
    costs.keep({kChat}, {}, kNow + i * 1ms);
  }
  EXPECT_TRUE(costs.refreshed(EndpointId{1}, kChat).never());
  EXPECT_TRUE(costs.refreshed(EndpointId{2}, kChat).never());
  EXPECT_FALSE(costs.refreshed(EndpointId{3}, kChat).never());
}

}  // namespace
}  // namespace perigee
