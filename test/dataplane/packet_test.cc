// Frames that are what they say, as RFC vectors in hex, and how the parser reads them.
#include "dataplane/packet.h"

#include <gtest/gtest.h>

#include "test/dataplane/frames.h"

namespace perigee::test {
namespace {

TEST(Packet, ReadsATcpSynAsItIsOnTheWire) {
  Received got(hex("020000000001 020000000002 0800"
                   "4500 003c 1c46 4000 40 06 b823 c6336414 cb00710a"
                   "9c40 1f40 000003e8 00000000 a002 ffff 0000 0000"
                   "020405b4 0402080a 00000001 00000000 01030307"),
               {7, 0, Instant{99}});
  ASSERT_EQ(got.parsed.kind, FrameKind::ipv4) << int(got.parsed.reason);
  const Packet& packet = got.packet;
  EXPECT_EQ(packet.port, 7);
  EXPECT_EQ(packet.received.ns, 99);
  EXPECT_EQ(packet.vlan, 0);
  EXPECT_EQ(packet.l3, 14);
  EXPECT_EQ(packet.l4, 34);
  EXPECT_EQ(packet.payload, 74);
  EXPECT_EQ(packet.payload_length(), 0U);
  EXPECT_EQ(packet.ip_total_length, 60);
  EXPECT_EQ(packet.source, ip4("198.51.100.20"));
  EXPECT_EQ(packet.destination, ip4("203.0.113.10"));
  EXPECT_EQ(packet.ttl, 64);
  EXPECT_EQ(packet.protocol, kTcp);
  EXPECT_EQ(packet.tcp_flags, kSyn);
  EXPECT_EQ(packet.source_port, 40000);
  EXPECT_EQ(packet.destination_port, 8000);
  EXPECT_TRUE(packet.dont_fragment);
  EXPECT_FALSE(packet.fragment);
}

TEST(Packet, CutsEthernetPaddingOff) {
  FrameSpec spec{.protocol = kUdp, .payload = {1, 2, 3}, .padding = 15};
  Received got(build(spec));
  ASSERT_EQ(got.parsed.kind, FrameKind::ipv4);
  EXPECT_EQ(got.packet.length, 14U + 20 + 8 + 3);
  EXPECT_EQ(got.packet.payload_length(), 3U);
}

TEST(Packet, ReadsOneVlanTagInTheFrameOrTakenOffByTheDevice) {
  Received tagged(build(FrameSpec{.tag = 0x6014}));  // priority 3, VID 20
  EXPECT_EQ(tagged.parsed.kind, FrameKind::ipv4);
  EXPECT_EQ(tagged.packet.vlan, 20);
  EXPECT_EQ(tagged.packet.l3, 18);
  Received priority(build(FrameSpec{.tag = 0xe000}));  // VID 0 carries only a priority
  EXPECT_EQ(priority.parsed.kind, FrameKind::ipv4);
  EXPECT_EQ(priority.packet.vlan, 0);
  Received stripped(build(FrameSpec{}), {0, 0x6014, {}});
  EXPECT_EQ(stripped.parsed.kind, FrameKind::ipv4);
  EXPECT_EQ(stripped.packet.vlan, 20);
  EXPECT_EQ(stripped.packet.l3, 14);
}

TEST(Packet, SkipsIpv4AndTcpOptions) {
  Received got(
      build(FrameSpec{.ip_options = hex("94040000"), .tcp_options = hex("020405b4"), .payload = {9}}));
  ASSERT_EQ(got.parsed.kind, FrameKind::ipv4);
  EXPECT_EQ(got.packet.l4, 14 + 24);
  EXPECT_EQ(got.packet.payload, 14 + 24 + 24);
  EXPECT_EQ(got.packet.payload_length(), 1U);
}

TEST(Packet, MarksFragmentsAndLooksNoFurther) {
  for (const std::uint16_t bits :
       std::initializer_list<std::uint16_t>{0x2000, 0x2003, 0x0001, 0x1fff}) {  // MF, MF + offset, offset
    FrameSpec spec{.fragment = bits, .payload = {}};
    Received got(build(spec));
    ASSERT_EQ(got.parsed.kind, FrameKind::ipv4) << bits;
    EXPECT_TRUE(got.packet.fragment);
    EXPECT_EQ(got.packet.source_port, 0);
    EXPECT_EQ(got.packet.payload, got.packet.l4);
  }
  FrameSpec tail{.protocol = 200, .fragment = 0x00ff, .payload = {1}};
  EXPECT_EQ(Received(build(tail)).parsed.kind, FrameKind::ipv4);
}

TEST(Packet, OtherProtocolsPassForTransit) {
  Received got(build(FrameSpec{.protocol = 50, .payload = {1, 2}}));
  EXPECT_EQ(got.parsed.kind, FrameKind::ipv4);
  EXPECT_EQ(got.packet.protocol, 50);
  EXPECT_EQ(got.packet.payload, got.packet.l4);
}

TEST(Packet, ReadsIcmp) {
  Received got(build(FrameSpec{.protocol = kIcmp, .icmp_type = 3, .icmp_code = 4, .payload = {1, 2, 3}}));
  ASSERT_EQ(got.parsed.kind, FrameKind::ipv4);
  EXPECT_EQ(got.packet.icmp_type, 3);
  EXPECT_EQ(got.packet.icmp_code, 4);
  EXPECT_EQ(got.packet.payload_length(), 3U);
}

TEST(Packet, IsForUsByOurMacOrByBroadcastForArpOnly) {
  Received unicast(build(FrameSpec{.to = mac(1)}));
  EXPECT_TRUE(addressed_to(unicast.packet, FrameKind::ipv4, mac(1)));
  EXPECT_FALSE(addressed_to(unicast.packet, FrameKind::ipv4, mac(9)));
  Received broadcast(build(FrameSpec{.to = MacAddress{{255, 255, 255, 255, 255, 255}}}));
  EXPECT_FALSE(addressed_to(broadcast.packet, FrameKind::ipv4, mac(1)));
  EXPECT_TRUE(addressed_to(broadcast.packet, FrameKind::arp, mac(1)));
  Received multicast(build(FrameSpec{.to = MacAddress{{1, 0, 0x5e, 0, 0, 1}}}));
  EXPECT_FALSE(addressed_to(multicast.packet, FrameKind::arp, mac(1)));
}

TEST(Packet, WritesEthernetHeaders) {
  std::array<std::uint8_t, kMaxEthernetHeader> out{};
  EXPECT_EQ(write_ethernet(out, mac(1), mac(2), 0, kEtherArp), 14U);
  EXPECT_EQ(to_hex(std::span(out).first(14)), "0200000000010200000000020806");
  EXPECT_EQ(write_ethernet(out, mac(1), mac(2), 20, kEtherIpv4), 18U);
  EXPECT_EQ(to_hex(out), "020000000001020000000002810000140800");
}

}  // namespace
}  // namespace perigee::test
