#include "router/limiter.h"

#include <gmock/gmock.h>

#include <thread>
#include <vector>

namespace perigee::router {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

constexpr Instant kNow{1'000'000'000'000};

class LimiterTest : public ::testing::Test {
 protected:
  Reservation reserve(std::uint64_t tokens = 1, Instant now = kNow) {
    Reservation out;
    const auto run = [&]() -> Task<void> {
      out = co_await Limiter::reserve({&key.limits, key.counters.get()},
                                      {&service.limits, service.counters.get()}, tokens, now);
    };
    spawn(run());
    return out;
  }
  static void settle(Reservation& reservation, std::uint64_t tokens) {
    spawn(Limiter::settle(reservation, tokens));
  }
  bool granted(std::uint64_t tokens = 1, Instant now = kNow) { return !reserve(tokens, now).error(); }

  struct Holder {
    RequestLimits limits;
    std::shared_ptr<LimitCounters> counters = std::make_shared<LimitCounters>();
  };
  Holder key;
  Holder service;
};

TEST_F(LimiterTest, AMinutesWorthAtOnceThenEvenly) {
  key.limits.requests = 60;
  for (int i = 0; i < 60; ++i) EXPECT_TRUE(granted()) << i;
  const Reservation refused = reserve();
  ASSERT_TRUE(refused.error());
  EXPECT_EQ(refused.error()->status, 429U);
  EXPECT_EQ(refused.error()->code, "rate_limit_exceeded");
  EXPECT_EQ(refused.error()->retry_after, 1s);
  EXPECT_FALSE(granted(1, kNow + 999ms));
  EXPECT_TRUE(granted(1, kNow + 1s));
  EXPECT_FALSE(granted(1, kNow + 1s));
  int later = 0;
  while (granted(1, kNow + 10min)) ++later;
  EXPECT_EQ(later, 60);
}

TEST_F(LimiterTest, ExactOverThreads) {
  key.limits.requests = 1000;
  std::atomic<int> granted_count = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i)
        if (take(key.counters->requests_whole_at, 1000, 1, kNow).granted) ++granted_count;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(granted_count, 1000);
}

TEST_F(LimiterTest, ConcurrencyIsGivenBack) {
  key.limits.concurrency = 2;
  {
    const Reservation one = reserve();
    const Reservation two = reserve();
    EXPECT_FALSE(one.error());
    EXPECT_FALSE(two.error());
    EXPECT_TRUE(reserve().error());
    EXPECT_EQ(key.counters->in_flight, 2U);
  }
  EXPECT_EQ(key.counters->in_flight, 0U);
  EXPECT_TRUE(granted());
}

TEST_F(LimiterTest, OneLimitThatRefusesTakesNothingOfTheOthers) {
  key.limits.concurrency = 5;
  key.limits.requests = 10;
  key.limits.tokens = 100;
  EXPECT_FALSE(granted(101));
  EXPECT_EQ(key.counters->in_flight, 0U);
  EXPECT_EQ(allowance(key.counters->requests_whole_at, 10, kNow).remaining, 10U);
  EXPECT_EQ(allowance(key.counters->tokens_whole_at, 100, kNow).remaining, 100U);
}

TEST_F(LimiterTest, WhatCanNeverFitIsNotToBeRetried) {
  key.limits.tokens = 100;
  const Reservation refused = reserve(101);
  ASSERT_TRUE(refused.error());
  EXPECT_FALSE(refused.error()->retry_after);
  EXPECT_EQ(refused.error()->should_retry, false);
}

TEST_F(LimiterTest, TokensAreSettledByWhatWasUsed) {
  key.limits.tokens = 1000;
  Reservation request = reserve(800);
  EXPECT_FALSE(granted(300));
  EXPECT_TRUE(request.metered());
  settle(request, 100);
  EXPECT_FALSE(request.metered());
  settle(request, 900);  // once and for all
  EXPECT_EQ(allowance(key.counters->tokens_whole_at, 1000, kNow).remaining, 900U);
  Reservation greedy = reserve(10);
  settle(greedy, 2890);  // 2990 in all: two minutes of debt, less ten
  EXPECT_EQ(allowance(key.counters->tokens_whole_at, 1000, kNow).remaining, 0U);
  EXPECT_FALSE(granted(1, kNow + 119s));
  EXPECT_TRUE(granted(1, kNow + 120s));
}

