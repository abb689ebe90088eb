#include "dataplane/forward.h"

#include <gmock/gmock.h>

#include <random>
#include <set>

#include "dataplane/flow_table.h"
#include "test/dataplane/forward_lab.h"

namespace perigee::test {
namespace {

using std::chrono::seconds;

TEST(Forward, ClientToVipBecomesSnatToEndpointAndBack) {
  ForwardLab lab;
  FrameSpec spec = ForwardLab::from_client(40000, kSyn, 1000);
  spec.tcp_options = hex("020405b4");
  const Outcome there = lab.send(spec);
  ASSERT_TRUE(there.sent());
  EXPECT_EQ(there.source(), kSnat);
  EXPECT_THAT((std::array{ip4("10.2.1.1"), ip4("10.2.1.2")}), testing::Contains(there.destination()));
  EXPECT_EQ(there.destination_port(), 8000);
  EXPECT_GE(there.source_port(), 1024);
  EXPECT_EQ(there.ip[8], 63);
  EXPECT_TRUE(checksums_ok(there.ip));
  EXPECT_EQ(there.result.egress.segment, (Segment{Segment::Kind::link, kSydMelA}));
  EXPECT_EQ(there.result.egress.next_hop, ip4("172.31.1.2"));

  const Outcome back = lab.send(ForwardLab::from_endpoint(there, kSyn | kAck, 5000, 1001));
  ASSERT_TRUE(back.sent());
  EXPECT_EQ(back.source(), kVip);
  EXPECT_EQ(back.source_port(), 8000);
  EXPECT_EQ(back.destination(), kClient);
  EXPECT_EQ(back.destination_port(), 40000);
  EXPECT_EQ(back.ip[8], 63);
  EXPECT_TRUE(checksums_ok(back.ip));
  EXPECT_EQ(back.result.egress.segment, (Segment{Segment::Kind::interface, kEdge}));
  EXPECT_EQ(back.result.egress.next_hop, kClient);
  EXPECT_EQ(lab.worker.flows.load(), 1U);
  EXPECT_EQ(lab.worker.flows_created.load(), 1U);
}

TEST(Forward, ChecksumsStayRightForAnyPacket) {
  ForwardLab lab;
  std::mt19937 random(7);
  const Outcome syn = lab.establish(40000);
  for (int i = 0; i < 2000; ++i) {
    Octets payload(random() % 300);
    for (std::uint8_t& octet : payload) octet = static_cast<std::uint8_t>(random());
    FrameSpec spec = random() % 2 == 0 ? ForwardLab::from_client(40000, kAck, 1001, 5001, payload)
                                       : ForwardLab::from_endpoint(syn, kAck, 5001, 1001, payload);
    spec.ttl = static_cast<std::uint8_t>(2 + random() % 254);
    spec.ip_options.assign(random() % 4 * 4, 1);
    spec.tcp_options.assign(random() % 4 * 4, 1);
    const Outcome outcome = lab.send(spec);
    ASSERT_TRUE(outcome.sent());
    ASSERT_TRUE(checksums_ok(outcome.ip)) << i;
    ASSERT_EQ(Octets(outcome.ip.end() - static_cast<std::ptrdiff_t>(payload.size()), outcome.ip.end()),
              payload);
  }
}

TEST(Forward, CorruptPayloadStaysVisibleToTheReceiver) {
  ForwardLab lab;
  lab.establish(40000);
  Octets frame = build(ForwardLab::from_client(40000, kAck, 1001, 5001, {1, 2, 3, 4}));
  frame.back() ^= 0x10U;
  const Outcome outcome = lab.send(std::move(frame));
  ASSERT_TRUE(outcome.sent());
  EXPECT_FALSE(checksums_ok(outcome.ip));
}

TEST(Forward, PacketsOfOneFlowInOneBurst) {
  ForwardLab lab;
  Received first(build(ForwardLab::from_client(40000, kSyn, 1000)), lab.arrival);
  Received second(build(ForwardLab::from_client(40000, kAck, 1001, 0, {1, 2})), lab.arrival);
  std::vector<Forwarding> burst;
  for (Received* frame : {&first, &second}) {
    burst.push_back({&frame->packet, classify(frame->packet, *lab.table).service, {}});
  }
  lab.forwarder->process(burst, kAllUp, lab.now);
  for (const Forwarding& done : burst) EXPECT_EQ(done.result.verdict, ForwardResult::Verdict::send);
  EXPECT_EQ(first.packet.source_port, second.packet.source_port);
}

TEST(Forward, TtlThatWouldEndIsNotForwarded) {
  ForwardLab lab;
  FrameSpec spec = ForwardLab::from_client(40000, kSyn, 1000);
  spec.ttl = 1;
  const Outcome outcome = lab.send(spec);
  EXPECT_TRUE(outcome.dropped());
  EXPECT_EQ(outcome.result.reason, DropReason::ttl_exceeded);
  EXPECT_EQ(outcome.ip, build_ip(spec));
  EXPECT_EQ(lab.worker.flows.load(), 0U);
}

TEST(Forward, EachFlowHasItsOwnPort) {
  ForwardLab lab;
  std::set<std::pair<std::uint32_t, std::uint16_t>> seen;
  for (std::uint16_t port = 1; port <= 200; ++port) {
    const Outcome outcome = lab.send(ForwardLab::from_client(port, kSyn, 1000));
    ASSERT_TRUE(outcome.sent());
    EXPECT_TRUE(seen.emplace(outcome.destination(), outcome.source_port()).second);
  }
  EXPECT_EQ(lab.worker.flows.load(), 200U);
  std::uint64_t by_endpoint = 0;
  for (const telemetry::EndpointSlot& slot : lab.endpoints) by_endpoint += slot.flows.load();
  EXPECT_EQ(by_endpoint, 200U);
}

TEST(Forward, NewFlowWithBadChecksumIsDropped) {
  ForwardLab lab;
  Octets frame = build(ForwardLab::from_client(40000, kSyn, 1000));
  frame[14 + 20 + 16] ^= 1U;
  const Outcome outcome = lab.send(std::move(frame));
  EXPECT_TRUE(outcome.dropped());
  EXPECT_EQ(outcome.result.reason, DropReason::bad_l4_checksum);
  EXPECT_EQ(lab.worker.flows.load(), 0U);
}

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

TEST(Forward, UdpBothWays) {
  ForwardLab lab(udp_table());
  const Outcome there = lab.send(datagram(5000));
  ASSERT_TRUE(there.sent());
  EXPECT_TRUE(checksums_ok(there.ip));
  FrameSpec reply = ForwardLab::from_endpoint(there, 0, 0);
  reply.protocol = kUdp;
  reply.payload = {4, 5};
  const Outcome back = lab.send(reply);
  ASSERT_TRUE(back.sent());
  EXPECT_EQ(back.source(), kVip);
  EXPECT_EQ(back.destination_port(), 5000);
  EXPECT_TRUE(checksums_ok(back.ip));
}

TEST(Forward, UdpWithoutChecksumStaysWithout) {
  ForwardLab lab(udp_table());
  Octets frame = build(datagram(5000));
  frame[14 + 20 + 6] = frame[14 + 20 + 7] = 0;
  const Outcome there = lab.send(std::move(frame));
  ASSERT_TRUE(there.sent());
  EXPECT_EQ(there.ip[26], 0);
  EXPECT_EQ(there.ip[27], 0);
}

TEST(Forward, UdpChecksumNeverBecomesZero) {
  ForwardLab lab(udp_table());
  FrameSpec spec = datagram(5000);
  spec.payload = {0, 0};
  const Outcome plain = lab.send(spec);
  ASSERT_TRUE(plain.sent());
  // The payload word that makes the forwarded sum all ones, so that its complement would be 0: RFC 768 sends
  // 0xffff instead.
  spec.payload = {plain.ip[26], plain.ip[27]};
  const Outcome outcome = lab.send(spec);
  EXPECT_EQ(outcome.ip[26], 0xff);
  EXPECT_EQ(outcome.ip[27], 0xff);
}

TEST(Forward, TableSwapKeepsFlowsWhereTheyAre) {
  ForwardLab lab;
  const Outcome syn = lab.establish(40000);
  table::Table next = lab_table();
  std::swap(next.endpoints[0], next.endpoints[2]);  // other indexes, other first choice
  next.candidates = {{1, 0, kSydPer, 100}, {1, 1, kSydMelA, 100}, {1, 2, kSydMelA, 100}};
  next.tiers = {{0, 1}, {1, 2}};
  lab.adopt(next);
  const Outcome data = lab.send(ForwardLab::from_client(40000, kAck, 1001, 5001, {1}));
  ASSERT_TRUE(data.sent());
  EXPECT_EQ(data.destination(), syn.destination());
  EXPECT_EQ(data.source_port(), syn.source_port());
  EXPECT_TRUE(lab.send(ForwardLab::from_endpoint(syn, kAck, 5001, 1002)).sent());
  // A new flow follows the new table.
  EXPECT_EQ(lab.send(ForwardLab::from_client(40001, kSyn, 1)).destination(), ip4("10.3.1.1"));
}

TEST(Forward, BothDirectionsOfAFlowHaveAnOwner) {
  ForwardLab lab;
  std::array<int, 4> clients{};
  for (std::uint32_t i = 0; i < 400; ++i) {
    FrameSpec spec = ForwardLab::from_client(1, kSyn, 1);
    spec.source += i;
    const Received frame(build(spec));
    const std::uint32_t owner = Forwarder::owner_of(frame.packet, 0, 4);
    ++clients.at(owner);
    EXPECT_EQ(Forwarder::owner_of(frame.packet, 0, 1), 0U);
    EXPECT_EQ(Forwarder::owner_of(frame.packet, table::kNone, 4), 8000U >> 14U);
  }
  for (const int count : clients) EXPECT_GT(count, 50);
}

TEST(Forward, EndpointInThisPopIsReachedThroughItsInterface) {
  table::Table records = lab_table();
  table::Endpoint& endpoint = records.endpoints[0];
  endpoint.address = ip("10.1.0.50");
  endpoint.link_count = 0;
  endpoint.interface = kHost;
  records.candidates = {{1, 0, table::kNone, 100}};
  records.tiers = {{0, 1}, {0, 0}};
  ForwardLab lab(records);
  lab.links = {0, 0};
  const Outcome outcome = lab.send(ForwardLab::from_client(40000, kSyn, 1000));
  ASSERT_TRUE(outcome.sent());
  EXPECT_EQ(outcome.result.egress, (Egress{{Segment::Kind::interface, kHost}, ip4("10.1.0.50")}));
}

}  // namespace
}  // namespace perigee::test
