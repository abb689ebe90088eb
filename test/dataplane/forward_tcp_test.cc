// The life of a TCP flow: its SYNs, its phases, its idle times.
#include <gtest/gtest.h>

#include "test/dataplane/forward_lab.h"

namespace perigee::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

std::uint32_t endpoint_of(ForwardLab& lab, std::uint16_t port) {
  return lab.send(ForwardLab::from_client(port, kSyn, 1000)).destination();
}

TEST(ForwardTcp, UnansweredSynGoesToTheNextCandidateAtItsSecondRepeat) {
  ForwardLab lab;
  const std::uint32_t first = endpoint_of(lab, 40000);
  EXPECT_EQ(endpoint_of(lab, 40000), first);
  const std::uint32_t second = endpoint_of(lab, 40000);
  EXPECT_NE(second, first);
  EXPECT_NE(second, ip4("10.3.1.1"));  // the other one of the first tier
  EXPECT_EQ(endpoint_of(lab, 40000), second);
  EXPECT_EQ(endpoint_of(lab, 40000), ip4("10.3.1.1"));  // then the second tier
  EXPECT_EQ(endpoint_of(lab, 40000), ip4("10.3.1.1"));
  EXPECT_EQ(endpoint_of(lab, 40000), first);  // and round
  EXPECT_EQ(lab.worker.flows.load(), 1U);
  EXPECT_EQ(lab.worker.flows_created.load(), 1U);
}

TEST(ForwardTcp, TheOldEndpointsLateSynAckIsRefused) {
  ForwardLab lab;
  const Outcome first = lab.send(ForwardLab::from_client(40000, kSyn, 1000));
  lab.send(ForwardLab::from_client(40000, kSyn, 1000));
  const Outcome moved = lab.send(ForwardLab::from_client(40000, kSyn, 1000));
  EXPECT_TRUE(lab.send(ForwardLab::from_endpoint(first, kSyn | kAck, 1, 1001)).refused());
  EXPECT_TRUE(lab.send(ForwardLab::from_endpoint(moved, kSyn | kAck, 1, 1001)).sent());
}

TEST(ForwardTcp, AnsweredSynStays) {
  ForwardLab lab;
  const Outcome syn = lab.send(ForwardLab::from_client(40000, kSyn, 1000));
  lab.send(ForwardLab::from_endpoint(syn, kSyn | kAck, 5000, 1001));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(endpoint_of(lab, 40000), syn.destination());
}

TEST(ForwardTcp, RepeatLeavesADeadLinkAtOnce) {
  table::Table records = lab_table();
  // mel only over syd-mel-a, per only over syd-per.
  for (table::Endpoint& endpoint : records.endpoints) endpoint.link_count = 1;
  ForwardLab lab(records);
  EXPECT_NE(endpoint_of(lab, 40000), ip4("10.3.1.1"));
  lab.links = {0b110, 0};
  EXPECT_EQ(endpoint_of(lab, 40000), ip4("10.3.1.1"));
}

TEST(ForwardTcp, RepeatLeavesAnEndpointThatTakesNoMore) {
  ForwardLab lab;
  const std::uint32_t first = endpoint_of(lab, 40000);
  table::Table next = lab_table();
  next.endpoints[first == ip4("10.2.1.1") ? 0 : 1].accepts_new = 0;
  lab.adopt(next);
  EXPECT_NE(endpoint_of(lab, 40000), first);
}

TEST(ForwardTcp, OnlyCandidateIsKept) {
  table::Table records = lab_table();
  records.candidates = {{1, 0, kSydMelA, 100}};
  records.tiers = {{0, 1}, {0, 0}};
  ForwardLab lab(records);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(endpoint_of(lab, 40000), ip4("10.2.1.1"));
}

TEST(ForwardTcp, UnansweredFlowEndsAfterOpeningTime) {
  ForwardLab lab;
  lab.send(ForwardLab::from_client(40000, kSyn, 1000));
  lab.sweep(seconds(29));
  EXPECT_EQ(lab.worker.flows.load(), 1U);
  lab.sweep(seconds(3));
  EXPECT_EQ(lab.worker.flows.load(), 0U);
}

