#include "dataplane/icmp.h"

#include <gtest/gtest.h>

#include "test/dataplane/frames.h"

namespace perigee::test {
namespace {

TEST(Icmp, EchoReplyInPlaceKeepsEverythingElse) {
  FrameSpec spec{.protocol = kIcmp, .ttl = 3, .icmp_rest = 0xbeef0007, .payload = {1, 2, 3, 4, 5}};
  spec.ip_options = hex("01010100");
  Received got(build(spec));
  ASSERT_TRUE(is_echo_request(got.packet));
  make_echo_reply(got.packet);

  FrameSpec expected = spec;
  std::swap(expected.source, expected.destination);
  expected.ttl = kOwnTtl;
  expected.icmp_type = kEchoReply;
  EXPECT_EQ(to_hex(got.ip_packet()), to_hex(build_ip(expected)));
  EXPECT_EQ(got.packet.destination, spec.source);
  EXPECT_EQ(got.packet.ttl, kOwnTtl);
}

TEST(Icmp, EchoRepliesHaveRightChecksumsWhateverTheyCarry) {
  for (std::uint32_t value = 0; value < 0x10000; value += 0x101) {
    FrameSpec spec{
        .protocol = kIcmp, .ttl = static_cast<std::uint8_t>(value), .icmp_rest = value << 16U | 0xf7ff};
    Received got(build(spec));
    make_echo_reply(got.packet);
    ASSERT_TRUE(checksums_ok(got.ip_packet())) << value;
  }
}

TEST(Icmp, AnEchoOfZerosHasARightChecksumToo) {
  Received got(build(FrameSpec{.protocol = kIcmp, .icmp_rest = 0, .payload = Octets(20, 0)}));
  make_echo_reply(got.packet);
  EXPECT_TRUE(checksums_ok(got.ip_packet()));
}

TEST(Icmp, TimeExceededQuotesThePacketAsItCame) {
  Received got(build(FrameSpec{.ttl = 1, .payload = Octets(100, 7)}));
  std::vector<std::uint8_t> out(kMaxIcmpError);
  const std::size_t size = build_icmp_error(got.packet, {kTimeExceeded, 0, 0}, ip4("198.51.100.1"), out);
  ASSERT_EQ(size, 28U + 140);
  const std::span<const std::uint8_t> packet = std::span(out).first(size);
  EXPECT_TRUE(checksums_ok(packet));
  EXPECT_EQ(to_hex(packet.first(2)), "45c0");
  EXPECT_EQ(to_hex(packet.subspan(8, 2)), "4001");
  EXPECT_EQ(to_hex(packet.subspan(12, 8)), "c6336401c6336414");
  EXPECT_EQ(to_hex(packet.subspan(20, 2)), "0b00");
  EXPECT_EQ(to_hex(packet.subspan(24, 4)), "00000000");
  EXPECT_EQ(to_hex(packet.subspan(28)), to_hex(got.ip_packet()));
}

TEST(Icmp, FragmentationNeededCarriesTheMtu) {
  Received got(build(FrameSpec{.payload = Octets(1400)}));
  std::vector<std::uint8_t> out(2000);
  const std::size_t size =
      build_icmp_error(got.packet, {kUnreachable, kFragmentationNeeded, 1400}, ip4("198.51.100.1"), out);
  EXPECT_EQ(size, kMaxIcmpError);  // RFC 1812 section 4.3.2.3
  EXPECT_EQ(to_hex(std::span(out).subspan(20, 2)), "0304");
  EXPECT_EQ(to_hex(std::span(out).subspan(24, 4)), "00000578");  // RFC 1191 section 4
  EXPECT_TRUE(checksums_ok(std::span(out).first(size)));
}

TEST(Icmp, FitsTheCallersBuffer) {
  Received got(build(FrameSpec{.payload = Octets(100)}));
  const IcmpError error = {kUnreachable, kNetUnreachable, 0};
  std::vector<std::uint8_t> exact(56);  // both headers and 8 octets of TCP
  EXPECT_EQ(build_icmp_error(got.packet, error, ip4("198.51.100.1"), exact), 56U);
  EXPECT_TRUE(checksums_ok(exact));
  std::vector<std::uint8_t> small(55);
  EXPECT_EQ(build_icmp_error(got.packet, error, ip4("198.51.100.1"), small), 0U);
  EXPECT_EQ(build_icmp_error(got.packet, error, ip4("198.51.100.1"), {}), 0U);
}

TEST(Icmp, NoErrorAboutWhatRfc1812Excludes) {
  const auto allowed = [](const FrameSpec& spec) {
    Received got(build(spec));
    std::vector<std::uint8_t> out(kMaxIcmpError);
    const bool sent = build_icmp_error(got.packet, {kUnreachable, 0, 0}, ip4("198.51.100.1"), out) != 0;
    EXPECT_EQ(sent, may_answer_with_error(got.packet));
    return sent;
  };
  EXPECT_TRUE(allowed({}));
  EXPECT_TRUE(allowed({.protocol = kIcmp}));  // an echo request is no error
  for (const std::uint8_t type : std::initializer_list<std::uint8_t>{3, 4, 5, 11, 12})
    EXPECT_FALSE(allowed({.protocol = kIcmp, .icmp_type = type}));
  EXPECT_FALSE(allowed({.destination = ip4("224.0.0.5")}));
  EXPECT_FALSE(allowed({.destination = ip4("255.255.255.255")}));
  EXPECT_TRUE(allowed({.protocol = kUdp, .fragment = 0x2000}));   // the first fragment
  EXPECT_FALSE(allowed({.protocol = kUdp, .fragment = 0x2001}));  // a later one
  EXPECT_FALSE(allowed({.protocol = kUdp, .fragment = 0x0001}));
  EXPECT_FALSE(allowed({.protocol = kIcmp, .fragment = 0x2000}));  // may be an error
}

TEST(Icmp, ReadsTheQuotedPacket) {
  FrameSpec inner{.source = ip4("10.1.255.1"), .destination = ip4("10.2.1.1"), .source_port = 5555};
  inner.ip_options = hex("01010101");
  FrameSpec outer{.protocol = kIcmp, .icmp_type = kUnreachable, .payload = build_ip(inner)};
  outer.payload.resize(32);  // header with options and 8 octets
  Received got(build(outer));
  const auto quoted = parse_quoted(got.packet);
  ASSERT_TRUE(quoted);
  EXPECT_EQ(quoted->l3, 14 + 20 + 8);
  EXPECT_EQ(quoted->l4, quoted->l3 + 24);
  EXPECT_EQ(quoted->protocol, kTcp);
  EXPECT_EQ(quoted->source, ip4("10.1.255.1"));
  EXPECT_EQ(quoted->destination, ip4("10.2.1.1"));
  EXPECT_EQ(quoted->source_port, 5555);
  EXPECT_EQ(quoted->destination_port, 8000);
}

TEST(Icmp, RefusesQuotesThatAreNoPacket) {
  const auto quote = [](Octets payload) {
    Received got(
        build(FrameSpec{.protocol = kIcmp, .icmp_type = kTimeExceeded, .payload = std::move(payload)}));
    return parse_quoted(got.packet).has_value();
  };
  const Octets good = build_ip(FrameSpec{});
  ASSERT_TRUE(quote(good));
  for (std::size_t size = 0; size < 28; ++size) {
    EXPECT_FALSE(quote(Octets(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)))) << size;
  }
  const auto with = [&](std::size_t at, std::uint8_t value) {
    Octets changed = good;
    changed[at] = value;
    return quote(changed);
  };
  EXPECT_FALSE(with(0, 0x65));
  EXPECT_FALSE(with(0, 0x44));
  EXPECT_FALSE(with(0, 0x4f));  // its options would lie beyond the quote
  EXPECT_FALSE(with(7, 1));     // a later fragment
  EXPECT_TRUE(with(6, 0x20));   // the first fragment
}

}  // namespace
}  // namespace perigee::test
