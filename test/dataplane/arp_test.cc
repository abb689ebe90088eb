#include "dataplane/arp.h"

#include <gtest/gtest.h>

#include <functional>

#include "test/dataplane/lab_table.h"

namespace perigee::test {
namespace {

constexpr MacAddress kOwn = {{0x02, 0, 0, 0, 0, 1}};

ArpSpec request(const char* sender, const char* target) {
  return {.sender = ip4(sender), .target = ip4(target)};
}
ArpSpec reply(const char* sender, const char* target) {
  return {.operation = 2, .sender = ip4(sender), .target_mac = kOwn, .target = ip4(target)};
}

class Arp : public testing::Test {
 protected:
  ArpAction judge(const ArpSpec& spec, Segment in) {
    Received got(build(spec));
    EXPECT_EQ(got.parsed.kind, FrameKind::arp);
    const auto message = parse_arp(got.packet);
    EXPECT_TRUE(message.has_value());
    return message ? judge_arp(*message, *table, in) : ArpAction::ignore;
  }
  std::unique_ptr<const ServingTable> table = serving();
  const Segment edge = interface_segment(kEdge), host = interface_segment(kHost),
                link = link_segment(kSydMelA);
};

TEST_F(Arp, AnswersInPlaceAsOnTheWire) {
  Received got(
      hex("ffffffffffff 020000000002 0806"
          "0001 0800 06 04 0001 020000000002 c633640a 000000000000 cb00710a"));
  ASSERT_EQ(got.parsed.kind, FrameKind::arp);
  const auto message = parse_arp(got.packet);
  ASSERT_TRUE(message);
  ASSERT_EQ(judge_arp(*message, *table, edge), ArpAction::answer);
  make_arp_reply(got.packet, *message, kOwn);
  EXPECT_EQ(to_hex(std::span(got.octets).subspan(14)),
            "0001080006040002020000000001cb00710a020000000002c633640a");
}

TEST_F(Arp, BuildsRequestsAndAnnouncements) {
  std::array<std::uint8_t, kArpSize> out{};
  EXPECT_EQ(build_arp_request(out, kOwn, ip4("172.31.1.1"), ip4("172.31.1.2")), kArpSize);
  EXPECT_EQ(to_hex(out), "0001080006040001020000000001ac1f0101000000000000ac1f0102");
  build_arp_announcement(out, kOwn, ip4("203.0.113.10"));  // RFC 5227 section 3: sender = target
  EXPECT_EQ(to_hex(out), "0001080006040001020000000001cb00710a000000000000cb00710a");
}

TEST_F(Arp, ReadsARequestInAVlan) {
  ArpSpec spec = request("172.31.2.2", "172.31.2.1");
  spec.tag = 20;
  Received got(build(spec), {kLink1Port, 0, {}});
  ASSERT_EQ(got.parsed.kind, FrameKind::arp);
  EXPECT_EQ(judge_arp(*parse_arp(got.packet), *table, table->segment(kLink1Port, got.packet.vlan)),
            ArpAction::answer);
}

TEST_F(Arp, AnswersForOwnAddressesOnTheirSegmentAndForVipsTowardClients) {
  EXPECT_EQ(judge(request("198.51.100.10", "198.51.100.1"), edge), ArpAction::answer);
  EXPECT_EQ(judge(request("198.51.100.10", "203.0.113.11"), edge), ArpAction::answer);
  EXPECT_EQ(judge(request("172.31.1.2", "172.31.1.1"), link), ArpAction::answer);
  EXPECT_EQ(judge(request("10.1.0.2", "10.1.0.1"), host), ArpAction::answer);
  EXPECT_EQ(judge(request("203.0.113.11", "10.1.0.1"), host), ArpAction::answer);  // kernel speaks as the VIP
  EXPECT_EQ(judge(request("172.31.1.2", "203.0.113.10"), link), ArpAction::ignore);
  EXPECT_EQ(judge(request("10.1.0.2", "203.0.113.11"), host), ArpAction::ignore);
  EXPECT_EQ(judge(request("198.51.100.10", "172.31.1.1"), edge), ArpAction::ignore);
  EXPECT_EQ(judge(request("198.51.100.10", "198.51.100.11"), edge), ArpAction::ignore);
  EXPECT_EQ(judge(request("198.51.100.10", "10.1.255.1"), edge), ArpAction::ignore);  // SNAT, not on-link
}

TEST_F(Arp, AnswersForSnatAddressesInsideThePrefix) {
  table::Table records = lab_table();
  records.snat_addresses = {ip("198.51.100.77")};
  table = serving(records);
  EXPECT_EQ(judge(request("198.51.100.10", "198.51.100.77"), edge), ArpAction::answer);
}

TEST_F(Arp, AcceptsOnlyNextHopsAndOnLinkClients) {
  EXPECT_EQ(judge(request("192.0.2.9", "198.51.100.1"), edge), ArpAction::ignore);
  EXPECT_EQ(judge(request("198.51.100.255", "198.51.100.1"), edge), ArpAction::ignore);
  EXPECT_EQ(judge(request("172.31.1.3", "172.31.1.1"), link), ArpAction::ignore);
  EXPECT_EQ(judge(reply("172.31.1.2", "172.31.1.1"), link), ArpAction::learn);
  EXPECT_EQ(judge(reply("172.31.1.3", "172.31.1.1"), link), ArpAction::ignore);
  EXPECT_EQ(judge(reply("172.31.1.2", "172.31.1.1"), edge), ArpAction::ignore);
  EXPECT_EQ(judge(reply("198.51.100.10", "198.51.100.1"), edge), ArpAction::learn);
  EXPECT_EQ(judge(reply("198.51.100.10", "198.51.100.9"), edge), ArpAction::ignore);  // not to us
  EXPECT_EQ(judge(reply("203.0.113.11", "10.1.0.1"), host), ArpAction::learn);
  EXPECT_EQ(judge(reply("198.51.100.10", "198.51.100.1"), Segment{}), ArpAction::ignore);
}

TEST_F(Arp, AnnouncementsAreHintsAndOurAddressesAreConflicts) {
  EXPECT_EQ(judge(request("172.31.1.2", "172.31.1.2"), link), ArpAction::hint);
  EXPECT_EQ(judge(reply("198.51.100.10", "198.51.100.10"), edge), ArpAction::hint);
  EXPECT_EQ(judge(request("203.0.113.10", "203.0.113.10"), edge), ArpAction::conflict);
  EXPECT_EQ(judge(reply("198.51.100.1", "198.51.100.10"), edge), ArpAction::conflict);
  EXPECT_EQ(judge(request("172.31.1.1", "172.31.1.2"), link), ArpAction::conflict);
}

TEST_F(Arp, DefendsAgainstProbes) {
  ArpSpec probe = request("172.31.1.2", "203.0.113.10");
  probe.sender = 0;  // RFC 5227 section 2.1.1
  EXPECT_EQ(judge(probe, edge), ArpAction::answer);
  probe.target = ip4("198.51.100.9");
  EXPECT_EQ(judge(probe, edge), ArpAction::ignore);
}

TEST_F(Arp, MalformedMessages) {
  const Octets good = build(request("198.51.100.10", "198.51.100.1"));
  ASSERT_TRUE(parse_arp(Received(good).packet));
  struct Case {
    const char* what;
    std::function<void(Octets&)> spoil;
  };
  const auto set = [](std::size_t at, std::uint16_t value) {
    return [=](Octets& frame) { set16(frame, 14 + at, value); };
  };
  const auto cut = [](std::size_t size) { return [=](Octets& frame) { frame.resize(14 + size); }; };
  const std::vector<Case> cases = {
      {"empty", cut(0)},
      {"one octet", cut(1)},
      {"header only", cut(8)},
      {"one octet too few", cut(27)},
      {"hardware type 0", set(0, 0)},
      {"hardware type 6", set(0, 6)},
      {"protocol IPv6", set(2, 0x86dd)},
      {"hardware size 8", set(4, 0x0804)},
      {"protocol size 16", set(4, 0x0610)},
      {"operation 0", set(6, 0)},
      {"operation 3, reverse ARP", set(6, 3)},
      {"operation 0xffff", set(6, 0xffff)},
      {"sender MAC multicast", set(8, 0x0300)},
      {"sender MAC not the frame's", set(12, 0x0099)},
      {"sender MAC zero",
       [](Octets& frame) {
         std::fill_n(frame.begin() + 22, 6, std::uint8_t{0});
         std::fill_n(frame.begin() + 6, 6, std::uint8_t{0});
       }},
      {"sender multicast", set(14, 0xe000)},
      {"sender broadcast", set(14, 0xffff)},
      {"sender loopback", set(14, 0x7f00)},
  };
  for (const Case& one : cases) {
    Octets frame = good;
    one.spoil(frame);
    frame.shrink_to_fit();
    Received got(std::move(frame));
    if (got.parsed.kind == FrameKind::arp) {
      EXPECT_FALSE(parse_arp(got.packet)) << one.what;  // counted arp_malformed by the caller
    } else {
      EXPECT_EQ(got.parsed.reason, DropReason::arp_malformed) << one.what;
    }
  }
  ArpSpec nobody = reply("198.51.100.10", "198.51.100.1");
  nobody.sender = 0;  // only a request may come from nobody
  EXPECT_FALSE(parse_arp(Received(build(nobody)).packet));
}

}  // namespace
}  // namespace perigee::test
