#include "dataplane/classify.h"

#include <gtest/gtest.h>

#include "dataplane/icmp.h"
#include "test/dataplane/lab_table.h"

namespace perigee::test {
namespace {

class Classify : public testing::Test {
 protected:
  Classified of(const FrameSpec& spec, Arrival arrival) {
    Received got(build(spec), arrival);
    EXPECT_EQ(got.parsed.kind, FrameKind::ipv4) << int(got.parsed.reason);
    return classify(got.packet, *table);
  }
  static FrameSpec to(const char* destination, std::uint8_t protocol = kTcp, std::uint16_t port = 8000) {
    return {.destination = ip4(destination), .protocol = protocol, .destination_port = port};
  }
  static FrameSpec stamp(const char* source, const char* destination, std::uint16_t from,
                         std::uint16_t port) {
    return {.source = ip4(source),
            .destination = ip4(destination),
            .protocol = kUdp,
            .source_port = from,
            .destination_port = port,
            .payload = Octets(44)};
  }
  static Classified dropped(DropReason reason) { return {Journey::drop, reason, table::kNone}; }
  static Classified goes(Journey journey, std::uint32_t service = table::kNone) {
    return {journey, {}, service};
  }

  std::unique_ptr<const ServingTable> table = serving();
};

TEST_F(Classify, ServicesByVipPortAndProtocol) {
  EXPECT_EQ(of(to("203.0.113.10"), on_edge()), goes(Journey::nat, 0));
  EXPECT_EQ(of(to("203.0.113.10"), on_host()), goes(Journey::nat, 0));
  EXPECT_EQ(of(to("203.0.113.10"), on_link0()), goes(Journey::nat, 0));
  EXPECT_EQ(of(to("203.0.113.11", kTcp, 22), on_edge()), goes(Journey::host, 1));
  EXPECT_EQ(of(to("203.0.113.10", kTcp, 8001), on_edge()).journey, Journey::refuse);
  EXPECT_EQ(of(to("203.0.113.10", kUdp), on_edge()).journey, Journey::refuse);
  EXPECT_EQ(of(to("203.0.113.10", 50), on_edge()), dropped(DropReason::protocol_unsupported));
}

TEST_F(Classify, NeedsASegment) {
  EXPECT_EQ(of(to("203.0.113.10"), {kLink1Port, 0, {}}), dropped(DropReason::unknown_vlan));
  EXPECT_EQ(of(to("203.0.113.10"), {kEdgePort, 7, {}}), dropped(DropReason::unknown_vlan));
}

TEST_F(Classify, EchoToOwnVipAndSnatAddresses) {
  for (const char* own : {"172.31.1.1", "172.31.3.1", "198.51.100.1", "10.1.0.1", "203.0.113.10",
                          "203.0.113.11", "10.1.255.1"}) {
    FrameSpec spec = to(own, kIcmp);
    EXPECT_EQ(of(spec, on_edge()).journey, Journey::echo) << own;
    spec.icmp_type = kEchoReply;
    EXPECT_EQ(of(spec, on_edge()), dropped(DropReason::icmp_no_flow)) << own;
  }
}

TEST_F(Classify, FragmentsToWhatNeedsPortsAreDropped) {
  for (const char* own : {"203.0.113.10", "10.1.255.1", "172.31.1.1"}) {
    FrameSpec spec = to(own, kUdp);
    spec.fragment = 0x2000;
    EXPECT_EQ(of(spec, on_edge()), dropped(DropReason::fragment)) << own;
  }
  FrameSpec host = to("203.0.113.11");
  host.fragment = 0x0010;
  EXPECT_EQ(of(host, on_edge()), goes(Journey::host, 1));  // takes every port
  FrameSpec transit = to("10.2.1.1", kUdp);
  transit.fragment = 0x2000;
  EXPECT_EQ(of(transit, on_edge()).journey, Journey::transit);
}

TEST_F(Classify, SnatReturns) {
  EXPECT_EQ(of(to("10.1.255.1", kTcp, 5000), on_link0()).journey, Journey::snat_return);
  EXPECT_EQ(of(to("10.1.255.1", kUdp, 5000), on_link0()).journey, Journey::snat_return);
  FrameSpec error = to("10.1.255.1", kIcmp);
  error.icmp_type = kUnreachable;
  EXPECT_EQ(of(error, on_link0()).journey, Journey::snat_return);
  EXPECT_EQ(of(to("10.1.255.1", 50), on_link0()), dropped(DropReason::protocol_unsupported));
}

TEST_F(Classify, IcmpErrorsToAVipGoToWhoServesTheQuotedPort) {
  const auto about = [&](const char* vip, std::uint16_t port, std::size_t cut = 28) {
    FrameSpec quoted{.source = ip4(vip), .destination = ip4("198.51.100.20"), .source_port = port};
    FrameSpec error = to("203.0.113.10", kIcmp);
    if (std::string_view(vip) == "203.0.113.11") error.destination = ip4(vip);
    error.icmp_type = kUnreachable;
    error.icmp_code = kFragmentationNeeded;
    error.payload = build_ip(quoted);
    error.payload.resize(cut);  // RFC 792: the header and 8 octets
    return of(error, on_edge());
  };
  EXPECT_EQ(about("203.0.113.10", 8000), goes(Journey::nat, 0));
  EXPECT_EQ(about("203.0.113.11", 22), goes(Journey::host, 1));
  EXPECT_EQ(about("203.0.113.10", 9), dropped(DropReason::icmp_no_flow));
  EXPECT_EQ(about("203.0.113.12", 8000), dropped(DropReason::icmp_no_flow));  // not its own packet
  EXPECT_EQ(about("203.0.113.10", 8000, 27), dropped(DropReason::icmp_malformed));
  EXPECT_EQ(about("203.0.113.10", 8000, 0), dropped(DropReason::icmp_malformed));
}

TEST_F(Classify, StampTestsOnlyFromThePeerOverItsLink) {
  const DropReason reason = DropReason::stamp_not_configured;
  EXPECT_EQ(of(stamp("172.31.1.2", "172.31.1.1", 50000, 862), on_link0()), goes(Journey::stamp_test));
  EXPECT_EQ(of(stamp("172.31.1.3", "172.31.1.1", 50000, 862), on_link0()), dropped(reason));
  EXPECT_EQ(of(stamp("172.31.1.2", "172.31.1.1", 50000, 862), on_edge()), dropped(reason));
  EXPECT_EQ(of(stamp("172.31.1.2", "172.31.1.1", 50000, 862), {kLink1Port, 20, {}}), dropped(reason));
  EXPECT_EQ(of(stamp("172.31.1.2", "172.31.2.1", 50000, 862), on_link0()), dropped(reason));
}

TEST_F(Classify, StampRepliesOverLinksAreTheProbersToJudge) {
  EXPECT_EQ(of(stamp("172.31.1.2", "172.31.1.1", 862, 50000), on_link0()), goes(Journey::stamp_reply));
  EXPECT_EQ(of(stamp("172.31.1.9", "172.31.1.1", 862, 50000), on_link0()), goes(Journey::stamp_reply));
  EXPECT_EQ(of(stamp("172.31.1.2", "172.31.1.1", 863, 50000), on_link0()), goes(Journey::stamp_reply));
  EXPECT_EQ(of(stamp("172.31.1.2", "172.31.2.1", 862, 50000), on_link0()), goes(Journey::stamp_reply));
  EXPECT_EQ(of(stamp("172.31.1.2", "172.31.1.1", 862, 50000), on_edge()),
            dropped(DropReason::stamp_reply_invalid));
  EXPECT_EQ(of(stamp("172.31.1.9", "172.31.1.1", 53, 50000), on_link0()),
            dropped(DropReason::port_unsupported));
}

TEST_F(Classify, NothingElseListensOnOwnAddresses) {
  EXPECT_EQ(of(to("198.51.100.1"), on_edge()), dropped(DropReason::port_unsupported));
  EXPECT_EQ(of(to("198.51.100.1", kUdp, 862), on_edge()), dropped(DropReason::port_unsupported));
  EXPECT_EQ(of(to("172.31.1.1", 89), on_link0()), dropped(DropReason::protocol_unsupported));
  FrameSpec error = to("172.31.1.1", kIcmp);
  error.icmp_type = kUnreachable;
  EXPECT_EQ(of(error, on_link0()), dropped(DropReason::icmp_no_flow));
}

TEST_F(Classify, OurAddressesAsSourceAreMartian) {
  for (const char* own : {"172.31.1.1", "198.51.100.1", "10.1.255.1", "203.0.113.10", "203.0.113.11"}) {
    FrameSpec spec = to("10.2.1.1");
    spec.source = ip4(own);
    EXPECT_EQ(of(spec, on_edge()), dropped(DropReason::martian_source)) << own;
    EXPECT_EQ(of(spec, on_link0()), dropped(DropReason::martian_source)) << own;
  }
  FrameSpec answer = to("198.51.100.10");  // the kernel's answer for a VIP it serves
  answer.source = ip4("203.0.113.11");
  EXPECT_EQ(of(answer, on_host()).journey, Journey::transit);
  answer.source = ip4("10.1.0.1");
  EXPECT_EQ(of(answer, on_host()), dropped(DropReason::martian_source));
}

TEST_F(Classify, TheRestIsTransit) {
  EXPECT_EQ(of(to("10.2.1.1"), on_host()).journey, Journey::transit);
  EXPECT_EQ(of(to("192.0.2.1", 50), on_link0()).journey, Journey::transit);
}

}  // namespace
}  // namespace perigee::test
