// What ends at our own addresses: ARP, echo, and what is dropped at the door.
#include "test/port/software_pop.h"

namespace perigee::test {
namespace {

TEST(WorkerLocal, WithoutATableNothingIsAnswered) {
  SoftwarePop pop;
  ArpSpec who;
  who.to = kBroadcastMac;
  who.sender = ip4("198.51.100.10");
  who.target = ip4("198.51.100.1");
  pop.send(kEdgePort, build(who));
  pop.send(kEdgePort, FrameSpec{});
  pop.look();
  EXPECT_TRUE(pop.take().empty());
  EXPECT_EQ(pop.drops(DropReason::no_table), 2U);
  EXPECT_EQ(pop.verdicts(telemetry::Verdict::dropped), 2U);
}

TEST(WorkerLocal, ATableAnnouncesVipsTowardClients) {
  SoftwarePop pop;
  pop.offer();
  std::set<std::uint32_t> announced;
  for (const Out& out : pop.take()) {
    if (out.parsed.kind != FrameKind::arp || out.port != kEdgePort) continue;
    const std::uint8_t* arp = out.octets.data() + out.packet.l3;
    EXPECT_EQ(load_be32(arp + 14), load_be32(arp + 24));
    EXPECT_TRUE(std::equal(out.octets.begin(), out.octets.begin() + 6, kBroadcastMac.octets.begin()));
    announced.insert(load_be32(arp + 14));
  }
  EXPECT_TRUE(announced.contains(ip4("203.0.113.10")));
  EXPECT_TRUE(announced.contains(ip4("203.0.113.11")));
}

TEST(WorkerLocal, ArpForAVipIsAnswered) {
  SoftwarePop pop;
  pop.settle();
  ArpSpec who;
  who.to = kBroadcastMac;
  who.from = who.sender_mac = mac(9);
  who.sender = ip4("198.51.100.10");
  who.target = ip4("203.0.113.10");
  pop.send(kEdgePort, build(who));
  pop.look();
  const Out reply = pop.take_one(kEdgePort);
  ASSERT_EQ(reply.parsed.kind, FrameKind::arp);
  const std::uint8_t* arp = reply.octets.data() + reply.packet.l3;
  EXPECT_EQ(load_be16(arp + 6), 2);
  EXPECT_EQ(load_be32(arp + 14), ip4("203.0.113.10"));
  EXPECT_TRUE(std::equal(arp + 8, arp + 14, pop.own_mac(kEdgePort).octets.begin()));
  EXPECT_TRUE(std::equal(reply.octets.begin(), reply.octets.begin() + 6, mac(9).octets.begin()));
  EXPECT_GE(pop.verdicts(telemetry::Verdict::local), 1U);
}

TEST(WorkerLocal, EchoToAVipIsAnswered) {
  SoftwarePop pop;
  pop.settle();
  FrameSpec echo;
  echo.protocol = kIcmp;
  echo.source = ip4("198.51.100.20");
  echo.payload = hex("00112233");
  pop.send(kEdgePort, echo);
  pop.look();
  pop.look();  // the client's MAC address is asked for first
  const Out reply = pop.take_one(kEdgePort);
  EXPECT_EQ(reply.packet.source, ip4("203.0.113.10"));
  EXPECT_EQ(reply.packet.destination, ip4("198.51.100.20"));
  EXPECT_EQ(reply.packet.icmp_type, 0);
  EXPECT_TRUE(checksums_ok(std::span(reply.octets).subspan(reply.packet.l3)));
}

TEST(WorkerLocal, PaddingIsNotSentOn) {
  SoftwarePop pop;
  pop.settle();
  FrameSpec echo;
  echo.protocol = kIcmp;
  echo.padding = 18;
  pop.send(kEdgePort, echo);
  pop.look();
  pop.look();
  EXPECT_EQ(pop.take_one(kEdgePort).octets.size(), 14U + 28U);
}

TEST(WorkerLocal, WhatIsNotForUsIsCounted) {
  SoftwarePop pop;
  pop.settle();
  FrameSpec other;
  other.to = mac(99);
  pop.send(kEdgePort, build(other));
  FrameSpec tagged;
  tagged.tag = 999;
  pop.send(kLink1Port, tagged);
  pop.send(kEdgePort, Octets(10, 0));
  FrameSpec martian;
  martian.source = ip4("127.0.0.1");
  pop.send(kEdgePort, martian);
  pop.look();
  EXPECT_TRUE(pop.take().empty());
  EXPECT_EQ(pop.drops(DropReason::wrong_mac), 1U);
  EXPECT_EQ(pop.drops(DropReason::unknown_vlan), 1U);
  EXPECT_EQ(pop.drops(DropReason::too_short), 1U);
  EXPECT_EQ(pop.drops(DropReason::martian_source), 1U);
}

TEST(WorkerLocal, PacketsWaitForTheirNeighborAndNoLonger) {
  SoftwarePop pop;
  pop.settle();
  pop.answer_arp = false;
  FrameSpec echo;
  echo.protocol = kIcmp;
  echo.source = ip4("198.51.100.30");
  for (int i = 0; i < 3; ++i) pop.send(kEdgePort, echo);
  pop.look();
  pop.look();
  const std::vector<Out> asked = pop.take();
  ASSERT_EQ(asked.size(), 1U);  // one request for three packets
  EXPECT_EQ(asked[0].parsed.kind, FrameKind::arp);

  pop.run_for(milliseconds(1500));
  EXPECT_EQ(pop.drops(DropReason::neighbor_unresolved), 3U);

  pop.take();
  pop.answer_arp = true;
  pop.send(kEdgePort, echo);
  pop.run_for(milliseconds(3500));  // asked less and less often meanwhile
  std::size_t replies = 0;
  for (const Out& out : pop.take()) replies += out.parsed.kind == FrameKind::ipv4 ? 1 : 0;
  EXPECT_LE(replies, 1U);
  pop.send(kEdgePort, echo);
  pop.look();
  pop.look();
  EXPECT_EQ(pop.take_one(kEdgePort).packet.destination, ip4("198.51.100.30"));
}

TEST(WorkerLocal, AnAddressConflictIsReported) {
  SoftwarePop pop;
  pop.settle();
  for (Event event; pop.events.pop(event);) {
  }
  ArpSpec claim;
  claim.to = kBroadcastMac;
  claim.from = claim.sender_mac = mac(66);
  claim.sender = claim.target = ip4("203.0.113.10");
  pop.send(kEdgePort, build(claim));
  pop.look();
  EXPECT_EQ(pop.drops(DropReason::arp_not_ours), 1U);
  Event event;
  ASSERT_TRUE(pop.events.pop(event));
  EXPECT_EQ(event.kind, Event::Kind::address_conflict);
  EXPECT_EQ(event.mac, mac(66));
}

}  // namespace
}  // namespace perigee::test
