#include "steering/health.h"

#include <gtest/gtest.h>

#include <string_view>

namespace perigee {
namespace {

// '.' passed, 'x' failed, 'r' refused, 't' timed out.
HealthState after(std::string_view checks, HealthState state = {}) {
  Policy::Health law;
  law.fall = 3;
  law.rise = 2;
  Instant now{1000};
  for (const char c : checks) {
    now = now + Nanos(1);
    const CheckOutcome outcome = c == '.'   ? CheckOutcome::passed
                                 : c == 'x' ? CheckOutcome::failed
                                 : c == 'r' ? CheckOutcome::connect_refused
                                            : CheckOutcome::connect_timeout;
    state = observe(state, outcome, law, now);
  }
  return state;
}

TEST(Health, FirstPassIsEnoughOnce) {
  EXPECT_EQ(after("").verdict, Health::unknown);
  EXPECT_EQ(after(".").verdict, Health::healthy);
  EXPECT_EQ(after(".").since, Instant{1001});
  EXPECT_EQ(after("..").since, Instant{1001}) << "since the verdict began";
}

TEST(Health, FallInARow) {
  EXPECT_EQ(after("xx").verdict, Health::unknown);
  EXPECT_EQ(after("xxx").verdict, Health::unhealthy);
  EXPECT_EQ(after(".xx").verdict, Health::healthy);
  EXPECT_EQ(after(".xx.xx").verdict, Health::healthy) << "a pass begins the count anew";
  EXPECT_EQ(after(".xxx").verdict, Health::unhealthy);
}

TEST(Health, RiseInARow) {
  EXPECT_EQ(after(".xxx.").verdict, Health::unhealthy);
  EXPECT_EQ(after(".xxx.x.").verdict, Health::unhealthy);
  EXPECT_EQ(after(".xxx..").verdict, Health::healthy);
}

TEST(Health, DeadOnlyWhenConnectingFails) {
  EXPECT_EQ(after(".rrr").verdict, Health::dead);
  EXPECT_EQ(after(".rtr").verdict, Health::dead);
  EXPECT_EQ(after(".rxr").verdict, Health::unhealthy);
  EXPECT_EQ(after(".xxxrr").verdict, Health::unhealthy);
  EXPECT_EQ(after(".xxxrrr").verdict, Health::dead);
  EXPECT_EQ(after(".rrrx").verdict, Health::unhealthy) << "it can be connected to: its flows may live";
  EXPECT_EQ(after(".rrr.").verdict, Health::dead);
  EXPECT_EQ(after(".rrr..").verdict, Health::healthy);
}

TEST(Health, Names) {
  EXPECT_STREQ(name_of(Health::dead), "dead");
  EXPECT_STREQ(name_of(CheckOutcome::connect_timeout), "connect timed out");
}

}  // namespace
}  // namespace perigee
