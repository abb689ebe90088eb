#include "steering/engine_rate.h"

#include <gtest/gtest.h>

#include <cmath>

namespace perigee {
namespace {

using namespace std::chrono_literals;

// An engine that is looked at every 250 ms.
struct Looks {
  EngineRate rate;
  EngineLoad load{.taken = Instant{1'000'000'000}, .waiting = 0, .prompt_tokens_total = 0};

  void look(std::uint32_t waiting, std::uint64_t tokens, Nanos after = 250ms) {
    load.taken = load.taken + after;
    load.waiting = waiting;
    *load.prompt_tokens_total += tokens;
    rate.take(load);
  }
};

TEST(EngineRate, UnknownUntilItWasBusyForASecond) {
  Looks looks;
  looks.look(3, 0);
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(looks.rate.prefill_rate()) << i;
    looks.look(3, 2000);
  }
  EXPECT_FALSE(looks.rate.prefill_rate()) << "the first quarters have faded a little";
  looks.look(3, 2000);
  ASSERT_TRUE(looks.rate.prefill_rate());
  EXPECT_NEAR(*looks.rate.prefill_rate(), 8000, 1);
}

TEST(EngineRate, WithoutAQueueAtBothEndsItSaysNothing) {
  Looks looks;
  for (int i = 0; i < 100; ++i) looks.look(i % 2 == 0 ? 0 : 5, 100);
  EXPECT_FALSE(looks.rate.prefill_rate());
  looks.load.waiting.reset();
  for (int i = 0; i < 100; ++i) looks.look(0, 100);
  EXPECT_FALSE(looks.rate.prefill_rate());
}

TEST(EngineRate, PrefillTimesAreThoseBetweenTwoReadings) {
  Looks looks;
  looks.look(0, 0);
  looks.load.prefill_seconds = EngineLoad::Observed{4000, 1000};  // of another day
  looks.look(0, 0);
  EXPECT_FALSE(looks.rate.prefill_time());
  const auto see = [&](double count, double each) {
    looks.load.prefill_seconds->count += count;
    looks.load.prefill_seconds->sum += count * each;
    looks.look(0, 0);
  };
  see(4, 0.2);
  EXPECT_FALSE(looks.rate.prefill_time()) << "too few";
  see(2, 0.2);
  ASSERT_TRUE(looks.rate.prefill_time());
  EXPECT_NEAR(static_cast<double>(looks.rate.prefill_time()->count()), 0.2e9, 1e3);
  looks.load.prefill_seconds = EngineLoad::Observed{0.05, 1};
  looks.look(0, 0);
  looks.load.prefill_seconds = EngineLoad::Observed{0.01, 9};
  looks.look(0, 0);
  EXPECT_NEAR(static_cast<double>(looks.rate.prefill_time()->count()), 0.2e9, 1e3) << "it began anew";
  for (int i = 0; i < 50; ++i) see(20, 0.6);
  EXPECT_NEAR(static_cast<double>(looks.rate.prefill_time()->count()), 0.6e9, 0.01e9) << "as it is of late";
  looks.load.prefill_seconds.reset();
  looks.look(0, 0);
  EXPECT_TRUE(looks.rate.prefill_time());
}

TEST(EngineRate, IdleTimesDoNotFade) {
  Looks looks;
  for (int i = 0; i < 40; ++i) looks.look(1, 1000);
  const auto before = looks.rate.prefill_rate();
  for (int i = 0; i < 10'000; ++i) looks.look(0, 1);
  EXPECT_EQ(looks.rate.prefill_rate(), before);
}

TEST(EngineRate, PromptsThatAreCountedWhole) {
  Looks looks;
  looks.look(1, 0);
  for (int i = 0; i < 400; ++i) looks.look(1, i % 10 == 0 ? 20'000 : 0);
  ASSERT_TRUE(looks.rate.prefill_rate());
  EXPECT_NEAR(*looks.rate.prefill_rate(), 8000, 700);
}

TEST(EngineRate, HalfOfANewRateAfterTheHalfLife) {
  Looks looks;
  for (int i = 0; i < 4000; ++i) looks.look(1, 1000);
  for (int i = 0; i < 40; ++i) looks.look(1, 500);  // 10 s
  ASSERT_TRUE(looks.rate.prefill_rate());
  EXPECT_NEAR(*looks.rate.prefill_rate(), 3000, 10);
}

TEST(EngineRate, AnEngineThatBeganAnewAndLongGapsAreNoInterval) {
  Looks looks;
  for (int i = 0; i < 40; ++i) looks.look(1, 1000);
  const auto before = looks.rate.prefill_rate();
  looks.load.prompt_tokens_total = 0;
  looks.look(1, 0);
  looks.look(1, 50'000'000, 3min);
  looks.look(1, 50'000'000, 0ms);
  EXPECT_EQ(looks.rate.prefill_rate(), before);
}

TEST(EngineRate, LengthOfPrompts) {
  EngineRate rate;
  EngineLoad load;
  rate.take(load);
  EXPECT_FALSE(rate.prompt_tokens());
  load.request_prompt_tokens = EngineLoad::Observed{0, 0};
  rate.take(load);
  EXPECT_FALSE(rate.prompt_tokens());
  load.request_prompt_tokens = EngineLoad::Observed{1e9, 1e6};  // long ago
  rate.take(load);
  ASSERT_TRUE(rate.prompt_tokens());
  EXPECT_NEAR(*rate.prompt_tokens(), 1000, 1e-6);
  load.request_prompt_tokens->sum += 100 * 2000;
  load.request_prompt_tokens->count += 100;  // as many as the half-life
  rate.take(load);
  EXPECT_NEAR(*rate.prompt_tokens(), 1580, 20);
  rate.take(load);
  const double was = *rate.prompt_tokens();
  load.request_prompt_tokens = EngineLoad::Observed{1000, 1};  // began anew
  rate.take(load);
  EXPECT_NEAR(*rate.prompt_tokens(), was, 10);
}

}  // namespace
}  // namespace perigee
