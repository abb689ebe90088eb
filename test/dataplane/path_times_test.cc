// Which answers of forwarded connections are timed, and for whom.
#include "dataplane/path_times.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "contract/telemetry_file.h"
#include "test/contract/run_directory.h"
#include "test/dataplane/forward_lab.h"

namespace perigee::test {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using telemetry::FlowTiming;

// One endpoint over syd-mel-a, then syd-mel-b, so that each connection's way is known.
table::Table one_endpoint() {
  table::Table records = lab_table();
  records.candidates = {{1, 0, kSydMelA, 100}, {1, 0, kSydMelB, 100}};
  records.tiers = {{0, 1}, {1, 1}};
  return records;
}

class PathTimesTest : public testing::Test {
 protected:
  PathTimesTest() {
    lab.options.paths = paths.get();
    lab.open();
    wait(milliseconds(1));  // the table is older than what is timed
  }

  // What was counted of mel-1 over a link.
  [[nodiscard]] const telemetry::FlowTimes& times(FlowTiming timing, const char* link = "syd-mel-a") const {
    static const telemetry::FlowTimes none;
    for (const telemetry::PathSlot& slot : paths->slots) {
      if (slot.endpoint == stable_id_of("mel-1") && slot.link == (*link == '\0' ? 0 : stable_id_of(link)))
        return slot.times[static_cast<std::size_t>(timing)];
    }
    return none;
  }
  [[nodiscard]] std::uint64_t count(FlowTiming timing, const char* link = "syd-mel-a") const {
    return times(timing, link).count.load();
  }
  [[nodiscard]] Nanos sum(FlowTiming timing, const char* link = "syd-mel-a") const {
    return Nanos(times(timing, link).sum_ns.load());
  }
  void wait(Nanos span) { lab.now = lab.now + span; }

  Outcome syn() { return lab.send(ForwardLab::from_client(40000, kSyn, 1000)); }
  void syn_ack(const Outcome& to) { lab.send(ForwardLab::from_endpoint(to, kSyn | kAck, 5000, 1001)); }
  void ack() { lab.send(ForwardLab::from_client(40000, kAck, 1001, 5001)); }
  void ask(std::uint32_t sequence = 1001) {
    lab.send(ForwardLab::from_client(40000, kAck, sequence, 5001, {1, 2}));
  }
  void say(const Outcome& to, std::uint32_t sequence = 5001, std::uint8_t more_flags = 0) {
    lab.send(
        ForwardLab::from_endpoint(to, static_cast<std::uint8_t>(kAck | more_flags), sequence, 1003, {7}));
  }
  void adopt(const table::Table& records) {
    lab.adopt(records);
    wait(milliseconds(1));
  }
  void only_link(std::uint32_t link) { lab.links = {std::uint64_t{1} << link, 0}; }

