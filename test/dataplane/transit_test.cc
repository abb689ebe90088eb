#include "dataplane/transit.h"

#include <gtest/gtest.h>

#include <array>

#include "test/dataplane/lab_table.h"

namespace perigee::test {
namespace {

class Transit : public testing::Test {
 protected:
  // Forwards a packet of `spec` that came in on `in`; the packet is kept for a look.
  TransitResult send(const FrameSpec& spec, Segment in, LinkView view = kAllUp) {
    got = std::make_unique<Received>(build(spec));
    got->packet.in = in;
    return forward_transit(got->packet, *table, view);
  }
  static FrameSpec to(const char* destination) { return {.destination = ip4(destination)}; }
  static void expect_egress(const TransitResult& result, std::uint32_t link) {
    ASSERT_TRUE(result.send) << int(result.reason);
    EXPECT_EQ(result.egress.segment, link_segment(link));
    EXPECT_FALSE(result.error);
  }
  static void expect_drop(const TransitResult& result, DropReason reason, std::optional<IcmpError> error) {
    EXPECT_FALSE(result.send);
    EXPECT_EQ(result.reason, reason);
    EXPECT_EQ(result.error, error);
  }

  static constexpr IcmpError kNetError = {kUnreachable, kNetUnreachable, 0};
  std::unique_ptr<const ServingTable> table = serving();
  std::unique_ptr<Received> got;
  const Segment host = interface_segment(kHost), edge = interface_segment(kEdge);
};

TEST_F(Transit, TakesTheFirstLiveLink) {
  expect_egress(send(to("10.2.1.1"), host), kSydMelA);
  EXPECT_EQ(send(to("10.2.1.1"), host).egress.next_hop, ip4("172.31.1.2"));
  expect_egress(send(to("10.2.1.1"), host, {0b110, 0}), kSydMelB);
  expect_egress(send(to("10.2.1.1"), host, {0b100, 0b001}), kSydPer);  // up before unknown
  expect_egress(send(to("10.2.1.1"), host, {0, 0b011}), kSydMelA);
  expect_egress(send(to("10.3.1.1"), host), kSydPer);
  expect_drop(send(to("10.2.1.1"), host, {}), DropReason::no_live_link, kNetError);
}

TEST_F(Transit, DecrementsTheTtlWithARightChecksum) {
  for (unsigned ttl = 2; ttl <= 255; ++ttl) {
    FrameSpec spec = to("10.2.1.1");
    spec.ttl = static_cast<std::uint8_t>(ttl);
    spec.source += ttl * 257;
    ASSERT_TRUE(send(spec, host).send);
    --spec.ttl;
    ASSERT_EQ(to_hex(got->ip_packet()), to_hex(build_ip(spec))) << ttl;
  }
}

TEST_F(Transit, ExpiresWhatWouldLeaveWithoutTtl) {
  for (const std::uint8_t ttl : std::initializer_list<std::uint8_t>{0, 1}) {
    FrameSpec spec = to("10.2.1.1");
    spec.ttl = ttl;
    expect_drop(send(spec, host), DropReason::ttl_exceeded, IcmpError{kTimeExceeded, 0, 0});
    EXPECT_EQ(to_hex(got->ip_packet()), to_hex(build_ip(spec)));  // to be quoted as it came
  }
}

TEST_F(Transit, NeverGoesBackToThePopItCameFrom) {
  // From mel, for mel: only per is left, and that is another PoP.
  expect_egress(send(to("10.2.1.1"), link_segment(kSydMelA)), kSydPer);
  expect_drop(send(to("10.2.1.1"), link_segment(kSydMelA), {0b011, 0}), DropReason::no_live_link, kNetError);
  // From per, for per, over mel.
  expect_egress(send(to("10.3.1.1"), link_segment(kSydPer)), kSydMelA);
  // From mel, for per, whose link is dead: not to mel again, over either of its links.
  expect_drop(send(to("10.3.1.1"), link_segment(kSydMelB), {0b011, 0}), DropReason::no_live_link, kNetError);
  // What we rewrote ourselves may go anywhere.
  EXPECT_EQ(choose_route(ip4("10.2.1.1"), 0, Segment{}, *table, kAllUp).egress->segment,
            link_segment(kSydMelA));
}

TEST_F(Transit, EqualLinksShareFlowsAndEachKeepsToItsOwn) {
  table::Table records = lab_table();
  records.prefixes[0].equal_links = 2;
  table = serving(records);
  std::array<int, 3> flows{};
  for (std::uint16_t port = 1000; port < 1400; ++port) {
    FrameSpec spec = to("10.2.1.1");
    spec.source_port = port;
    const std::uint16_t link = send(spec, edge).egress.segment.index;
    ++flows.at(link);
    EXPECT_EQ(send(spec, edge).egress.segment.index, link);
    EXPECT_EQ(send(spec, edge, {0b110, 0}).egress.segment.index, kSydMelB);
    // One that lives keeps its flows when another that shared with it dies.
    if (link == kSydMelA) expect_egress(send(spec, edge, {0b101, 0}), kSydMelA);
    expect_egress(send(spec, edge, {0b100, 0}), kSydPer);
    expect_egress(send(spec, host), kSydMelA);  // what the host sends is priced by the first
  }
  EXPECT_GT(flows[kSydMelA], 150);
  EXPECT_GT(flows[kSydMelB], 150);
  EXPECT_EQ(flows[kSydPer], 0);
}

TEST_F(Transit, FragmentsOfADatagramShareItsLink) {
  table::Table records = lab_table();
  records.prefixes[0].equal_links = 2;
  table = serving(records);
  FrameSpec first = to("10.2.1.1");
  first.protocol = kUdp;
  for (std::uint32_t host_number = 1; host_number < 50; ++host_number) {
    first.source = ip4("198.51.100.0") + host_number;
    first.fragment = 0x2000;  // more follow
    FrameSpec second = first;
    second.fragment = 0x0010;
    second.source_port = 7;  // octets of the payload
    EXPECT_EQ(send(first, edge).egress, send(second, edge).egress) << host_number;
  }
}

TEST_F(Transit, DeliversOnLinkAndOverTheGateway) {
  TransitResult result = send(to("198.51.100.10"), link_segment(kSydMelA));
  ASSERT_TRUE(result.send);
  EXPECT_EQ(result.egress, (Egress{edge, ip4("198.51.100.10")}));
  expect_drop(send(to("192.0.2.1"), link_segment(kSydMelA)), DropReason::no_route, kNetError);

  table::Table records = lab_table();
  records.interfaces[kEdge].gateway = ip("198.51.100.254");
  table = serving(records);
  result = send(to("192.0.2.1"), link_segment(kSydMelA));
  ASSERT_TRUE(result.send);
  EXPECT_EQ(result.egress, (Egress{edge, ip4("198.51.100.254")}));
  expect_drop(send(to("192.0.2.1"), edge), DropReason::no_route, kNetError);  // it came from there
  EXPECT_TRUE(send(to("198.51.100.10"), edge).send);
}

TEST_F(Transit, ForwardsNoBroadcastOrMulticast) {
  expect_drop(send(to("224.0.0.1"), host), DropReason::no_route, std::nullopt);
  expect_drop(send(to("255.255.255.255"), host), DropReason::no_route, std::nullopt);
  expect_drop(send(to("127.0.0.1"), host), DropReason::no_route, std::nullopt);
  EXPECT_FALSE(send(to("198.51.100.255"), host).send);  // RFC 2644
  EXPECT_FALSE(send(to("198.51.100.0"), host).send);
}

TEST_F(Transit, AsksForSmallerPacketsOnlyWithDf) {
  table::Table records = lab_table();
  records.links[kSydMelA].mtu = 1400;
  table = serving(records);
  FrameSpec spec = to("10.2.1.1");
  spec.payload.resize(1360);
  expect_egress(send(spec, host), kSydMelA);  // exactly the MTU
  spec.payload.resize(1361);
  expect_drop(send(spec, host), DropReason::mtu_exceeded,
              IcmpError{kUnreachable, kFragmentationNeeded, 1400});
  EXPECT_EQ(to_hex(got->ip_packet()), to_hex(build_ip(spec)));
  spec.fragment = 0;
  expect_drop(send(spec, host), DropReason::mtu_exceeded, std::nullopt);
}

TEST_F(Transit, HostServicesGoToTheHost) {
  Received packet(build(FrameSpec{.destination = ip4("203.0.113.11"), .ttl = 9}));
  packet.packet.in = edge;
  TransitResult result = deliver_to_host(packet.packet, *table, 1);
  ASSERT_TRUE(result.send);
  EXPECT_EQ(result.egress, (Egress{host, ip4("203.0.113.11")}));  // the host answers ARP for it
  EXPECT_EQ(packet.packet.ttl, 8);
  EXPECT_TRUE(checksums_ok(packet.ip_packet()));

  packet.packet.in = host;
  expect_drop(deliver_to_host(packet.packet, *table, 1), DropReason::no_route, std::nullopt);

  table::Table records = lab_table();
  records.interfaces[kHost].gateway = ip("10.1.0.2");
  table = serving(records);
  packet.packet.in = edge;
  EXPECT_EQ(deliver_to_host(packet.packet, *table, 1).egress, (Egress{host, ip4("10.1.0.2")}));
}

}  // namespace
}  // namespace perigee::test
