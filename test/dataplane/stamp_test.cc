#include "dataplane/stamp.h"

#include <gtest/gtest.h>

#include <vector>

namespace perigee::stamp {
namespace {

std::vector<std::uint8_t> hex(std::string_view text) {
  std::vector<std::uint8_t> octets;
  std::string digits;
  for (const char c : text) {
    if (std::isxdigit(static_cast<unsigned char>(c)) == 0) continue;
    digits += c;
    if (digits.size() < 2) continue;
    octets.push_back(static_cast<std::uint8_t>(std::stoul(digits, nullptr, 16)));
    digits.clear();
  }
  return octets;
}

// RFC 8762 figure 2, written by hand: sequence, timestamp, error estimate, 30 octets of MBZ.
constexpr std::string_view kTest =
    "0a0b0c0d | e8e30f40 80000000 | 0f84 | 0000 00000000 00000000 00000000 00000000 00000000 00000000 "
    "00000000";
// RFC 8762 figure 4: sequence, T3, error, MBZ, T2, sender's sequence, T1, error, MBZ, TTL, MBZ.
constexpr std::string_view kReply =
    "00000007 | e8e30f41 40000000 | 8b86 | 0000 | e8e30f41 20000000 | 0a0b0c0d | e8e30f40 80000000 | 0f84 | "
    "0000 |"
    "fd | 000000";

Reply reply_of_figure() {
  return {.sequence = 7,
          .sent = {0xe8e30f4140000000},
          .error = {0x8b86},
          .ssid = 0,
          .received = {0xe8e30f4120000000},
          .sender_sequence = 0x0a0b0c0d,
          .sender_sent = {0xe8e30f4080000000},
          .sender_error = {0x0f84},
          .sender_ttl = 253};
}

TEST(Stamp, TestPacketIsAsInTheFigure) {
  const TestPacket packet{0x0a0b0c0d, {0xe8e30f4080000000}, {0x0f84}, 0};
  const std::vector<std::uint8_t> figure = hex(kTest);
  ASSERT_EQ(figure.size(), kBaseSize);
  std::vector<std::uint8_t> octets(kBaseSize, 0xff);
  encode(packet, std::span<std::uint8_t, kBaseSize>(octets));
  EXPECT_EQ(octets, figure);
  EXPECT_EQ(decode_test(figure), packet);
}

TEST(Stamp, ReplyIsAsInTheFigure) {
  const std::vector<std::uint8_t> figure = hex(kReply);
  ASSERT_EQ(figure.size(), kBaseSize);
  std::vector<std::uint8_t> octets(kBaseSize, 0xff);
  encode(reply_of_figure(), std::span<std::uint8_t, kBaseSize>(octets));
  EXPECT_EQ(octets, figure);
  EXPECT_EQ(decode_reply(figure), reply_of_figure());
}

TEST(Stamp, SsidStandsInTheFirstReservedOctets) {  // RFC 8972 section 3
  std::vector<std::uint8_t> octets = hex(kTest);
  octets[14] = 0x12;
  octets[15] = 0x34;
  EXPECT_EQ(decode_test(octets)->ssid, 0x1234);
  octets = hex(kReply);
  octets[15] = 0x56;
  EXPECT_EQ(decode_reply(octets)->ssid, 0x56);
}

TEST(Stamp, ReservedOctetsAreIgnoredOnReceipt) {
  std::vector<std::uint8_t> test = hex(kTest);
  for (std::size_t i = 16; i < kBaseSize; ++i) test[i] = 0xee;
  EXPECT_EQ(decode_test(test), decode_test(hex(kTest)));
  std::vector<std::uint8_t> reply = hex(kReply);
  for (const std::size_t i : {38, 39, 41, 42, 43}) reply[i] = 0xee;
  EXPECT_EQ(decode_reply(reply), reply_of_figure());
}

TEST(Stamp, ShortPacketsOfTwampLight) {
  std::vector<std::uint8_t> test = hex(kTest);
  test.resize(kMinTestSize);
  EXPECT_EQ(decode_test(test)->sequence, 0x0a0b0c0dU);
  EXPECT_EQ(decode_test(test)->error.bits, 0x0f84);
  std::vector<std::uint8_t> reply = hex(kReply);
  reply.resize(kMinReplySize);
  Reply expected = reply_of_figure();
  expected.sender_ttl = 0;
  EXPECT_EQ(decode_reply(reply), expected);
  reply = hex(kReply);
  reply.resize(41);  // TWAMP-Test's own length ends with the TTL
  EXPECT_EQ(decode_reply(reply)->sender_ttl, 253);
}

class TooShort : public testing::TestWithParam<std::size_t> {};

TEST_P(TooShort, IsNoTestPacket) {
  std::vector<std::uint8_t> octets = hex(kTest);
  octets.resize(GetParam());
  octets.shrink_to_fit();
  EXPECT_EQ(decode_test(octets).has_value(), GetParam() >= 14);
  EXPECT_EQ(decode_reply(octets), std::nullopt);
}

INSTANTIATE_TEST_SUITE_P(Lengths, TooShort,
                         testing::Values(0, 1, 3, 4, 8, 11, 12, 13, 14, 16, 24, 28, 36, 37));

TEST(Stamp, LongerPacketsCarryExtensionsBehindTheBase) {
  std::vector<std::uint8_t> octets = hex(kReply);
  octets.resize(1400, 0xab);
  EXPECT_EQ(decode_reply(octets), reply_of_figure());
}

}  // namespace
}  // namespace perigee::stamp
