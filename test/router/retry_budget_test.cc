#include "router/retry_budget.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

namespace perigee::router {
namespace {

class RetryBudgetTest : public ::testing::Test {
 protected:
  std::vector<std::unique_ptr<RetryBudget>> requests(std::size_t count) {
    std::vector<std::unique_ptr<RetryBudget>> out;
    for (std::size_t i = 0; i < count; ++i) out.push_back(std::make_unique<RetryBudget>(counters));
    return out;
  }
  std::size_t retrying(const std::vector<std::unique_ptr<RetryBudget>>& all) {
    std::size_t taken = 0;
    for (const auto& request : all) taken += request->take(law) ? 1 : 0;
    return taken;
  }

  Policy::Router law;
  RetryCounters counters;
};

TEST_F(RetryBudgetTest, AFewMayAlwaysRetry) { EXPECT_EQ(retrying(requests(10)), 3U); }

TEST_F(RetryBudgetTest, AShareOfTheRequestsInFlightMay) {
  EXPECT_EQ(retrying(requests(100)), 20U);
  law.retry_budget = 0;
  law.retry_min = 0;
  EXPECT_EQ(retrying(requests(100)), 0U);
}

TEST_F(RetryBudgetTest, ARequestHasItsOwnLimitAndCountsOnce) {
  RetryBudget request(counters);
  EXPECT_TRUE(request.take(law));
  EXPECT_TRUE(request.take(law));
  EXPECT_FALSE(request.take(law));
  EXPECT_EQ(request.retries(), 2U);
  EXPECT_EQ(counters.retrying, 1U);
}

TEST_F(RetryBudgetTest, WhatGoesGivesBack) {
  {
    auto all = requests(30);
    retrying(all);
    RetryBudget moved(std::move(*all.front()));
    all.clear();
    EXPECT_EQ(counters.active, 1U);
    EXPECT_EQ(counters.retrying, 1U);
  }
  EXPECT_EQ(counters.active, 0U);
  EXPECT_EQ(counters.retrying, 0U);
}

TEST_F(RetryBudgetTest, ThreadsShareIt) {
  std::atomic<std::uint32_t> most{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20'000; ++i) {
        RetryBudget request(counters);
        if (!request.take(law)) continue;
        const std::uint32_t seen = counters.retrying;
        std::uint32_t before = most;
        while (before < seen && !most.compare_exchange_weak(before, seen)) {
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most, 3U);
  EXPECT_EQ(counters.active, 0U);
  EXPECT_EQ(counters.retrying, 0U);
}

}  // namespace
}  // namespace perigee::router
