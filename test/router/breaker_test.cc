#include "router/breaker.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace perigee::router {
namespace {

using namespace std::chrono_literals;

using Statuses = std::initializer_list<std::uint16_t>;

class BreakerTest : public ::testing::Test {
 protected:
  // An attempt that is admitted and ends at once.
  BreakerChange attempt(AttemptResult result) {
    const BreakerPermit permit = admit(counters, false, now);
    EXPECT_TRUE(permit.granted);
    return report(counters, permit, result, law, now);
  }
  void open() {
    for (std::uint32_t i = 0; i < law.failures; ++i) attempt(AttemptResult::failure);
    ASSERT_EQ(state(), BreakerState::open);
  }
  BreakerState state() const { return breaker_state(counters.breaker, now); }

  Policy::Router::Breaker law;
  EndpointCounters counters;
  Instant now{1'000'000'000'000};
};

TEST_F(BreakerTest, OpensAtTheLastFailureOfTheRow) {
  for (int i = 0; i < 4; ++i) EXPECT_EQ(attempt(AttemptResult::failure), BreakerChange::none);
  EXPECT_EQ(breaker_failures(counters.breaker, law, now), 4U);
  EXPECT_TRUE(breaker_admits(counters.breaker, now));
  EXPECT_EQ(attempt(AttemptResult::failure), BreakerChange::opened);
  EXPECT_FALSE(breaker_admits(counters.breaker, now));
  EXPECT_FALSE(admit(counters, false, now).granted);
  EXPECT_EQ(counters.breaker_opened, 1U);
}

TEST_F(BreakerTest, FailuresOlderThanTheWindowAreForgotten) {
  for (int i = 0; i < 4; ++i) attempt(AttemptResult::failure);
  now = now + law.window + 1ms;
  EXPECT_EQ(breaker_failures(counters.breaker, law, now), 0U);
  for (int i = 0; i < 4; ++i) attempt(AttemptResult::failure);
  EXPECT_EQ(state(), BreakerState::closed);
  EXPECT_EQ(attempt(AttemptResult::failure), BreakerChange::opened);
}

TEST_F(BreakerTest, MostlyGoodStaysClosedMostlyBadOpens) {
  for (int i = 0; i < 1000; ++i) attempt(i % 4 == 0 ? AttemptResult::failure : AttemptResult::success);
  EXPECT_EQ(state(), BreakerState::closed);
  int attempts = 0;
  for (; state() == BreakerState::closed && attempts < 100; ++attempts)
    attempt(attempts % 3 == 0 ? AttemptResult::success : AttemptResult::failure);
  EXPECT_LT(attempts, 20);
}

// What acceptance asks for: a client's own mistakes are no news of the endpoint.
TEST_F(BreakerTest, AThousandClientErrorsMoveNothing) {
  for (const std::uint16_t status : Statuses{400, 404, 408, 413, 422, 429, 501})
    for (int i = 0; i < 1000; ++i) attempt(result_of_status(status));
  EXPECT_EQ(counters.breaker, 0U);
}

TEST_F(BreakerTest, EndpointErrorsCount) {
  for (const std::uint16_t status : Statuses{302, 500, 502, 503, 504})
    EXPECT_EQ(result_of_status(status), AttemptResult::failure) << status;
  for (const std::uint16_t status : Statuses{200, 204, 206})
    EXPECT_EQ(result_of_status(status), AttemptResult::success);
}

TEST_F(BreakerTest, RefusedCredentialsOpenAtOnce) {
  for (const std::uint16_t status : Statuses{401, 403}) {
    EXPECT_EQ(attempt(result_of_status(status)), BreakerChange::opened);
    now = now + law.open;
    attempt(AttemptResult::success);
    EXPECT_EQ(attempt(AttemptResult::success), BreakerChange::closed);
  }
  EXPECT_EQ(counters.credential_refused, 2U);
}

TEST_F(BreakerTest, OneTrialAtATimeAndTwoSuccessesClose) {
  open();
  now = now + law.open - 1ms;
  EXPECT_FALSE(admit(counters, false, now).granted);
  now = now + 1ms;
  EXPECT_EQ(state(), BreakerState::half_open);
  const BreakerPermit trial = admit(counters, false, now);
  EXPECT_TRUE(trial.trial);
  EXPECT_FALSE(breaker_admits(counters.breaker, now));
  EXPECT_FALSE(admit(counters, false, now).granted) << "a trial is under way";
  EXPECT_EQ(report(counters, trial, AttemptResult::success, law, now), BreakerChange::none);
  EXPECT_EQ(counters.warming_since, 0);
  EXPECT_EQ(attempt(AttemptResult::success), BreakerChange::closed);
  EXPECT_EQ(state(), BreakerState::closed);
  EXPECT_EQ(counters.warming_since, now.ns) << "slow start";
}

TEST_F(BreakerTest, AFailedTrialOpensForTheWholeTimeAgain) {
  open();
  now = now + law.open;
  attempt(AttemptResult::success);
  EXPECT_EQ(attempt(AttemptResult::failure), BreakerChange::opened);
  now = now + law.open - 1ms;
  EXPECT_FALSE(breaker_admits(counters.breaker, now));
  now = now + 1ms;
  attempt(AttemptResult::success);
  EXPECT_EQ(state(), BreakerState::half_open) << "successes are counted anew";
}

TEST_F(BreakerTest, ATrialThatSaysNothingLeavesRoomForAnother) {
  open();
  now = now + law.open;
  attempt(AttemptResult::neutral);
  EXPECT_EQ(state(), BreakerState::half_open);
  EXPECT_TRUE(admit(counters, false, now).trial);
}

TEST_F(BreakerTest, AttemptsOfBeforeAreNoNews) {
  const BreakerPermit old_good = admit(counters, false, now);
  const BreakerPermit old_bad = admit(counters, false, now);
  open();
  now = now + law.open;
  attempt(AttemptResult::success);
  EXPECT_EQ(report(counters, old_good, AttemptResult::success, law, now), BreakerChange::none);
  EXPECT_EQ(state(), BreakerState::half_open);
  EXPECT_EQ(report(counters, old_bad, AttemptResult::failure, law, now), BreakerChange::none);
  EXPECT_EQ(state(), BreakerState::half_open);
}

TEST_F(BreakerTest, AForcedAttemptIsNotCounted) {
  open();
  const BreakerPermit forced = admit(counters, true, now);
  EXPECT_TRUE(forced.granted);
  EXPECT_EQ(report(counters, forced, AttemptResult::success, law, now), BreakerChange::none);
  EXPECT_EQ(state(), BreakerState::open);
}

// Many threads over many lives of one breaker: never two trials at once, and every change is told once.
TEST_F(BreakerTest, ThreadsShareIt) {
  law = {3, 60s, 10ms, 2};
  std::atomic<std::int64_t> clock{now.ns};
  std::atomic<int> trials{0};
  std::atomic<std::uint64_t> opened{0};
  std::atomic<std::uint64_t> closed{0};
  std::atomic<bool> overlap{false};
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::uint32_t random = 12345 + t;
      for (int i = 0; i < 20'000; ++i) {
        random = random * 1664525 + 1013904223;
        const Instant at{clock.fetch_add(1'000'000)};
        const BreakerPermit permit = admit(counters, false, at);
        if (!permit.granted) continue;
        if (permit.trial && trials.fetch_add(1) != 0) overlap = true;
        const std::uint32_t kind = random >> 28U;
        const AttemptResult result = kind < 8    ? AttemptResult::failure
                                     : kind < 15 ? AttemptResult::success
                                                 : AttemptResult::neutral;
        if (permit.trial) trials.fetch_sub(1);
        const BreakerChange change = report(counters, permit, result, law, at);
        if (change == BreakerChange::opened) ++opened;
        if (change == BreakerChange::closed) ++closed;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(overlap);
  EXPECT_EQ(counters.breaker_opened, opened);
  EXPECT_GT(closed, 10U);
  EXPECT_GE(opened, closed);
}

}  // namespace
}  // namespace perigee::router
