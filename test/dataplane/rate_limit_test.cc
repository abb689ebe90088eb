#include "dataplane/rate_limit.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

int taken(RateLimit& limit, Instant now, int tries) {
  int count = 0;
  for (int i = 0; i < tries; ++i) count += limit.take(now) ? 1 : 0;
  return count;
}

TEST(RateLimit, GivesItsBurstAtOnceAndThenItsRate) {
  RateLimit limit(1000, 32);
  Instant now{1'000'000'000};
  EXPECT_EQ(taken(limit, now, 100), 32);
  int count = 0;
  for (int i = 0; i < 10'000; ++i) {
    now = now + std::chrono::microseconds(100);
    count += limit.take(now) ? 1 : 0;
  }
  EXPECT_EQ(count, 1000);
}

TEST(RateLimit, FillsUpAgainButNotBeyondTheBurst) {
  RateLimit limit(10, 5);
  EXPECT_EQ(taken(limit, Instant{1}, 9), 5);
  EXPECT_EQ(taken(limit, Instant{1} + std::chrono::milliseconds(200), 9), 2);
  EXPECT_EQ(taken(limit, Instant{1} + std::chrono::hours(9), 9), 5);
}

TEST(RateLimit, RateZeroNeverGives) {
  RateLimit none;
  RateLimit zero(0, 10);
  EXPECT_FALSE(none.take(Instant{5}));
  EXPECT_FALSE(zero.take(Instant{5}));
}

TEST(RateLimit, TimeThatStandsStillOrGoesBackGivesNothing) {
  RateLimit limit(1000, 1);
  EXPECT_TRUE(limit.take(Instant{1'000'000'000}));
  EXPECT_FALSE(limit.take(Instant{1'000'000'000}));
  EXPECT_FALSE(limit.take(Instant{999'000'000}));
  EXPECT_TRUE(limit.take(Instant{1'001'000'000}));
}

TEST(RateLimit, BurstZeroCountsAsOne) {
  RateLimit limit(1, 0);
  EXPECT_EQ(taken(limit, Instant{1}, 3), 1);
}

}  // namespace
}  // namespace perigee
