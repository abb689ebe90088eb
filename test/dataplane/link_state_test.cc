#include "dataplane/link_state.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using telemetry::LinkState;

constexpr Instant kStart{1'000'000'000};
constexpr Nanos kDetection = milliseconds(300);
constexpr std::uint32_t kAll = 0xf;

// A watch of four ports, judged every 100 ms; the ports in `talking` answer each time.
struct Watch {
  LinkWatch watch{4, kDetection, Nanos(0), kStart};
  Instant now = kStart;
  Nanos rtt{0};

  LinkState tick(std::uint32_t talking, std::uint32_t steady = 0, Nanos step = milliseconds(100)) {
    now = now + step;
    for (std::uint32_t port = 0; port < 4; ++port) {
      if ((talking >> port & 1U) != 0) watch.heard(port, now, rtt);
    }
    watch.judge(now, steady);
    return watch.state();
  }
  LinkState run(int ticks, std::uint32_t talking, std::uint32_t steady = 0) {
    for (int i = 0; i < ticks; ++i) tick(talking, steady);
    return watch.state();
  }
  // How long it takes until the link is up again when everything answers steadily from now on.
  Nanos recovery() {
    const Instant from = now;
    while (watch.state() != LinkState::up && now - from < seconds(100)) tick(kAll, kAll);
    return now - from;
  }
};

TEST(LinkWatch, StaysUnknownForADetectionTime) {
  Watch w;
  EXPECT_EQ(w.watch.state(), LinkState::unknown);
  EXPECT_EQ(w.watch.next_judgement(), kStart + kDetection);
  EXPECT_EQ(w.tick(kAll), LinkState::unknown);
  EXPECT_EQ(w.tick(kAll), LinkState::unknown);
  EXPECT_EQ(w.tick(kAll), LinkState::up);  // the first time without hold-off and without a run
  EXPECT_EQ(w.watch.since(), kStart + kDetection);
}

struct Row {
  const char* name;
  std::uint32_t before, after;  // ports that talk before and after the fourth tick
  LinkState at_two, at_three;   // ticks after the change
};

class Silence : public testing::TestWithParam<Row> {};

TEST_P(Silence, Decides) {
  Watch w;
  w.run(4, GetParam().before);
  w.run(2, GetParam().after);
  EXPECT_EQ(w.watch.state(), GetParam().at_two);
  w.run(1, GetParam().after);
  EXPECT_EQ(w.watch.state(), GetParam().at_three);
}

INSTANTIATE_TEST_SUITE_P(
    Ports, Silence,
    testing::Values(Row{"all_talk", kAll, kAll, LinkState::up, LinkState::up},
                    Row{"all_fall_silent", kAll, 0, LinkState::up, LinkState::down},
                    Row{"one_falls_silent", kAll, 0x7, LinkState::up, LinkState::degraded},
                    Row{"three_fall_silent", kAll, 0x4, LinkState::up, LinkState::degraded},
                    Row{"one_never_spoke", 0xe, 0xe, LinkState::degraded, LinkState::degraded},
                    Row{"one_never_spoke_then_does", 0xe, kAll, LinkState::up, LinkState::up},
                    Row{"the_last_one_falls_silent", 0x2, 0, LinkState::degraded, LinkState::down},
                    Row{"none_ever_spoke", 0, 0, LinkState::down, LinkState::down}),
    [](const auto& each) { return each.param.name; });

TEST(LinkWatch, DownNamesTheMomentOfTheVerdict) {
  Watch w;
  w.run(4, kAll);
  const Instant last = w.now;
  EXPECT_EQ(w.watch.next_judgement(), last + kDetection);
  EXPECT_FALSE(w.watch.judge(last + kDetection - Nanos(1), 0));
  EXPECT_TRUE(w.watch.judge(last + kDetection, 0));
  EXPECT_EQ(w.watch.state(), LinkState::down);
  EXPECT_EQ(w.watch.since(), last + kDetection);
  EXPECT_EQ(w.watch.silent_ports(), kAll);
  EXPECT_TRUE(w.watch.next_judgement().never());  // nothing but a reply changes it
}

TEST(LinkWatch, AStallIsNoSilence) {
  Watch w;
  w.run(4, kAll);
  w.now = w.now + seconds(2);
  w.watch.rearm(w.now);
  EXPECT_FALSE(w.watch.judge(w.now, 0));
  EXPECT_EQ(w.run(2, 0), LinkState::up);
  EXPECT_EQ(w.run(1, 0), LinkState::down);  // a full detection time after the stall
}

TEST(LinkWatch, IsNotJudgedBeforeAReplyCouldCome) {
  LinkWatch watch(2, kDetection, seconds(1), kStart);
  EXPECT_EQ(watch.next_judgement(), kStart + seconds(1) + kDetection);
  EXPECT_FALSE(watch.judge(kStart + seconds(1), 0));
  watch.heard(0, kStart + milliseconds(900), milliseconds(800));
  EXPECT_EQ(watch.next_judgement(), kStart + milliseconds(800) + kDetection);
  EXPECT_TRUE(watch.judge(kStart + milliseconds(1100), 0));
  EXPECT_EQ(watch.state(), LinkState::degraded) << "the other port had its time too";
}

TEST(LinkWatch, AStallIsFollowedByARoundTrip) {
  Watch w;
  w.rtt = milliseconds(500);
  w.run(8, kAll);
  w.now = w.now + seconds(2);
  w.watch.rearm(w.now);
  EXPECT_EQ(w.run(7, 0), LinkState::up);
  EXPECT_EQ(w.run(1, 0), LinkState::down);
}

TEST(LinkWatch, StallAfterStallHidesNoDeadLink) {
  Watch w;
  w.run(4, kAll);
  for (int stall = 0; stall < 10; ++stall) {
    w.now = w.now + kDetection / 2;
    w.watch.rearm(w.now);
    w.watch.judge(w.now, 0);
    EXPECT_EQ(w.watch.state(), stall < 4 ? LinkState::up : LinkState::down) << stall;
  }
  Watch alive;
  alive.run(4, kAll);
  for (int stall = 0; stall < 10; ++stall) {
    alive.now = alive.now + kDetection / 2;
    alive.watch.rearm(alive.now);
    EXPECT_EQ(alive.run(1, kAll), LinkState::up);
  }
}

TEST(LinkWatch, AStallBringsNoSilentPortBack) {
  Watch w;
  w.run(4, 0x7);
  ASSERT_EQ(w.watch.state(), LinkState::degraded);
  w.now = w.now + seconds(2);
  w.watch.rearm(w.now);
  EXPECT_EQ(w.tick(0), LinkState::degraded);
  EXPECT_EQ(w.watch.silent_ports(), 0x8U);
}

TEST(LinkWatch, AStallAtTheStartKeepsUnknown) {
  Watch w;
  w.tick(kAll);
  w.now = w.now + seconds(5);
  w.watch.rearm(w.now);
  EXPECT_EQ(w.run(2, 0), LinkState::unknown);
  EXPECT_EQ(w.run(1, 0), LinkState::down);
}

TEST(LinkWatch, ComesUpOnlyWithARunOnAMajority) {
  Watch w;
  w.run(4, kAll);
  w.run(3, 0);
  ASSERT_EQ(w.watch.state(), LinkState::down);
  EXPECT_EQ(w.run(20, kAll, 0x3), LinkState::down);  // two of four are no majority
  EXPECT_EQ(w.tick(kAll, 0x7), LinkState::up);
}

TEST(LinkWatch, ComesUpDegradedWhenAPortIsStillSilent) {
  Watch w;
  w.run(4, kAll);
  w.run(3, 0);
  EXPECT_EQ(w.run(20, 0x7, 0x7), LinkState::degraded);
}

TEST(LinkWatch, TwoOfFourTalkingNeverBringItUp) {
  Watch w;
  w.run(4, kAll);
  w.run(3, 0);
  EXPECT_EQ(w.run(100, 0x3, 0x3), LinkState::down);
}

TEST(LinkWatch, ASilentPortIsNotSteadyWhateverItsRunSays) {
  Watch w;
  w.run(4, kAll);
  w.run(3, 0);
  EXPECT_EQ(w.run(100, 0x7, 0xb), LinkState::down);
}

TEST(LinkWatch, FirstRecoveryIsHeldForNoMoreThanASecond) {
  Watch w;
  w.run(4, kAll);
  w.run(30, 0);
  EXPECT_EQ(w.recovery(), seconds(1) + milliseconds(100));  // the tick that hears first, then 1 s
}

TEST(LinkWatch, HoldOffDoublesToAMinute) {
  Watch w;
  w.run(4, kAll);
  for (const int expected : {1, 2, 4, 8, 16, 32, 60, 60, 60}) {
    w.run(5, 0);
    ASSERT_EQ(w.watch.state(), LinkState::down);
    EXPECT_EQ(w.recovery(), seconds(expected) + milliseconds(100));
  }
}

TEST(LinkWatch, HoldOffStartsAnewWhenTheMajorityFallsSilent) {
  Watch w;
  w.run(4, kAll);
  w.run(3, 0);
  w.run(8, kAll, kAll);
  w.run(3, 0);  // silent again before the second was over
  EXPECT_EQ(w.recovery(), seconds(1) + milliseconds(100));
}

TEST(LinkWatch, IsHeldWhileItAnswersAndOnlyTheHoldOffKeepsItDown) {
  Watch w;
  w.run(4, kAll);
  w.run(3, 0);
  EXPECT_FALSE(w.watch.held());
  w.run(5, kAll, 0x3);  // no run of good replies on a majority yet
  EXPECT_FALSE(w.watch.held());
  EXPECT_EQ(w.tick(kAll, kAll), LinkState::down);
  EXPECT_TRUE(w.watch.held());
  w.run(2, 0, kAll);
  EXPECT_TRUE(w.watch.held());  // not silent for long enough
  w.run(1, 0, kAll);
  EXPECT_FALSE(w.watch.held());
  EXPECT_EQ(w.recovery(), seconds(1) + milliseconds(100));
  EXPECT_FALSE(w.watch.held());
}

TEST(LinkWatch, SaysWhenHeldChanges) {
  LinkWatch watch(1, kDetection, Nanos(0), kStart);
  EXPECT_TRUE(watch.judge(kStart + seconds(1), 0));  // down
  watch.heard(0, kStart + seconds(2), Nanos(0));
  EXPECT_TRUE(watch.judge(kStart + seconds(2), 1));
  EXPECT_TRUE(watch.held());
  EXPECT_FALSE(watch.judge(kStart + seconds(2) + milliseconds(100), 1));
}

TEST(LinkWatch, FiveStableMinutesForgetTheFlaps) {
  Watch w;
  w.run(4, kAll);
  for (int flap = 0; flap < 4; ++flap) {
    w.run(5, 0);
    w.recovery();
  }
  w.run(10 * 60 * 5 - 10, kAll);
  w.run(5, 0);
  EXPECT_EQ(w.recovery(), seconds(16) + milliseconds(100));  // not quite five minutes
  w.run(10 * 60 * 5, kAll);
  w.run(5, 0);
  EXPECT_EQ(w.recovery(), seconds(1) + milliseconds(100));
}

TEST(LinkWatch, DegradedAndBackIsNoFlap) {
  Watch w;
  w.run(4, kAll);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(w.run(4, 0x1), LinkState::degraded);
    EXPECT_EQ(w.run(1, kAll), LinkState::up);
  }
  w.run(5, 0);
  EXPECT_EQ(w.recovery(), seconds(1) + milliseconds(100));
}

TEST(LinkWatch, OnePortDecidesAlone) {
  LinkWatch watch(1, kDetection, Nanos(0), kStart);
  watch.heard(0, kStart + milliseconds(200), Nanos(0));
  EXPECT_TRUE(watch.judge(kStart + kDetection, 0));
  EXPECT_EQ(watch.state(), LinkState::up);
  EXPECT_TRUE(watch.judge(kStart + milliseconds(500), 0));
  EXPECT_EQ(watch.state(), LinkState::down);
}

}  // namespace
}  // namespace perigee