TEST_F(LimiterTest, ShadowRefusesNothingAndOwesNothing) {
  key.limits.tokens = 1000;
  key.limits.concurrency = 1;
  key.limits.shadow = {true, true, true};
  const Reservation held = reserve(10);
  EXPECT_EQ(held.would_refuse(), "");
  Reservation over = reserve(2000);
  EXPECT_FALSE(over.error());
  EXPECT_EQ(over.would_refuse(), "concurrency");
  settle(over, 100'000);
  EXPECT_EQ(allowance(key.counters->tokens_whole_at, 1000, kNow).remaining, 990U);
  EXPECT_EQ(key.counters->in_flight, 1U);
}

TEST_F(LimiterTest, ALimitInShadowKeepsNoOtherFromRefusing) {
  key.limits.requests = 1;
  key.limits.tokens = 1000;
  key.limits.shadow.requests = true;
  EXPECT_EQ(reserve(600).would_refuse(), "");
  Reservation over = reserve(100);
  EXPECT_FALSE(over.error());
  EXPECT_EQ(over.would_refuse(), "requests");
  settle(over, 300);
  EXPECT_EQ(allowance(key.counters->tokens_whole_at, 1000, kNow).remaining, 100U) << "tokens count on";
  const Reservation refused = reserve(200);
  ASSERT_TRUE(refused.error());
  EXPECT_THAT(refused.error()->message, HasSubstr("tokens per minute"));
  EXPECT_EQ(refused.would_refuse(), "");
}

TEST_F(LimiterTest, HeaderLines) {
  key.limits.requests = 60;
  key.limits.tokens = 1000;
  const Reservation request = reserve(500);
  const std::string fields = request.fields(kNow);
  EXPECT_THAT(fields, HasSubstr("x-ratelimit-limit-requests: 60\r\n"));
  EXPECT_THAT(fields, HasSubstr("x-ratelimit-remaining-requests: 59\r\n"));
  EXPECT_THAT(fields, HasSubstr("x-ratelimit-reset-requests: 1s\r\n"));
  EXPECT_THAT(fields, HasSubstr("x-ratelimit-remaining-tokens: 500\r\n"));
  EXPECT_THAT(fields, HasSubstr("x-ratelimit-reset-tokens: 30s\r\n"));
  EXPECT_THAT(request.fields(kNow + 29'950ms), HasSubstr("x-ratelimit-reset-tokens: 50ms\r\n"));
  EXPECT_EQ(Reservation().fields(kNow), "");
}

TEST_F(LimiterTest, AServiceLimitsAllItsClientsTogether) {
  service.limits.requests = 2;
  service.limits.tokens = 1000;
  key.limits.requests = 60;
  Reservation first = reserve(400);
  EXPECT_FALSE(first.error());
  EXPECT_TRUE(first.metered());
  EXPECT_THAT(first.fields(kNow), Not(HasSubstr("tokens")));
  settle(first, 100);
  EXPECT_EQ(allowance(service.counters->tokens_whole_at, 1000, kNow).remaining, 900U);
  EXPECT_TRUE(granted(1));
  const Reservation refused = reserve(1);
  ASSERT_TRUE(refused.error());
  EXPECT_THAT(refused.error()->message, HasSubstr("of all clients"));
}

TEST_F(LimiterTest, AServiceThatRefusesLeavesTheKeyWhole) {
  key.limits = {60, 1000, 5, {}};
  service.limits.tokens = 100;
  EXPECT_FALSE(granted(101));
  EXPECT_EQ(key.counters->in_flight, 0U);
  EXPECT_EQ(allowance(key.counters->requests_whole_at, 60, kNow).remaining, 60U);
  EXPECT_EQ(allowance(key.counters->tokens_whole_at, 1000, kNow).remaining, 1000U);
}

TEST_F(LimiterTest, AServicesLimitInShadowHasItsOwnName) {
  service.limits.concurrency = 1;
  service.limits.shadow.concurrency = true;
  const Reservation held = reserve();
  const Reservation over = reserve();
  EXPECT_FALSE(over.error());
  EXPECT_EQ(over.would_refuse(), "service_concurrency");
  EXPECT_EQ(service.counters->in_flight, 1U);
}

TEST(Tokens, AreEstimatedByTheBodyAndTheLimitAsked) {
  JsonFacts facts;
  EXPECT_EQ(estimate_tokens(Operation::chat, &facts, 400).all(), 101 + kReservedCompletion);
  facts.max_tokens = 20;
  EXPECT_EQ(estimate_tokens(Operation::chat, &facts, 400).all(), 121U);
  facts.n = 3;
  EXPECT_EQ(estimate_tokens(Operation::responses_create, &facts, 400).completion, 60U);
  facts.max_tokens = ~std::uint64_t{0};
  facts.n = ~std::uint64_t{0};
  EXPECT_EQ(estimate_tokens(Operation::chat, &facts, 0).completion, 128 * kReservedCompletion);
  EXPECT_EQ(estimate_tokens(Operation::embeddings, &facts, 400).all(), 101U);
  EXPECT_EQ(estimate_tokens(Operation::audio_transcriptions, nullptr, 1 << 20U).all(), 0U);
}

TEST(Tokens, AreUsedAsTheEndpointSaysOrTheEventsTell) {
  const TokenEstimate estimate{100, 50};
  RequestRecord record;
  EXPECT_EQ(tokens_used(record, estimate).all(), 0U);  // never sent
  record.sent = kNow;
  record.ending = Ending::endpoint_failed;
  EXPECT_EQ(tokens_used(record, estimate).all(), 0U);
  record.ending = Ending::client_gone;
  EXPECT_EQ(tokens_used(record, estimate).all(), 100U);
  record.streamed = true;
  record.first_event = kNow;
  record.events = 7;
  EXPECT_EQ(tokens_used(record, estimate).all(), 107U);
  record.usage = TokenUsage{20, 5, 0, 0};
  EXPECT_EQ(tokens_used(record, estimate).all(), 25U);
  record.usage.reset();
  record.streamed = false;
  record.status = 400;
  EXPECT_EQ(tokens_used(record, estimate).all(), 0U);
}

}  // namespace
}  // namespace perigee::router
