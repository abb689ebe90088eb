// Frames that are not what they say: each is dropped for its reason, in a buffer of exactly its size.
#include <gtest/gtest.h>

#include <functional>

#include "dataplane/packet.h"
#include "test/dataplane/frames.h"

namespace perigee::test {
namespace {

struct Case {
  const char* what;
  std::function<void(Octets&)> spoil;  // of a good frame: IPv4 at 14, layer 4 at 34
  DropReason reason;
};

void expect_all(const Octets& good, const std::vector<Case>& cases) {
  ASSERT_NE(Received(good).parsed.kind, FrameKind::dropped);
  EXPECT_GE(cases.size(), 10U);
  for (const Case& spoiled : cases) {
    Octets frame = good;
    spoiled.spoil(frame);
    frame.shrink_to_fit();
    Received got(std::move(frame));
    EXPECT_EQ(got.parsed, (Parsed{FrameKind::dropped, spoiled.reason}))
        << spoiled.what << ": " << kDropReasonNames[static_cast<std::size_t>(got.parsed.reason)];
  }
}

auto cut(std::size_t size) {
  return [size](Octets& frame) { frame.resize(size); };
}
auto put(std::size_t at, std::uint8_t value) {
  return [=](Octets& frame) { frame.at(at) = value; };
}
// The same with a right header checksum, so that only the value itself is wrong.
auto ip_octet(std::size_t at, std::uint8_t value) {
  return [=](Octets& frame) {
    frame.at(14 + at) = value;
    fix_ip_checksum(frame);
  };
}
auto ip_word(std::size_t at, std::uint16_t value) {
  return [=](Octets& frame) {
    set16(frame, 14 + at, value);
    fix_ip_checksum(frame);
  };
}
// `size` octets of layer 4, with a total length that says so.
auto l4_size(std::size_t size) {
  return [=](Octets& frame) {
    frame.resize(34 + size);
    set16(frame, 16, static_cast<std::uint32_t>(20 + size));
    fix_ip_checksum(frame);
  };
}

TEST(Malformed, Ethernet) {
  expect_all(build(FrameSpec{}),
             {
                 {"empty", cut(0), DropReason::too_short},
                 {"one octet", cut(1), DropReason::too_short},
                 {"no source", cut(6), DropReason::too_short},
                 {"no type", cut(12), DropReason::too_short},
                 {"half a type", cut(13), DropReason::too_short},
                 {"header only", cut(14), DropReason::too_short},
                 {"IPv6", [](Octets& f) { set16(f, 12, 0x86dd); }, DropReason::not_ipv4},
                 {"802.3 length", [](Octets& f) { set16(f, 12, 46); }, DropReason::not_ipv4},
                 {"LLDP", [](Octets& f) { set16(f, 12, 0x88cc); }, DropReason::not_ipv4},
                 {"pause", [](Octets& f) { set16(f, 12, 0x8808); }, DropReason::not_ipv4},
                 {"provider tag", [](Octets& f) { set16(f, 12, 0x88a8); }, DropReason::not_ipv4},
                 {"beyond 64 KiB", cut(65536), DropReason::too_short},
             });
}

TEST(Malformed, Vlan) {
  const auto tag = [](std::uint16_t value) { return [value](Octets& f) { set16(f, 14, value); }; };
  const auto type = [](std::uint16_t value) { return [value](Octets& f) { set16(f, 16, value); }; };
  expect_all(build(FrameSpec{.tag = 20}),
             {
                 {"no tag", cut(14), DropReason::too_short},
                 {"half a tag", cut(15), DropReason::too_short},
                 {"no inner type", cut(16), DropReason::too_short},
                 {"half an inner type", cut(17), DropReason::too_short},
                 {"nothing inside", cut(18), DropReason::too_short},
                 {"half an IP header", cut(18 + 19), DropReason::too_short},
                 {"reserved VID", tag(0x0fff), DropReason::unknown_vlan},
                 {"reserved VID, priority", tag(0xefff), DropReason::unknown_vlan},
                 {"second tag", type(0x8100), DropReason::not_ipv4},
                 {"second provider tag", type(0x88a8), DropReason::not_ipv4},
                 {"IPv6 inside", type(0x86dd), DropReason::not_ipv4},
                 {"ARP too short",
                  [](Octets& f) {
                    set16(f, 16, kEtherArp);
                    f.resize(18 + 27);
                  },
                  DropReason::arp_malformed},
             });
  Received doubled(build(FrameSpec{.tag = 20}), {0, 30, {}});  // one taken off by the device, one left
  EXPECT_EQ(doubled.parsed, (Parsed{FrameKind::dropped, DropReason::not_ipv4}));
}

TEST(Malformed, Ipv4) {
  const Octets good = build(FrameSpec{.protocol = kUdp, .payload = {1, 2, 3, 4}});
  expect_all(good,
             {
                 {"no header", cut(14 + 19), DropReason::too_short},
                 {"version 6", ip_octet(0, 0x65), DropReason::bad_ip_header},
                 {"version 0", ip_octet(0, 0x05), DropReason::bad_ip_header},
                 {"header length 16", ip_octet(0, 0x44), DropReason::bad_ip_header},
                 {"header length 0", ip_octet(0, 0x40), DropReason::bad_ip_header},
                 {"header beyond total", ip_octet(0, 0x4f), DropReason::bad_ip_header},
                 {"total length 0", ip_word(2, 0), DropReason::bad_ip_header},
                 {"total below header", ip_word(2, 19), DropReason::bad_ip_header},
                 {"total beyond frame by 1", ip_word(2, 33), DropReason::too_short},
                 {"total 65535", ip_word(2, 0xffff), DropReason::too_short},
                 {"frame cut by 1", cut(good.size() - 1), DropReason::too_short},
                 {"checksum", put(24, static_cast<std::uint8_t>(good[24] ^ 1U)), DropReason::bad_ip_checksum},
                 {"TTL changed, checksum not", put(22, 63), DropReason::bad_ip_checksum},
                 {"source 0.0.0.0", ip_octet(12, 0), DropReason::martian_source},
                 {"source loopback", ip_octet(12, 127), DropReason::martian_source},
                 {"source multicast", ip_octet(12, 224), DropReason::martian_source},
                 {"source class E", ip_octet(12, 240), DropReason::martian_source},
                 {"source broadcast", ip_octet(12, 255), DropReason::martian_source},
             });
}

TEST(Malformed, Tcp) {
  const auto offset = [](unsigned words) { return put(34 + 12, static_cast<std::uint8_t>(words << 4U)); };
  const Octets good = build(FrameSpec{.tcp_options = hex("020405b4"), .payload = {1}});
  const DropReason reason = DropReason::bad_l4_header;
  expect_all(good, {
                       {"no TCP", l4_size(0), reason},
                       {"one octet", l4_size(1), reason},
                       {"ports only", l4_size(4), reason},
                       {"no data offset", l4_size(12), reason},
                       {"one octet too few", l4_size(19), reason},
                       {"offset 0", offset(0), reason},
                       {"offset 1", offset(1), reason},
                       {"offset 4", offset(4), reason},
                       {"offset beyond segment", offset(7), reason},
                       {"offset 15", offset(15), reason},
                       {"options cut", l4_size(23), reason},
                       {"options gone", l4_size(20), reason},
                   });
}

TEST(Malformed, Udp) {
  const auto length = [](std::uint16_t value) { return [value](Octets& f) { set16(f, 38, value); }; };
  const DropReason reason = DropReason::bad_l4_header;
  expect_all(build(FrameSpec{.protocol = kUdp, .payload = {1, 2, 3, 4}}),
             {
                 {"no UDP", l4_size(0), reason},
                 {"one octet", l4_size(1), reason},
                 {"ports only", l4_size(4), reason},
                 {"no checksum", l4_size(6), reason},
                 {"7 octets", l4_size(7), reason},
                 {"length 0", length(0), reason},
                 {"length 7", length(7), reason},
                 {"one short", length(11), reason},
                 {"one long", length(13), reason},
                 {"65535", length(0xffff), reason},
                 {"data cut", l4_size(11), reason},
                 {"data added", l4_size(13), reason},
             });
}

TEST(Malformed, Icmp) {
  const Octets good = build(FrameSpec{.protocol = kIcmp, .payload = {1, 2, 3, 4}});
  const auto flip = [&](std::size_t at) { return put(at, static_cast<std::uint8_t>(good[at] ^ 0x10U)); };
  const DropReason reason = DropReason::icmp_malformed;
  expect_all(good, {
                       {"no ICMP", l4_size(0), reason},
                       {"type only", l4_size(1), reason},
                       {"no checksum", l4_size(2), reason},
                       {"4 octets", l4_size(4), reason},
                       {"7 octets", l4_size(7), reason},
                       {"type changed", flip(34), reason},
                       {"code changed", flip(35), reason},
                       {"checksum high", flip(36), reason},
                       {"checksum low", flip(37), reason},
                       {"identifier changed", flip(38), reason},
                       {"data changed", flip(45), reason},
                       {"data cut", l4_size(11), reason},
                   });
}

}  // namespace
}  // namespace perigee::test
