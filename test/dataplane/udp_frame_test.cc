#include "dataplane/udp_frame.h"

#include <gtest/gtest.h>

#include "test/dataplane/frames.h"

namespace perigee::test {
namespace {

UdpHeader probe() { return {ip4("172.31.1.1"), ip4("172.31.1.2"), 50000, 862, 255, 0}; }

TEST(UdpFrame, BuildsAWholePacketAsOnTheWire) {
  const Octets payload = {0xde, 0xad, 0xbe};
  std::vector<std::uint8_t> out(kUdpOverhead + payload.size());
  ASSERT_EQ(build_udp(out, probe(), payload), out.size());
  EXPECT_EQ(to_hex(out), "4500001f00004000ff11" + to_hex(std::span(out).subspan(10, 2)) +
                             "ac1f0101ac1f0102c350035e000b" + to_hex(std::span(out).subspan(26, 2)) +
                             "deadbe");
  EXPECT_TRUE(checksums_ok(out));
  EXPECT_NE(to_hex(std::span(out).subspan(26, 2)), "0000");
}

TEST(UdpFrame, TakesThePayloadWhereItLies) {
  std::vector<std::uint8_t> out(kUdpOverhead + 4, 7);
  EXPECT_EQ(build_udp(out, probe(), std::span(out).subspan(kUdpOverhead)), out.size());
  EXPECT_EQ(to_hex(std::span(out).subspan(kUdpOverhead)), "07070707");
  EXPECT_TRUE(checksums_ok(out));
}

TEST(UdpFrame, RefusesWhatDoesNotFit) {
  std::vector<std::uint8_t> out(kUdpOverhead + 3);
  EXPECT_EQ(build_udp(out, probe(), Octets(4)), 0U);
  EXPECT_EQ(build_udp({}, probe(), {}), 0U);
  EXPECT_EQ(build_udp(std::span(out).first(kUdpOverhead), probe(), {}), kUdpOverhead);
}

TEST(UdpFrame, ASumOfZeroIsSentAsOnes) {
  std::vector<std::uint8_t> out(kUdpOverhead + 2);
  build_udp(out, probe(), Octets{0, 0});
  // The payload that makes the sum zero is the checksum itself.
  const Octets payload = {out[26], out[27]};
  build_udp(out, probe(), payload);
  EXPECT_EQ(to_hex(std::span(out).subspan(26, 2)), "ffff");
  EXPECT_TRUE(checksums_ok(out));
}

TEST(UdpFrame, ChecksReceivedChecksums) {
  const Octets good = build(FrameSpec{.protocol = kUdp, .payload = {1, 2, 3}, .padding = 4});
  EXPECT_TRUE(udp_checksum_ok(Received(good).packet));
  for (const std::size_t at : {34, 37, 40, 42, 44}) {  // ports, checksum, data
    Octets bad = good;
    bad[at] ^= 0x40;
    EXPECT_FALSE(udp_checksum_ok(Received(bad).packet)) << at;
  }
  Octets none = good;
  set16(none, 40, 0);
  EXPECT_TRUE(udp_checksum_ok(Received(none).packet));
  std::vector<std::uint8_t> own(kUdpOverhead + 44);
  build_udp(own, probe(), Octets(44, 9));
  EXPECT_TRUE(udp_checksum_ok(Received(ethernet(mac(1), mac(2), {}, kEtherIpv4, own)).packet));
}

}  // namespace
}  // namespace perigee::test
