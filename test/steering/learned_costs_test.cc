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

TEST(LearnedCosts, OctetsPerTokenFollowUsage) {
  LearnedCosts costs;
  EXPECT_EQ(costs.octets_per_token(kChat), LearnedCosts::kOctetsPerToken);
  for (int i = 0; i < 1000; ++i) costs.add(TokenSample{kChat, 2000, 1000});
  EXPECT_NEAR(costs.octets_per_token(kChat), 2, 0.1);
  costs.add(TokenSample{kChat, 0, 1000});
  costs.add(TokenSample{kChat, 1000, 0});
  EXPECT_NEAR(costs.octets_per_token(kChat), 2, 0.1) << "nothing is learned from nothing";
}

TEST(LearnedCosts, ForgetsWhatThePolicyHasNoMore) {
  LearnedCosts costs;
  for (int i = 0; i < 60; ++i) costs.add(ServiceSample{kOne, kChat, 1000, 100ms}, kPrior, kNow);
  costs.keep({kChat}, {kTwo});
  EXPECT_TRUE(costs.refreshed(kOne, kChat).never());
  costs.keep({}, {});
  EXPECT_EQ(costs.service(kOne, kChat, kPrior), kPrior);
}

}  // namespace
}  // namespace perigee