  ForwardLab lab{one_endpoint()};
  std::unique_ptr<telemetry::Paths> paths = std::make_unique<telemetry::Paths>();
};

constexpr FlowTiming kHandshake = FlowTiming::handshake, kFirstByte = FlowTiming::first_byte;

TEST_F(PathTimesTest, HandshakeAndFirstByteAreTimedApart) {
  const Outcome to = syn();
  wait(milliseconds(10));
  syn_ack(to);
  EXPECT_EQ(count(kHandshake), 1U);
  EXPECT_EQ(sum(kHandshake), milliseconds(10));
  wait(milliseconds(10));
  ack();
  wait(milliseconds(500));
  ask();
  wait(milliseconds(3));
  lab.send(ForwardLab::from_endpoint(to, kAck, 5001, 1003));  // says nothing yet
  EXPECT_EQ(count(kFirstByte), 0U);
  wait(milliseconds(200));
  say(to);
  EXPECT_EQ(count(kFirstByte), 1U);
  EXPECT_EQ(sum(kFirstByte), milliseconds(203));
  say(to, 5002);
  ask(1003);
  wait(milliseconds(50));
  say(to, 5003);
  EXPECT_EQ(count(kFirstByte), 1U) << "the first of a connection only";
  EXPECT_EQ(count(kHandshake), 1U);
}

TEST_F(PathTimesTest, IsExactToSixteenNanoseconds) {
  lab.now = Instant{1'000'000'123'457};
  const Outcome to = syn();
  wait(Nanos(98'765));
  syn_ack(to);
  EXPECT_GE(sum(kHandshake), Nanos(98'765));
  EXPECT_LT(sum(kHandshake), Nanos(98'765 + 16));
}

TEST_F(PathTimesTest, DataWithTheLastSegmentOfTheHandshakeCounts) {
  const Outcome to = syn();
  syn_ack(to);
  ask();
  wait(milliseconds(7));
  say(to, 5001, kFin);
  EXPECT_EQ(sum(kFirstByte), milliseconds(7));
}

TEST_F(PathTimesTest, ASynSentAgainIsOfNoUse) {
  const Outcome to = syn();
  wait(milliseconds(300));
  syn();
  wait(milliseconds(10));
  syn_ack(to);
  EXPECT_EQ(count(kHandshake), 0U);
  ack();
  ask();
  wait(milliseconds(20));
  say(to);
  EXPECT_EQ(sum(kFirstByte), milliseconds(20)) << "its data was sent once";
}

TEST_F(PathTimesTest, AClientThatTriesAnewIsOfNoUse) {
  const Outcome to = syn();
  wait(milliseconds(300));
  lab.send(ForwardLab::from_client(40000, kSyn, 9000));
  wait(milliseconds(10));
  lab.send(ForwardLab::from_endpoint(to, kSyn | kAck, 5000, 9001));
  EXPECT_EQ(count(kHandshake), 0U);
}

TEST_F(PathTimesTest, TheFirstSynAckCounts) {
  const Outcome to = syn();
  wait(milliseconds(10));
  syn_ack(to);
  wait(milliseconds(900));
  syn_ack(to);
  EXPECT_EQ(count(kHandshake), 1U);
  EXPECT_EQ(sum(kHandshake), milliseconds(10));
}

TEST_F(PathTimesTest, AnAnswerThatMayBeOfARepeatDoesNotCount) {
  Outcome to = syn();
  wait(seconds(1));
  syn_ack(to);
  EXPECT_EQ(count(kHandshake), 0U);
}

TEST_F(PathTimesTest, AnAnswerOfAnotherSynDoesNotCount) {
  const Outcome to = syn();
  lab.send(ForwardLab::from_endpoint(to, kSyn | kAck, 5000, 777));
  EXPECT_EQ(count(kHandshake), 0U);
}

TEST_F(PathTimesTest, ARefusalIsNoAnswer) {
  const Outcome to = syn();
  lab.send(ForwardLab::from_endpoint(to, kRst | kAck, 0, 1001));
  EXPECT_EQ(count(kHandshake), 0U);
  lab.establish(40001);
  const Outcome other = lab.send(ForwardLab::from_client(40001, kAck, 1001, 5001, {1}));
  lab.send(ForwardLab::from_endpoint(other, kRst | kAck, 5001, 1002));
  EXPECT_EQ(count(kFirstByte), 0U);
}

TEST_F(PathTimesTest, AnEndpointThatSpeaksFirstIsNotTimed) {
  for (const bool before_the_acknowledgement : {true, false}) {
    const Outcome to = syn();
    syn_ack(to);
    if (before_the_acknowledgement) say(to);
    ack();
    if (!before_the_acknowledgement) say(to);
    ask();
    say(to, 5002);
    EXPECT_EQ(count(kFirstByte), 0U);
    lab.sweep(std::chrono::hours(2));
  }
}

TEST_F(PathTimesTest, KeepAlivesAreNoData) {
  const Outcome to = syn();
  syn_ack(to);
  ack();
  lab.send(
      ForwardLab::from_client(40000, kAck, 1000, 5001, {0}));  // RFC 9293 section 3.8.4: one octet before
  wait(seconds(5));
  ask();
  wait(milliseconds(4));
  lab.send(ForwardLab::from_endpoint(to, kAck, 5000, 1003, {0}));
  wait(milliseconds(5));
  say(to);
  EXPECT_EQ(sum(kFirstByte), milliseconds(9));
}

TEST_F(PathTimesTest, AForgedClientStartsNoClock) {
  const Outcome to = syn();
  syn_ack(to);
  lab.send(ForwardLab::from_client(40000, kAck, 1001, 6000, {1}));  // has not seen the SYN-ACK
  say(to);
  EXPECT_EQ(count(kFirstByte), 0U);
}

TEST_F(PathTimesTest, AHalfOpenFlowThatEndsLeavesNothing) {
  const Outcome to = syn();
  lab.sweep(seconds(33));
  ASSERT_EQ(lab.worker.flows.load(), 0U);
  syn_ack(to);
  EXPECT_EQ(paths->used.load(), 0U);
}

TEST_F(PathTimesTest, EachLinkHasItsOwn) {
  Outcome to = syn();
  wait(milliseconds(10));
  syn_ack(to);
  only_link(kSydMelB);
  lab.send(ForwardLab::from_client(40001, kSyn, 1000));
  EXPECT_EQ(lab.received->packet.destination, ip4("10.2.1.1"));
  to = lab.send(ForwardLab::from_client(40002, kSyn, 1000));
  wait(milliseconds(14));
  syn_ack(to);
  EXPECT_EQ(sum(kHandshake), milliseconds(10));
  EXPECT_EQ(sum(kHandshake, "syd-mel-b"), milliseconds(14));
}

TEST_F(PathTimesTest, AFlowWhoseLinkFailsIsNotTimed) {
  const Outcome to = syn();
  only_link(kSydMelB);
  syn_ack(to);
  EXPECT_EQ(count(kHandshake), 0U);
  ack();
  ask();
  wait(milliseconds(6));
  only_link(kSydMelA);  // back on the first one before the answer
  say(to);
  EXPECT_EQ(count(kFirstByte), 0U);
  EXPECT_EQ(count(kFirstByte, "syd-mel-b"), 0U);
}

TEST_F(PathTimesTest, FirstByteBelongsToTheLinkThatTheDataTook) {
  const Outcome to = syn();
  syn_ack(to);
  ack();
  only_link(kSydMelB);
  ask();
  wait(milliseconds(6));
  say(to);
  EXPECT_EQ(sum(kFirstByte, "syd-mel-b"), milliseconds(6));
}

TEST_F(PathTimesTest, AFlowThatMovesToAnotherEndpointIsNotTimed) {
  ForwardLab moving;
  moving.options.paths = paths.get();
  moving.open();
  moving.now = moving.now + milliseconds(1);
  moving.send(ForwardLab::from_client(40000, kSyn, 1000));
  moving.send(ForwardLab::from_client(40000, kSyn, 1000));
  const Outcome moved = moving.send(ForwardLab::from_client(40000, kSyn, 1000));
  moving.send(ForwardLab::from_endpoint(moved, kSyn | kAck, 5000, 1001));
  EXPECT_EQ(paths->used.load(), 0U);
}

TEST_F(PathTimesTest, AnEndpointOfThisPopHasNoLink) {
  table::Table records = one_endpoint();
  records.endpoints[0].address = ip("198.51.100.9");
  records.endpoints[0].interface = kEdge;
  records.endpoints[0].first_link = records.endpoints[0].link_count = 0;
  records.candidates[0].link = table::kNone;
  records.tiers = {{0, 1}, {0, 0}};
  adopt(records);
  const Outcome to = syn();
  wait(microseconds(80));
  syn_ack(to);
  EXPECT_EQ(sum(kHandshake, ""), microseconds(80));
}

TEST_F(PathTimesTest, SlotsFollowTheTable) {
  const Outcome to = syn();
  wait(milliseconds(10));
  syn_ack(to);
  const std::uint64_t incarnation = paths->slots[0].incarnation.load();
  table::Table records = one_endpoint();
  std::swap(records.links[kSydMelA], records.links[kSydPer]);  // another index, the same record
  records.candidates[0].link = kSydPer;
  adopt(records);
  EXPECT_EQ(sum(kHandshake), milliseconds(10));
  EXPECT_EQ(paths->slots[0].incarnation.load(), incarnation);
  lab.establish(40001);
  EXPECT_EQ(count(kHandshake), 2U);

  records.links[kSydPer].peer = ip("172.31.1.6");  // another link of the same name
  adopt(records);
  EXPECT_EQ(count(kHandshake), 0U);
  EXPECT_EQ(paths->slots[0].endpoint.load(), 0U);
  lab.establish(40002);
  EXPECT_EQ(count(kHandshake), 1U);
  EXPECT_NE(paths->slots[0].incarnation.load(), incarnation);

  records.endpoints[0].address = ip("10.2.1.9");  // another endpoint of the same name
  adopt(records);
  EXPECT_EQ(count(kHandshake), 0U);
  lab.establish(40003);
  EXPECT_EQ(count(kHandshake), 1U);
}

TEST_F(PathTimesTest, ATimeAcrossAChangeOfLinksIsGivenUp) {
  const Outcome to = syn();
  wait(milliseconds(5));
  lab.adopt(one_endpoint());  // changes nothing
  wait(milliseconds(5));
  syn_ack(to);
  EXPECT_EQ(sum(kHandshake), milliseconds(10));
  ack();
  ask();
  wait(milliseconds(5));
  table::Table records = one_endpoint();
  std::swap(records.links[kSydMelA], records.links[kSydPer]);
  lab.adopt(records);
  wait(milliseconds(5));
  say(to);
  EXPECT_EQ(paths->used.load(), 1U);
  EXPECT_EQ(count(kFirstByte), 0U);
}

TEST_F(PathTimesTest, TheClockGoesRound) {
  lab.now = Instant{(std::int64_t{1} << 52) - 5'000'000};
  lab.open();
  wait(microseconds(1));
  const Outcome to = syn();
  wait(milliseconds(10));
  syn_ack(to);
  EXPECT_GE(sum(kHandshake), milliseconds(10));
  EXPECT_LT(sum(kHandshake), milliseconds(10) + Nanos(16));
}

TEST_F(PathTimesTest, RecentTimesAreSpreadOverTheWindow) {
  const auto recent = [&] {
    std::vector<Nanos> values;
    telemetry::FlowTimesSample sample;
    for (std::size_t i = 0; i < sample.recent.size(); ++i) sample.recent[i] = times(kHandshake).recent[i];
    sample.add_recent(lab.now, values);
    return values;
  };
  std::uint16_t port = 40000;
  const auto open = [&](Nanos rtt) {
    const Outcome to = lab.send(ForwardLab::from_client(++port, kSyn, 1000));
    wait(rtt);
    syn_ack(to);
  };
  for (int i = 0; i < 100; ++i) open(milliseconds(10));  // a second
  EXPECT_EQ(recent(), std::vector<Nanos>{milliseconds(10)});
  for (std::size_t i = 0; i < telemetry::kRecentTimes; ++i) {
    wait(seconds(2));
    open(milliseconds(20));
  }
  EXPECT_EQ(count(kHandshake), 100U + telemetry::kRecentTimes);
  const std::vector<Nanos> spread = recent();
  EXPECT_GT(spread.size(), 25U);
  EXPECT_EQ(std::count(spread.begin(), spread.end(), milliseconds(20)),
            static_cast<std::ptrdiff_t>(spread.size()));
  wait(telemetry::kFlowWindow + milliseconds(2));
  EXPECT_TRUE(recent().empty());
}

TEST_F(PathTimesTest, NoClockOfThePreviousProcessIsStopped) {
  RunDirectory directory;
  ForwardLab kept(one_endpoint(), 1000, directory.path());
  kept.options.paths = paths.get();
  kept.now = kept.now + milliseconds(1);
  const Outcome asked = kept.establish(40000), quiet = kept.establish(40001);
  kept.send(ForwardLab::from_client(40000, kAck, 1001, 5001, {1}));
  kept.now = kept.now + milliseconds(5);
  kept.open();
  kept.send(ForwardLab::from_endpoint(asked, kAck, 5001, 1002, {7}));
  EXPECT_EQ(paths->used.load(), 0U);
  kept.now = kept.now + milliseconds(5);
  kept.send(ForwardLab::from_client(40001, kAck, 1001, 5001, {1}));
  kept.now = kept.now + milliseconds(5);
  EXPECT_TRUE(kept.send(ForwardLab::from_endpoint(quiet, kAck, 5001, 1002, {7})).sent());
  const telemetry::FlowTimes& seen = paths->slots[0].times[static_cast<std::size_t>(kFirstByte)];
  EXPECT_EQ(Nanos(seen.sum_ns.load()), milliseconds(5));
}

}  // namespace
}  // namespace perigee::test
