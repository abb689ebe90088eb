#include "dataplane/mss.h"

#include <gtest/gtest.h>

#include "test/dataplane/frames.h"

namespace perigee::test {
namespace {

struct Clamped {
  bool changed;
  std::string options;
  bool checksums;
};

Clamped clamp(const char* options, std::uint16_t mtu, std::uint8_t flags = kSyn) {
  Received got(build(FrameSpec{.tcp_flags = flags, .tcp_options = hex(options), .payload = {}}));
  EXPECT_EQ(got.parsed.kind, FrameKind::ipv4);
  const bool changed = clamp_mss(got.packet, mtu);
  const auto tail = got.ip_packet().subspan(40);
  return {changed, to_hex(tail), checksums_ok(got.ip_packet())};
}

void expect(const Clamped& got, bool changed, const char* options) {
  EXPECT_EQ(got.changed, changed) << options;
  EXPECT_EQ(got.options, options);
  EXPECT_TRUE(got.checksums) << options;
}

TEST(Mss, LowersTheOptionOfSynAndSynAck) {
  expect(clamp("020405b4", 1400), true, "02040550");
  expect(clamp("020405b4", 1400, kSyn | kAck), true, "02040550");
  expect(clamp("0402080a0000000100000000020405b4", 1400), true, "0402080a000000010000000002040550");
}

TEST(Mss, RightChecksumAtOddOffsetsToo) {
  expect(clamp("01020405b4000000", 1400), true, "0102040550000000");
  expect(clamp("010101020405b400", 1280), true, "010101020404d800");
  for (unsigned mss = 1361; mss < 0x10000; mss += 251) {
    Octets options = hex("0102040000000000");
    set16(options, 3, mss);
    Received got(build(FrameSpec{.sequence = mss * 77, .tcp_options = options}));
    EXPECT_TRUE(clamp_mss(got.packet, 1400));
    ASSERT_TRUE(checksums_ok(got.ip_packet())) << mss;
  }
}

TEST(Mss, NeverRaises) {
  expect(clamp("02040218", 1400), false, "02040218");
  expect(clamp("02040550", 1400), false, "02040550");
}

TEST(Mss, LeavesOtherSegmentsAlone) {
  expect(clamp("020405b4", 1400, kAck), false, "020405b4");
  expect(clamp("", 1400), false, "");
  expect(clamp("0402080a0000000100000000", 1400), false, "0402080a0000000100000000");
  FrameSpec fragment{.fragment = 0x2000, .tcp_options = hex("020405b4")};
  Received got(build(fragment));
  EXPECT_FALSE(clamp_mss(got.packet, 1400));
  Received udp(build(FrameSpec{.protocol = kUdp}));
  EXPECT_FALSE(clamp_mss(udp.packet, 1400));
  expect(clamp("020405b4", 40), false, "020405b4");  // no room for a single octet: nothing sane to say
}

TEST(Mss, WalksBadOptionsSafely) {
  expect(clamp("0000000002040fff", 1400), false, "0000000002040fff");  // after the end of options
  for (const char* options : {"02000000", "02010000", "08000000", "02ff05b4", "01010102", "0101010a",
                              "0a090000", "0a01020405b40000", "02060fffffff0000"}) {
    const Clamped got = clamp(options, 100);
    expect(got, false, options);
  }
}

}  // namespace
}  // namespace perigee::test
