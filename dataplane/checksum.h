// The Internet checksum (RFC 1071) and its incremental update (RFC 1624, equation 3).
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "dataplane/octets.h"

namespace perigee {

// Sum of 16-bit words in network order, not folded; an odd last octet is padded with zero. `sum` continues
// from an earlier part of even length.
[[nodiscard]] inline std::uint64_t checksum_add(std::span<const std::uint8_t> octets, std::uint64_t sum = 0) {
  const std::uint8_t* at = octets.data();
  std::size_t left = octets.size();
  for (; left >= 4; at += 4, left -= 4) sum += load_be32(at);  // 2^16 = 1 modulo 2^16 - 1
  if (left >= 2) {
    sum += load_be16(at);
    at += 2;
    left -= 2;
  }
  if (left != 0) sum += static_cast<std::uint64_t>(*at) << 8U;
  return sum;
}

// Folds and complements: the value for a checksum field, in host order.
[[nodiscard]] inline std::uint16_t checksum_finish(std::uint64_t sum) {
  // Adding a number to itself with its halves swapped leaves, in the upper half, their sum with the carry
  // that comes around.
  const auto half = static_cast<std::uint32_t>((sum + std::rotl(sum, 32)) >> 32U);
  return static_cast<std::uint16_t>(~(half + std::rotl(half, 16)) >> 16U);
}

// Sum of the pseudo header of TCP and UDP over IPv4 (RFC 9293 section 3.1, RFC 768); addresses in host order.
[[nodiscard]] inline std::uint64_t pseudo_header_sum(std::uint32_t source, std::uint32_t destination,
                                                     std::uint8_t protocol, std::uint16_t l4_length) {
  return std::uint64_t{source} + destination + protocol + l4_length;
}

// The checksum of an IPv4 header whose checksum field is zero or taken as part of the sum (then 0 is right).
[[nodiscard]] inline std::uint16_t ipv4_header_checksum(std::span<const std::uint8_t> header) {
  return checksum_finish(checksum_add(header));
}

// The checksum of a header without options is right: the sum of its words is a multiple of 2^16 - 1 (and not
// 0, since it has a version). The order of octets within a word does not matter (RFC 1071 section 2 (B)).
[[nodiscard]] inline bool ipv4_header_right(std::span<const std::uint8_t, 20> header) {
  std::array<std::uint32_t, 5> words;
  std::memcpy(words.data(), header.data(), sizeof words);
  return (std::uint64_t{words[0]} + words[1] + words[2] + words[3] + words[4]) % 0xffffU == 0;
}

// What changed in a packet: collects (old, new) words, then applies to any checksum that covers them.
class ChecksumDelta {
 public:
  void word(std::uint16_t before, std::uint16_t after) {
    sum_ += std::uint64_t{static_cast<std::uint16_t>(~before)} + after;
  }
  // Both words of an address at once: 2^16 = 1 modulo 2^16 - 1.
  void address(std::uint32_t before, std::uint32_t after) { sum_ += std::uint64_t{~before} + after; }
  void add(const ChecksumDelta& other) { sum_ += other.sum_; }
  // HC' = ~(~HC + ~m + m')
  [[nodiscard]] std::uint16_t apply(std::uint16_t checksum) const {
    return checksum_finish(static_cast<std::uint16_t>(~checksum) + sum_);
  }

 private:
  std::uint64_t sum_ = 0;
};

}  // namespace perigee
