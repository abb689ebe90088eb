#include "steering/service_estimate.h"

#include <gtest/gtest.h>

#include <random>

namespace perigee {
namespace {

using namespace std::chrono_literals;

const ServiceTerms kPrior{50ms, 100'000};  // 0.1 ms a token
constexpr Instant kNow{1'000'000'000};

double ms(Nanos value) { return static_cast<double>(value.count()) / 1e6; }

// Prompts of 100 to 4000 tokens at the given terms, with noise in parts.
void feed(ServiceEstimate& estimate, const ServiceTerms& truth, int count, double noise = 0,
          unsigned seed = 1) {
  std::mt19937 random(seed);
  for (int i = 0; i < count; ++i) {
    const double tokens = 100 + static_cast<double>(random() % 3900);
    const double off = noise * (static_cast<double>(random() % 2001) / 1000 - 1);
    const auto took = static_cast<double>(truth.of(tokens).count()) * (1 + off);
    estimate.add(tokens, Nanos(static_cast<std::int64_t>(took)), kPrior, kNow);
  }
}

TEST(ServiceEstimate, ColdItIsThePrior) {
  const ServiceTerms terms = ServiceEstimate().terms(kPrior);
  EXPECT_NEAR(ms(terms.fixed), 50, 0.001);
  EXPECT_NEAR(terms.ns_per_token, 100'000, 1);
  EXPECT_TRUE(ServiceEstimate().refreshed().never());
}

TEST(ServiceEstimate, FindsTheLine) {
  ServiceEstimate estimate;
  feed(estimate, {20ms, 30'000}, 200);
  const ServiceTerms terms = estimate.terms(kPrior);
  EXPECT_NEAR(ms(terms.of(2000)), 80, 4) << "20 + 2000 * 0.03";
  EXPECT_NEAR(terms.ns_per_token, 30'000, 3000);
  EXPECT_EQ(estimate.refreshed(), kNow);
}

TEST(ServiceEstimate, FindsItInNoise) {
  ServiceEstimate estimate;
  feed(estimate, {20ms, 30'000}, 400, 0.3);
  EXPECT_NEAR(ms(estimate.terms(kPrior).of(2000)), 80, 10);
}

TEST(ServiceEstimate, OneStallMovesLittle) {
  ServiceEstimate estimate;
  feed(estimate, {20ms, 30'000}, 200, 0.05);
  const Nanos before = estimate.terms(kPrior).of(1000);
  estimate.add(1000, 30s, kPrior, kNow);
  EXPECT_NEAR(ms(estimate.terms(kPrior).of(1000)), ms(before), 5);
}

TEST(ServiceEstimate, ALastingChangeIsBelieved) {
  ServiceEstimate estimate;
  feed(estimate, {20ms, 30'000}, 200, 0.05);
  feed(estimate, {60ms, 90'000}, 48, 0.05, 2);
  EXPECT_GT(ms(estimate.terms(kPrior).of(2000)), 160) << "on its way from 80 to 240";
  feed(estimate, {60ms, 90'000}, 150, 0.05, 3);
  EXPECT_NEAR(ms(estimate.terms(kPrior).of(2000)), 240, 24);
}

TEST(ServiceEstimate, NeitherTermIsEverNegative) {
  ServiceEstimate falling;
  for (int i = 0; i < 100; ++i) falling.add(i * 40, 200ms - i * 1ms, {0ms, 0}, kNow);
  EXPECT_GE(falling.terms({0ms, 0}).ns_per_token, 0);
  EXPECT_NEAR(ms(falling.terms({0ms, 0}).fixed), 125, 25) << "their mean, of the last ones mostly";
  ServiceEstimate steep;
  for (int i = 0; i < 100; ++i) steep.add(1000 + i, i * 10ms, {0ms, 0}, kNow);
  EXPECT_GE(steep.terms({0ms, 0}).fixed, 0ms);
  EXPECT_GT(steep.terms({0ms, 0}).ns_per_token, 0);
}

TEST(ServiceEstimate, PromptsOfOneLengthOnlyAreNoTrouble) {
  ServiceEstimate estimate;
  for (int i = 0; i < 100; ++i) estimate.add(500, 40ms, kPrior, kNow);
  EXPECT_NEAR(ms(estimate.terms(kPrior).of(500)), 40, 3);
  EXPECT_NEAR(estimate.terms(kPrior).ns_per_token, 40'000, 4000)
      << "the part of 40 ms that is the prompt's in the prior";
}

}  // namespace
}  // namespace perigee