TEST(ForwardTcp, HandshakeThatTheClientNeverEndsIsStillOpening) {
  ForwardLab lab;
  const Outcome syn = lab.send(ForwardLab::from_client(40000, kSyn, 1000));
  lab.send(ForwardLab::from_endpoint(syn, kSyn | kAck, 5000, 1001));
  lab.sweep(seconds(33));
  EXPECT_EQ(lab.worker.flows.load(), 0U);
}

TEST(ForwardTcp, EstablishedLivesAnHourOfSilence) {
  ForwardLab lab;
  const Outcome syn = lab.establish(40000);
  lab.now = lab.now + minutes(59);
  lab.sweep(seconds(2));
  EXPECT_EQ(lab.worker.flows.load(), 1U);
  EXPECT_TRUE(lab.send(ForwardLab::from_endpoint(syn, kAck, 5001, 1001, {1})).sent());
  lab.now = lab.now + minutes(59);
  lab.sweep(seconds(2));
  EXPECT_EQ(lab.worker.flows.load(), 1U);
  lab.now = lab.now + minutes(2);
  lab.sweep(seconds(2));
  EXPECT_EQ(lab.worker.flows.load(), 0U);
  EXPECT_TRUE(lab.send(ForwardLab::from_client(40000, kAck, 1001, 5001)).refused());
}

TEST(ForwardTcp, PacketTakenAfterTheRoundsClockWasReadKeepsItsFlow) {
  ForwardLab lab;
  lab.establish(40000);
  for (int round = 0; round < 100; ++round) {
    const Instant began = lab.now + std::chrono::milliseconds(20);
    lab.now = began + std::chrono::milliseconds(2);
    ASSERT_TRUE(lab.send(ForwardLab::from_client(40000, kAck, 1001, 5001)).sent()) << round;
    lab.now = began;
    lab.forwarder->sweep(lab.links, began, 1000, [](auto) {});
  }
  EXPECT_EQ(lab.worker.flows.load(), 1U);
}

TEST(ForwardTcp, HalfClosedLivesTwoMinutes) {
  ForwardLab lab;
  const Outcome syn = lab.establish(40000);
  lab.send(ForwardLab::from_client(40000, kFin | kAck, 1001, 5001));
  lab.sweep(seconds(119));
  EXPECT_EQ(lab.worker.flows.load(), 1U);
  EXPECT_TRUE(lab.send(ForwardLab::from_endpoint(syn, kAck, 5001, 1002, {1, 2})).sent());
  lab.sweep(seconds(119));
  EXPECT_EQ(lab.worker.flows.load(), 1U);
  lab.sweep(seconds(3));
  EXPECT_EQ(lab.worker.flows.load(), 0U);
}

TEST(ForwardTcp, ClosedLingersForTheLastAcks) {
  ForwardLab lab;
  const Outcome syn = lab.establish(40000);
  lab.send(ForwardLab::from_client(40000, kFin | kAck, 1001, 5001));
  lab.send(ForwardLab::from_endpoint(syn, kFin | kAck, 5001, 1002));
  EXPECT_TRUE(lab.send(ForwardLab::from_client(40000, kAck, 1002, 5002)).sent());
  lab.sweep(seconds(9));
  EXPECT_EQ(lab.worker.flows.load(), 1U);
  lab.sweep(seconds(3));
  EXPECT_EQ(lab.worker.flows.load(), 0U);
}

TEST(ForwardTcp, ExactResetClosesFromEitherSide) {
  for (const bool client : {true, false}) {
    ForwardLab lab;
    const Outcome syn = lab.establish(40000);
    EXPECT_TRUE(lab.send(client ? ForwardLab::from_client(40000, kRst, 1001)
                                : ForwardLab::from_endpoint(syn, kRst, 5001))
                    .sent());
    lab.sweep(seconds(12));
    EXPECT_EQ(lab.worker.flows.load(), 0U) << client;
  }
}

