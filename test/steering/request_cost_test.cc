#include "steering/request_cost.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

using namespace std::chrono_literals;

TEST(RoundTrips, OneForASmallRequestOnAnOpenConnection) {
  EXPECT_EQ(round_trips({true, true, kInitialWindow}, 0), 1U);
  EXPECT_EQ(round_trips({true, true, kInitialWindow}, kInitialWindow), 1U);
}

TEST(RoundTrips, OneMoreForTheHandshakeOfTcpAndOneForTls) {
  EXPECT_EQ(round_trips({false, false, kInitialWindow}, 100), 2U);
  EXPECT_EQ(round_trips({false, true, kInitialWindow}, 100), 3U);
}

TEST(RoundTrips, EachWindowThatTheBodyFillsAndItDoubles) {
  // 14600 + 29200 = 43800; + 58400 = 102200; + 116800 = 219000.
  EXPECT_EQ(round_trips({true, false, kInitialWindow}, 14'601), 2U);
  EXPECT_EQ(round_trips({true, false, kInitialWindow}, 43'800), 2U);
  EXPECT_EQ(round_trips({true, false, kInitialWindow}, 43'801), 3U);
  EXPECT_EQ(round_trips({true, false, kInitialWindow}, 219'000), 4U);
  EXPECT_EQ(round_trips({true, false, 200'000}, 219'000), 2U) << "a window that has grown";
}

TEST(ExpectedWait, WhatIsOutstandingOverTheRateWithoutAReading) {
  QueueSeen seen;
  seen.outstanding = 3000;
  EXPECT_EQ(expected_wait(seen, 10'000), 300ms);
  EXPECT_EQ(expected_wait(seen, 0), 0ms) << "no rate is known";
}

TEST(ExpectedWait, AReadingCountsWithWhatWasSentSinceAndLessWhatWasWorkedOff) {
  QueueSeen seen;
  seen.waiting = 4;
  seen.mean_prompt = 1000;
  seen.sent_since = 500;
  seen.outstanding = 500;
  EXPECT_EQ(expected_wait(seen, 10'000), 450ms);
  seen.age = 100ms;
  EXPECT_EQ(expected_wait(seen, 10'000), 350ms);
  seen.age = 10s;
  EXPECT_EQ(expected_wait(seen, 10'000), 50ms) << "never less than what is its own";
  seen.sent_since = 5000;
  EXPECT_EQ(expected_wait(seen, 10'000), 50ms) << "what has its answer does not wait any more";
}

TEST(ExpectedWait, AReadingEndsTheDoubtOfAnswersThatComeWhole) {
  QueueSeen seen;
  seen.waiting = 0;
  seen.outstanding = 8000;  // they are being answered, for all that can be seen
  EXPECT_EQ(expected_wait(seen, 10'000), 0ms);
  seen.outstanding_streamed = 2000;  // these surely wait
  EXPECT_EQ(expected_wait(seen, 10'000), 200ms);
}

}  // namespace
}  // namespace perigee
