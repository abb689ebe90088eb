#include "dataplane/checksum.h"

#include <gtest/gtest.h>

#include <random>

#include "test/dataplane/frames.h"

namespace perigee::test {
namespace {

TEST(Checksum, ExampleOfRfc1071) {
  // Section 3: 0001 f203 f4f5 f6f7 sum to ddf2.
  EXPECT_EQ(checksum_finish(checksum_add(hex("0001f203f4f5f6f7"))), static_cast<std::uint16_t>(~0xddf2));
}

TEST(Checksum, AnyLengthAsTheSlowWay) {
  std::mt19937 random(1);
  for (std::size_t length = 0; length < 200; ++length) {
    Octets octets(length);
    for (std::uint8_t& octet : octets) octet = static_cast<std::uint8_t>(random() % 3 == 0 ? 0xff : random());
    EXPECT_EQ(checksum_finish(checksum_add(octets)), plain_checksum(octets)) << length;
  }
}

TEST(Checksum, ContinuesFromAnEvenPart) {
  const Octets all = hex("ffff0102030405ffee");
  const std::span<const std::uint8_t> octets(all);
  EXPECT_EQ(checksum_finish(checksum_add(octets.subspan(6), checksum_add(octets.first(6)))),
            plain_checksum(all));
}

TEST(Checksum, UpdateEqualsFullSumForRandomChanges) {
  std::mt19937 random(2);
  for (int round = 0; round < 5000; ++round) {
    Octets octets(40);
    for (std::uint8_t& octet : octets) octet = static_cast<std::uint8_t>(random() % 2 == 0 ? random() : 0xff);
    const std::uint16_t before = plain_checksum(octets);
    ChecksumDelta delta;
    for (int change = 0; change < 6; ++change) {
      const std::size_t at = random() % 20 * 2;
      const auto old_word = static_cast<std::uint16_t>(octets[at] << 8U | octets[at + 1]);
      const auto new_word = static_cast<std::uint16_t>(random() % 4 == 0 ? 0xffff : random());
      delta.word(old_word, new_word);
      set16(octets, at, new_word);
    }
    // 0 and 0xffff are one number; RFC 1624 section 3 keeps what a full sum gives unless all words are 0.
    EXPECT_EQ(delta.apply(before) % 0xffff, plain_checksum(octets) % 0xffff);
  }
}

TEST(Checksum, Rfc1624Example) {
  // Section 4: checksum 0xdd2f, a word changes from 0x5555 to 0x3285: the right answer is 0x0000.
  ChecksumDelta delta;
  delta.word(0x5555, 0x3285);
  EXPECT_EQ(delta.apply(0xdd2f), 0x0000);
}

TEST(Checksum, AddressIsTwoWords) {
  ChecksumDelta one;
  one.address(0x0a000001, 0xc0a80203);
  ChecksumDelta two;
  two.word(0x0a00, 0xc0a8);
  two.word(0x0001, 0x0203);
  EXPECT_EQ(one.apply(0x1234), two.apply(0x1234));
}

TEST(Checksum, PseudoHeader) {
  const Octets packet = build_ip({.payload = {1, 2, 3}});
  const std::span<const std::uint8_t> segment = std::span(packet).subspan(20);
  const std::uint64_t sum =
      pseudo_header_sum(0xc6336414, 0xcb00710a, kTcp, static_cast<std::uint16_t>(segment.size()));
  EXPECT_EQ(checksum_finish(checksum_add(segment, sum)), 0);
  EXPECT_EQ(ipv4_header_checksum(std::span(packet).first(20)), 0);
}

}  // namespace
}  // namespace perigee::test
