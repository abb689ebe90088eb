#include "dataplane/sleep.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "dataplane/waiter.h"

namespace perigee {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr Instant kNow{1'000'000'000};

TEST(SleepPolicy, LooksOnForAWhileAndThenSleepsUntilDue) {
  SleepPolicy policy(false, true);
  const Instant due = kNow + milliseconds(7);
  EXPECT_EQ(policy.rest(kNow, due), milliseconds(7));
  policy.found(Found::own, kNow);
  EXPECT_EQ(policy.rest(kNow + kLookAfterOwn - Nanos(1), due), Nanos::zero());
  EXPECT_EQ(policy.rest(kNow + kLookAfterOwn, due), milliseconds(7) - kLookAfterOwn);
  policy.found(Found::traffic, kNow);
  policy.found(Found::own, kNow);  // shortens nothing
  EXPECT_EQ(policy.rest(kNow + kLookAfterTraffic - Nanos(1), due), Nanos::zero());
  EXPECT_EQ(policy.rest(kNow + kLookAfterTraffic, due), milliseconds(7) - kLookAfterTraffic);
  policy.found(Found::nothing, kNow + milliseconds(1));  // a wake-up for nothing: sleep on
  EXPECT_EQ(policy.rest(kNow + milliseconds(1), due), milliseconds(6));
}

TEST(SleepPolicy, WhatIsOverdueIsNotSleptOn) {
  SleepPolicy policy(false, true);
  EXPECT_EQ(policy.rest(kNow, kNow - milliseconds(1)), Nanos::zero());
}

TEST(SleepPolicy, StepsGrowWhereAPortCannotWakeUs) {
  SleepPolicy policy(false, false);
  const Instant due = kNow + milliseconds(100);
  EXPECT_EQ(policy.rest(kNow, due), microseconds(50));
  EXPECT_EQ(policy.rest(kNow, due), microseconds(100));
  for (int i = 0; i < 10; ++i) policy.rest(kNow, due);
  EXPECT_EQ(policy.rest(kNow, due), milliseconds(1));
  EXPECT_EQ(policy.rest(kNow, kNow + microseconds(300)), microseconds(300));
  policy.found(Found::own, kNow);
  EXPECT_EQ(policy.rest(kNow + kLookAfterOwn, due), microseconds(50));
}

TEST(SleepPolicy, BusyNeverSleeps) {
  SleepPolicy policy(true, true);
  EXPECT_EQ(policy.rest(kNow, kNow + milliseconds(100)), Nanos::zero());
}

TEST(Backoff, GrowsFromATenthToASecond) {
  Backoff backoff;
  EXPECT_TRUE(backoff.due(kNow));
  Instant now = kNow;
  for (const int delay_ms : {100, 200, 400, 800, 1000, 1000}) {
    backoff.failed(now);
    EXPECT_FALSE(backoff.due(now + milliseconds(delay_ms) - Nanos(1)));
    now = now + milliseconds(delay_ms);
    EXPECT_TRUE(backoff.due(now));
  }
  backoff.recovered();
  backoff.failed(now);
  EXPECT_TRUE(backoff.due(now + milliseconds(100)));
}

TEST(Waiter, WakesForAPortAndForACall) {
  const Descriptor port(eventfd(0, EFD_NONBLOCK));
  Waiter waiter({port.get()});
  EXPECT_TRUE(waiter.waits_on_all());
  waiter.wake();
  EXPECT_FALSE(waiter.wait(std::chrono::hours(1), kNow));  // returns at all
  const std::uint64_t one = 1;
  ASSERT_EQ(write(port.get(), &one, sizeof one), ssize_t{sizeof one});
  EXPECT_FALSE(waiter.wait(std::chrono::hours(1), kNow));
}

TEST(Waiter, APortWithoutADescriptorCannotWake) {
  Waiter waiter({-1});
  EXPECT_FALSE(waiter.waits_on_all());
  EXPECT_FALSE(waiter.wait(milliseconds(1), kNow));
}

// A socket whose peer is gone reports an error at once and for ever, as one of a down interface does.
TEST(Waiter, AFailingPortIsLeftAloneUntilItRecovers) {
  std::array<int, 2> pair{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()), 0);
  const Descriptor port(pair[0]);
  close(pair[1]);
  Waiter waiter({port.get()});
  EXPECT_TRUE(waiter.wait(std::chrono::hours(1), kNow));
  EXPECT_FALSE(waiter.wait(milliseconds(1), kNow + milliseconds(99)));
  EXPECT_TRUE(waiter.wait(std::chrono::hours(1), kNow + milliseconds(100)));
  EXPECT_FALSE(waiter.wait(milliseconds(1), kNow + milliseconds(299)));
  waiter.recovered(0);
  EXPECT_TRUE(waiter.wait(std::chrono::hours(1), kNow + milliseconds(299)));
}

}  // namespace
}  // namespace perigee
