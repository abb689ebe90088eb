// Refusal, not silence: each reason with the exact octets of its answer.
#include <gtest/gtest.h>

#include "dataplane/refuse.h"
#include "test/dataplane/forward_lab.h"

namespace perigee::test {
namespace {

table::Table udp_table() {
  table::Table table = lab_table();
  table.services[0].protocol = kUdp;
  return table;
}

FrameSpec datagram(std::uint16_t port) {
  FrameSpec spec = ForwardLab::from_client(port, 0, 0);
  spec.protocol = kUdp;
  spec.payload = {1, 2, 3};
  return spec;
}

void no_candidate(table::Table& table) {
  for (table::Endpoint& endpoint : table.endpoints) endpoint.accepts_new = 0;
}

// A RST from the VIP (or SNAT address) to who sent `to`, built from nothing.
Octets reset_octets(const FrameSpec& to, std::uint8_t flags, std::uint32_t sequence,
                    std::uint32_t acknowledgement) {
  FrameSpec spec;
  spec.source = to.destination;
  spec.destination = to.source;
  spec.source_port = to.destination_port;
  spec.destination_port = to.source_port;
  spec.tcp_flags = flags;
  spec.sequence = sequence;
  spec.acknowledgement = acknowledgement;
  Octets out = build_ip(spec);
  set16(out, 4, 0);   // identification
  set16(out, 34, 0);  // window
  set16(out, 10, 0);
  set16(out, 10, plain_checksum(std::span(out).first(20)));
  set16(out, 36, 0);
  set16(out, 36, l4_checksum(out));
  return out;
}

TEST(Refuse, SegmentOfNoFlowIsAnsweredWithItsOwnAck) {
  ForwardLab lab;
  const FrameSpec spec = ForwardLab::from_client(40000, kAck | kPsh, 777, 888, {1, 2, 3});
  const Outcome outcome = lab.send(spec);
  ASSERT_TRUE(outcome.refused());
  EXPECT_EQ(outcome.result.reason, DropReason::no_flow);
  EXPECT_EQ(outcome.ip, build_ip(spec));
  EXPECT_EQ(to_hex(lab.answer(outcome)), to_hex(reset_octets(spec, kRst, 888, 0)));
}

TEST(Refuse, SegmentWithoutAckIsAckedToItsEnd) {
  ForwardLab lab;
  const FrameSpec spec = ForwardLab::from_client(40000, kFin, 777, 0, {1, 2, 3});
  const Outcome outcome = lab.send(spec);
  ASSERT_TRUE(outcome.refused());
  EXPECT_EQ(to_hex(lab.answer(outcome)), to_hex(reset_octets(spec, kRst | kAck, 0, 777 + 3 + 1)));
}

TEST(Refuse, ResetIsNeverAnswered) {
  ForwardLab lab;
  const Outcome outcome = lab.send(ForwardLab::from_client(40000, kRst, 777));
  EXPECT_TRUE(outcome.dropped());
  EXPECT_EQ(outcome.result.reason, DropReason::no_flow);
  std::array<std::uint8_t, kMaxRefusal> out{};
  EXPECT_EQ(build_refusal(lab.received->packet, Answer::tcp_reset, out), 0U);
  EXPECT_EQ(build_refusal(lab.received->packet, Answer::none, out), 0U);
}

TEST(Refuse, SynWithNoCandidate) {
  table::Table records = lab_table();
  no_candidate(records);
  ForwardLab lab(records);
  const FrameSpec spec = ForwardLab::from_client(40000, kSyn, 1000);
  const Outcome outcome = lab.send(spec);
  ASSERT_TRUE(outcome.refused());
  EXPECT_EQ(outcome.result.reason, DropReason::no_candidate);
  EXPECT_EQ(to_hex(lab.answer(outcome)), to_hex(reset_octets(spec, kRst | kAck, 0, 1001)));
}

TEST(Refuse, NoUsableLinkIsNoCandidate) {
  ForwardLab lab;
  lab.links = {0, 0};
  const Outcome outcome = lab.send(ForwardLab::from_client(40000, kSyn, 1000));
  EXPECT_TRUE(outcome.refused());
  EXPECT_EQ(outcome.result.reason, DropReason::no_candidate);
}

TEST(Refuse, ServiceWithoutWeightIsDrained) {
  table::Table records = lab_table();
  for (table::Candidate& candidate : records.candidates) candidate.weight = 0;
  ForwardLab lab(records);
  const Outcome outcome = lab.send(ForwardLab::from_client(40000, kSyn, 1000));
  EXPECT_TRUE(outcome.refused());
  EXPECT_EQ(outcome.result.reason, DropReason::service_drained);
}

TEST(Refuse, FullTable) {
  ForwardLab lab(lab_table(), 2);
  lab.establish(1);
  lab.establish(2);
  const Outcome outcome = lab.send(ForwardLab::from_client(3, kSyn, 1000));
  EXPECT_TRUE(outcome.refused());
  EXPECT_EQ(outcome.result.reason, DropReason::flow_table_full);
  EXPECT_TRUE(lab.send(ForwardLab::from_client(1, kAck, 1001, 5001)).sent());
}

// SYNs that nobody answers, each of another client.
void flood(ForwardLab& lab, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) {
    FrameSpec spec = ForwardLab::from_client(1000, kSyn, 1);
    spec.source = kClient + 1 + static_cast<std::uint32_t>(lab.worker.flows_created.load());
    ASSERT_TRUE(lab.send(spec).sent());
  }
}

bool goes_on(ForwardLab& lab, std::uint16_t port) {
  return lab.send(ForwardLab::from_client(port, kAck, 1001, 5001, {1})).sent();
}

TEST(HalfOpen, AFloodOfSynsTakesRoomFromItself) {
  ForwardLab lab(lab_table(), 100);
  for (std::uint16_t port = 1; port <= 60; ++port) lab.establish(port);
  flood(lab, 500);
  EXPECT_EQ(lab.worker.flows.load(), 100U);
  EXPECT_EQ(lab.worker.half_open_given_up.load(), 460U);
  lab.establish(61);
  flood(lab, 500);
  for (std::uint16_t port = 1; port <= 61; ++port) EXPECT_TRUE(goes_on(lab, port)) << port;
}

TEST(HalfOpen, WhoWaitsLongestGoesFirst) {
  ForwardLab lab(lab_table(), 3);
  lab.send(ForwardLab::from_client(1, kSyn, 1000));
  const Outcome second = lab.send(ForwardLab::from_client(2, kSyn, 1000));
  lab.send(ForwardLab::from_client(1, kSyn, 1000));  // again: it waits since the first
  flood(lab, 2);
  EXPECT_EQ(lab.worker.half_open_given_up.load(), 1U);
  EXPECT_TRUE(lab.send(ForwardLab::from_endpoint(second, kSyn | kAck, 5000, 1001)).sent());
  EXPECT_TRUE(goes_on(lab, 2));
  EXPECT_FALSE(goes_on(lab, 1));
}

// Who forges the client's address never sees what the endpoint sent.
TEST(HalfOpen, WhatAcknowledgesNothingOfTheEndpointOpensNothing) {
  ForwardLab lab(lab_table(), 3);
  const Outcome acked = lab.send(ForwardLab::from_client(1, kSyn, 1000));
  EXPECT_TRUE(lab.send(ForwardLab::from_endpoint(acked, kSyn | kAck, 5000, 1001)).sent());
  EXPECT_TRUE(lab.send(ForwardLab::from_client(1, kAck, 1001, 5002)).sent());
  const Outcome ended = lab.send(ForwardLab::from_client(2, kSyn, 1000));
  EXPECT_TRUE(lab.send(ForwardLab::from_endpoint(ended, kSyn | kAck, 5000, 1001)).sent());
  EXPECT_TRUE(lab.send(ForwardLab::from_client(2, kFin | kAck, 1001, 77)).sent());
  lab.send(ForwardLab::from_client(3, kSyn, 1000));
  lab.send(ForwardLab::from_client(3, kFin, 1001));
  flood(lab, 3);
  EXPECT_EQ(lab.worker.half_open_given_up.load(), 3U);
}

TEST(HalfOpen, DatagramsTakeNoHandshakesPlace) {
  table::Table records = lab_table();
  records.services[1] = records.services[0];
  records.services[1].id = id_from_name<ServiceId>("datagrams").value;
  records.services[1].protocol = kUdp;
  ForwardLab lab(records, 1);
  const Outcome waits = lab.send(ForwardLab::from_client(1, kSyn, 1000));
  FrameSpec datagram = ForwardLab::from_client(2, 0, 0);
  datagram.protocol = kUdp;
  EXPECT_EQ(lab.send(datagram).result.reason, DropReason::flow_table_full);
  EXPECT_TRUE(lab.send(ForwardLab::from_endpoint(waits, kSyn | kAck, 5000, 1001)).sent());
}

TEST(HalfOpen, AFlowInThePlaceOfAnEndedOneIsNotTakenForIt) {
  ForwardLab lab(lab_table(), 2);
  const Outcome ended = lab.send(ForwardLab::from_client(1, kSyn, 1000));
  lab.send(ForwardLab::from_endpoint(ended, kRst | kAck, 0, 1001));
  const Outcome waits = lab.send(ForwardLab::from_client(2, kSyn, 1000));
  lab.sweep(std::chrono::seconds(15));
  ASSERT_EQ(lab.worker.flows.load(), 1U);
  const Outcome later = lab.send(ForwardLab::from_client(3, kSyn, 1000));
  flood(lab, 1);
  EXPECT_TRUE(lab.send(ForwardLab::from_endpoint(later, kSyn | kAck, 5000, 1001)).sent());
  EXPECT_FALSE(lab.send(ForwardLab::from_endpoint(waits, kSyn | kAck, 5000, 1001)).sent());
}

// One endpoint, and of its ports one worker's of sixteen.
constexpr std::uint32_t kFewPorts = 4096;

struct FewPortsLab : ForwardLab {
  FewPortsLab() : ForwardLab(records(), 6000) {
    options.worker = 15;
    options.worker_count = 16;
    open();
  }
  static table::Table records() {
    table::Table records = lab_table();
    records.settings.snat_share_percent = 100;
    records.candidates = {{1, 0, kSydMelA, 100}};
    records.tiers = {{0, 1}, {0, 0}};
    return records;
  }
};

TEST(HalfOpen, GivesWayWhereTheEndpointsPortsAreShort) {
  FewPortsLab lab;
  flood(lab, kFewPorts + 100);
  EXPECT_EQ(lab.worker.half_open_given_up.load(), 100U);
  EXPECT_EQ(lab.worker.flows.load(), kFewPorts);
}

TEST(Refuse, ShareOfOneClientPrefix) {
  table::Table records = lab_table();
  records.settings.snat_share_percent = 1;
  ForwardLab lab(records, 10000);
  const std::uint32_t share = (65536 - 1024) / 100;
  for (std::uint32_t i = 0; i < share; ++i) {
    ASSERT_TRUE(lab.send(ForwardLab::from_client(static_cast<std::uint16_t>(i + 1), kSyn, 1)).sent());
  }
  FrameSpec spec = ForwardLab::from_client(60000, kSyn, 1);
  spec.source = kClient ^ 1U;  // its neighbour in the same /24
  const Outcome outcome = lab.send(spec);
  EXPECT_TRUE(outcome.refused());
  EXPECT_EQ(outcome.result.reason, DropReason::snat_share);
  EXPECT_EQ(outcome.result.answer, Answer::tcp_reset);
  spec.source = kClient ^ 0x100U;
  EXPECT_TRUE(lab.send(spec).sent());
}

TEST(Refuse, SnatPortsExhausted) {
  FewPortsLab lab;
  for (std::uint32_t i = 0; i < kFewPorts; ++i) {
    FrameSpec spec = ForwardLab::from_client(static_cast<std::uint16_t>(i + 1), kSyn, 1);
    const Outcome outcome = lab.send(spec);
    ASSERT_TRUE(outcome.sent());
    ASSERT_EQ(outcome.source_port() >> 12U, 15);  // the owner's high bits
    ASSERT_TRUE(lab.send(ForwardLab::from_endpoint(outcome, kSyn | kAck, 5000, 2)).sent());
    spec.tcp_flags = kAck;
    spec.sequence = 2;
    spec.acknowledgement = 5001;
    ASSERT_TRUE(lab.send(spec).sent());
  }
  FrameSpec another = ForwardLab::from_client(60000, kSyn, 1);
  another.source += 0x100;
  const Outcome outcome = lab.send(another);
  EXPECT_TRUE(outcome.refused());
  EXPECT_EQ(outcome.result.reason, DropReason::snat_exhausted);
  lab.sweep(std::chrono::seconds(1) + std::chrono::milliseconds(100));
  EXPECT_EQ(lab.worker.snat_ports_used.load(), 4096U);
  EXPECT_EQ(lab.worker.snat_ports_total.load(), 4096U);
}

TEST(Refuse, UdpIsToldPortUnreachableByTheVip) {
  table::Table records = udp_table();
  no_candidate(records);
  ForwardLab lab(records);
  const FrameSpec spec = datagram(5000);
  const Outcome outcome = lab.send(spec);
  ASSERT_TRUE(outcome.refused());
  EXPECT_EQ(outcome.result.answer, Answer::icmp_port_unreachable);
  const Octets answer = lab.answer(outcome);
  const Octets refused_packet = build_ip(spec);
  ASSERT_EQ(answer.size(), 28 + refused_packet.size());
  EXPECT_TRUE(checksums_ok(answer));
  EXPECT_EQ(to_hex(std::span(answer).subspan(12, 8)), "cb00710ac633640a");
  EXPECT_EQ(answer[20], 3);
  EXPECT_EQ(answer[21], 3);
  EXPECT_EQ(Octets(answer.begin() + 28, answer.end()), refused_packet);
}

TEST(Refuse, UdpBeyondItsShareIsToldProhibited) {
  table::Table records = udp_table();
  records.settings.snat_share_percent = 1;
  ForwardLab lab(records, 10000);
  Outcome outcome;
  for (std::uint16_t port = 1; port < 1000; ++port) outcome = lab.send(datagram(port));
  ASSERT_TRUE(outcome.refused());
  EXPECT_EQ(outcome.result.reason, DropReason::snat_share);
  const Octets answer = lab.answer(outcome);
  EXPECT_EQ(answer.at(20), 3);
  EXPECT_EQ(answer.at(21), 13);
  EXPECT_TRUE(checksums_ok(answer));
}

TEST(Refuse, SilentServiceSaysNothing) {
  table::Table records = lab_table();
  no_candidate(records);
  records.services[0].refuse = static_cast<std::uint8_t>(table::Refuse::drop);
  ForwardLab lab(records);
  for (const std::uint8_t flags : {std::uint8_t{kSyn}, std::uint8_t{kAck}}) {
    const Outcome outcome = lab.send(ForwardLab::from_client(40000, flags, 1000));
    EXPECT_TRUE(outcome.dropped());
    EXPECT_EQ(outcome.result.reason, flags == kSyn ? DropReason::no_candidate : DropReason::no_flow);
  }
}

TEST(Refuse, WithinTheRateOfTheSettings) {
  table::Table records = lab_table();
  records.settings.refuse_per_second = 5;
  ForwardLab lab(records);
  int refused = 0;
  for (int i = 0; i < 20; ++i) {
    const Outcome outcome = lab.send(ForwardLab::from_client(40000, kAck, 1));
    if (outcome.refused()) ++refused;
    if (outcome.dropped()) {
      EXPECT_EQ(outcome.result.reason, DropReason::refuse_rate_limited);
    }
  }
  EXPECT_EQ(refused, 5);
  lab.now = lab.now + std::chrono::seconds(1);
  EXPECT_TRUE(lab.send(ForwardLab::from_client(40000, kAck, 1)).refused());
  // The worker's own refusals take from the same bucket.
  for (int i = 0; i < 20; ++i)
    lab.forwarder->refuse(lab.received->packet, DropReason::port_unsupported, lab.now);
  EXPECT_TRUE(lab.send(ForwardLab::from_client(40000, kAck, 1)).dropped());
}

TEST(Refuse, StrangersAtTheSnatAddress) {
  ForwardLab lab;
  const Outcome syn = lab.establish(40000);
  FrameSpec spec = ForwardLab::from_endpoint(syn, kAck, 1, 2);
  spec.source = ip4("10.2.9.9");  // not the flow's endpoint
  Outcome outcome = lab.send(spec);
  EXPECT_TRUE(outcome.refused());
  EXPECT_EQ(outcome.result.reason, DropReason::no_flow);
  EXPECT_EQ(to_hex(lab.answer(outcome)), to_hex(reset_octets(spec, kRst, 2, 0)));
  spec.tcp_flags = kRst;
  EXPECT_TRUE(lab.send(spec).dropped());
  spec.protocol = kUdp;
  outcome = lab.send(spec);
  EXPECT_TRUE(outcome.dropped());
  EXPECT_EQ(outcome.result.reason, DropReason::no_flow);
}

}  // namespace
}  // namespace perigee::test