TEST(ForwardTcp, ForgedResetDoesNotEndAFlow) {
  ForwardLab lab;
  const Outcome syn = lab.establish(40000);
  lab.send(ForwardLab::from_client(40000, kRst, 1001 + (1U << 30U)));
  lab.send(ForwardLab::from_endpoint(syn, kRst, 5001 - (1U << 30U)));
  lab.sweep(minutes(10));
  EXPECT_EQ(lab.worker.flows.load(), 1U);
  // Near enough to be real: the idle time is shorter, and whoever still talks keeps the flow.
  lab.send(ForwardLab::from_client(40000, kRst, 1005));
  lab.sweep(seconds(100));
  EXPECT_TRUE(lab.send(ForwardLab::from_client(40000, kAck, 1001, 5001, {1})).sent());
  lab.sweep(seconds(100));
  EXPECT_EQ(lab.worker.flows.load(), 1U);
  lab.sweep(seconds(30));
  EXPECT_EQ(lab.worker.flows.load(), 0U);
}

TEST(ForwardTcp, RefusedConnectionEndsSoon) {
  ForwardLab lab;
  const Outcome syn = lab.send(ForwardLab::from_client(40000, kSyn, 1000));
  EXPECT_TRUE(lab.send(ForwardLab::from_endpoint(syn, kRst | kAck, 0, 1001)).sent());
  lab.sweep(seconds(12));
  EXPECT_EQ(lab.worker.flows.load(), 0U);
}

TEST(ForwardTcp, NewSynOnAClosedFlowOpensANewOne) {
  ForwardLab lab;
  const Outcome old = lab.establish(40000);
  lab.send(ForwardLab::from_client(40000, kFin | kAck, 1001, 5001));
  // Half closed: only a SYN beyond the old sequence is new (RFC 9293 section 3.10.7.4).
  EXPECT_EQ(lab.send(ForwardLab::from_client(40000, kSyn, 500)).source_port(), old.source_port());
  EXPECT_EQ(lab.worker.flows_created.load(), 1U);
  const Outcome fresh = lab.send(ForwardLab::from_client(40000, kSyn, 90000));
  ASSERT_TRUE(fresh.sent());
  EXPECT_NE(fresh.source_port(), old.source_port());
  EXPECT_EQ(lab.worker.flows_created.load(), 2U);
  EXPECT_EQ(lab.worker.flows.load(), 1U);
  EXPECT_TRUE(lab.send(ForwardLab::from_endpoint(old, kFin | kAck, 5001, 1002)).refused());
}

TEST(ForwardTcp, SynOnAnEstablishedFlowIsTheEndpointsToJudge) {
  ForwardLab lab;
  const Outcome old = lab.establish(40000);
  const Outcome again = lab.send(ForwardLab::from_client(40000, kSyn, 90000));
  ASSERT_TRUE(again.sent());
  EXPECT_EQ(again.source_port(), old.source_port());
  EXPECT_EQ(lab.worker.flows_created.load(), 1U);
}

TEST(ForwardTcp, UdpEndsAfterItsIdleTime) {
  table::Table records = lab_table();
  records.services[0].protocol = kUdp;
  ForwardLab lab(records);
  FrameSpec spec = ForwardLab::from_client(5000, 0, 0);
  spec.protocol = kUdp;
  const Outcome first = lab.send(spec);
  lab.sweep(seconds(59));
  EXPECT_EQ(lab.send(spec).source_port(), first.source_port());
  lab.sweep(seconds(62));
  EXPECT_EQ(lab.worker.flows.load(), 0U);
  EXPECT_EQ(lab.endpoints[0].flows.load() + lab.endpoints[1].flows.load(), 0U);
}

TEST(ForwardTcp, SweepKeepsToItsBudgetAndStillSeesAll) {
  ForwardLab lab(lab_table(), 1000);
  for (std::uint16_t port = 1; port <= 500; ++port) lab.send(ForwardLab::from_client(port, kSyn, 1));
  lab.now = lab.now + seconds(40);
  std::uint64_t before = lab.worker.flows.load();
  for (int i = 0; i < 100 && before > 0; ++i) {
    lab.now = lab.now + milliseconds(100);
    lab.forwarder->sweep(lab.links, lab.now, 10, [](auto) {});
    EXPECT_LE(before - lab.worker.flows.load(), 10U);
    before = lab.worker.flows.load();
  }
  EXPECT_EQ(before, 0U);
}

}  // namespace
}  // namespace perigee::test
