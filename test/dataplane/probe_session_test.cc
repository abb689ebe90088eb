#include "dataplane/probe_session.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Outcome = ProbeSession::Outcome;

constexpr ProbeSession::Limits kLimits{milliseconds(100), seconds(1), 10};
constexpr std::uint32_t kFirst = 0xfffffffa;  // so that numbers roll over early

Instant tick(std::uint32_t i) { return Instant{1} + milliseconds(100) * i; }

struct Fixture {
  ProbeSession session{50000, kFirst, kLimits};

  void send(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i, ++sent) session.sent({tick(sent), Timestamp{sent}});
  }
  ProbeSession::Settled reply(std::uint32_t index, milliseconds after) {
    return session.answered(kFirst + index, tick(index) + after);
  }
  std::uint32_t sent = 0;
};

TEST(ProbeSession, KnowsOnlyWhatItSent) {
  Fixture f;
  EXPECT_EQ(f.session.find(kFirst), nullptr);
  f.send(9);
  for (std::uint32_t i = 0; i < 9; ++i) {
    ASSERT_NE(f.session.find(kFirst + i), nullptr);
    EXPECT_EQ(f.session.find(kFirst + i)->wire_stamp.bits, i);
  }
  EXPECT_EQ(f.session.find(kFirst + 9), nullptr);
  EXPECT_EQ(f.session.find(kFirst - 1), nullptr);
  f.send(100);
  EXPECT_EQ(f.session.find(kFirst), nullptr);  // forgotten
  EXPECT_NE(f.session.find(kFirst + 108), nullptr);
}

TEST(ProbeSession, LossHasItsOwnDeadline) {
  Fixture f;
  f.send(12);
  EXPECT_EQ(f.reply(1, milliseconds(30)).outcome, Outcome::received);
  EXPECT_EQ(f.session.expire(tick(0) + milliseconds(999)), 0U);
  EXPECT_EQ(f.session.expire(tick(0) + seconds(1)), 1U);
  EXPECT_EQ(f.session.expire(tick(2) + milliseconds(999)), 0U);  // the second one was answered
  EXPECT_EQ(f.session.expire(tick(2) + seconds(1)), 1U);
  EXPECT_EQ(f.session.expire(tick(11) + seconds(9)), 9U);
  EXPECT_EQ(f.session.expire(tick(11) + seconds(99)), 0U);
}

TEST(ProbeSession, ALateReplyIsLostAndLateOnce) {
  Fixture f;
  f.send(2);
  EXPECT_EQ(f.session.expire(tick(0) + seconds(1)), 1U);
  const auto after_count = f.reply(0, milliseconds(1500));
  EXPECT_EQ(after_count.outcome, Outcome::late);
  EXPECT_FALSE(after_count.lost_now);
  const auto before_count = f.reply(1, milliseconds(1000));
  EXPECT_EQ(before_count.outcome, Outcome::late);
  EXPECT_TRUE(before_count.lost_now);
  EXPECT_EQ(f.session.expire(tick(99)), 0U);
  EXPECT_EQ(f.reply(1, milliseconds(1001)).outcome, Outcome::duplicate);
}

TEST(ProbeSession, JustInTimeIsReceived) {
  Fixture f;
  f.send(1);
  EXPECT_EQ(f.reply(0, milliseconds(999)).outcome, Outcome::received);
}

TEST(ProbeSession, DuplicateAndReordered) {
  Fixture f;
  f.send(8);
  EXPECT_FALSE(f.reply(4, milliseconds(5)).reordered);
  EXPECT_FALSE(f.reply(7, milliseconds(5)).reordered);  // beyond the roll-over
  const auto overtaken = f.reply(5, milliseconds(5));
  EXPECT_EQ(overtaken.outcome, Outcome::received);
  EXPECT_TRUE(overtaken.reordered);
  EXPECT_EQ(f.reply(5, milliseconds(6)).outcome, Outcome::duplicate);
  EXPECT_FALSE(f.reply(5, milliseconds(6)).reordered);
}

TEST(ProbeSession, AFullRingSettlesTheOldestEarly) {
  ProbeSession session(50000, kFirst, {milliseconds(1), seconds(3600), 10});
  std::uint32_t lost = 0;
  for (std::uint32_t i = 0; i < ProbeSession::kMaxRemembered; ++i) lost += session.sent({tick(1), {}});
  EXPECT_EQ(lost, 0U);
  session.answered(kFirst + 1, tick(1));
  EXPECT_EQ(session.sent({tick(1), {}}), 1U);
  EXPECT_EQ(session.sent({tick(1), {}}), 0U);  // that one had its answer
  EXPECT_EQ(session.sent({tick(1), {}}), 1U);
  // Each is settled once, in one way or the other.
  EXPECT_EQ(session.expire(tick(1) + seconds(3600)), ProbeSession::kMaxRemembered);
}

TEST(ProbeSession, RunEndsAtTheNewestAnswerAndBreaksAtAHole) {
  Fixture f;
  f.send(20);
  EXPECT_EQ(f.session.answered_run(), 0U);
  for (const std::uint32_t i : {2U, 3U, 5U, 6U, 7U}) f.reply(i, milliseconds(5));
  EXPECT_EQ(f.session.answered_run(), 3U);
  f.reply(4, milliseconds(500));  // late in order, but in time
  EXPECT_EQ(f.session.answered_run(), 6U);
  for (std::uint32_t i = 8; i < 20; ++i) f.reply(i, milliseconds(5));
  EXPECT_EQ(f.session.answered_run(), 10U);  // no more are asked for
}

TEST(ProbeSession, ALateReplyIsNoPartOfARun) {
  Fixture f;
  f.send(5);
  f.reply(3, milliseconds(5));
  f.reply(4, milliseconds(1100));
  EXPECT_EQ(f.session.answered_run(), 0U);
}

TEST(ProbeSession, ARestartedRunCountsOnlyTestsSentAfterwards) {
  Fixture f;
  f.send(8);
  f.session.restart_run();
  for (std::uint32_t i = 0; i < 8; ++i) f.reply(i, milliseconds(50));
  EXPECT_EQ(f.session.answered_run(), 0U);
  f.send(2);
  f.reply(8, milliseconds(50));
  f.reply(9, milliseconds(50));
  EXPECT_EQ(f.session.answered_run(), 2U);
}

}  // namespace
}  // namespace perigee
