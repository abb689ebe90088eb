// The Internet checksum (RFC 1071) and its incremental update (RFC 1624, equation 3).
#pragma once

#include <cstdint>
#include <span>

namespace perigee {

// Sum of 16-bit words in network order, not folded; an odd last octet is padded with zero. `sum` continues
// from an earlier part of even length.
std::uint64_t checksum_add(std::span<const std::uint8_t> octets, std::uint64_t sum = 0);

// Folds and complements: the value for a checksum field, in host order.
std::uint16_t checksum_finish(std::uint64_t sum);

// Sum of the pseudo header of TCP and UDP over IPv4 (RFC 9293 section 3.1, RFC 768); addresses in host order.
std::uint64_t pseudo_header_sum(std::uint32_t source, std::uint32_t destination, std::uint8_t protocol,
                                std::uint16_t l4_length);

// The checksum of an IPv4 header whose checksum field is zero or taken as part of the sum (then 0 is right).
std::uint16_t ipv4_header_checksum(std::span<const std::uint8_t> header);

// What changed in a packet: collects (old, new) words, then applies to any checksum that covers them.
class ChecksumDelta {
 public:
  void word(std::uint16_t before, std::uint16_t after) {
    sum_ += static_cast<std::uint32_t>(static_cast<std::uint16_t>(~before)) + after;
  }
  void address(std::uint32_t before, std::uint32_t after) {
    word(static_cast<std::uint16_t>(before >> 16U), static_cast<std::uint16_t>(after >> 16U));
    word(static_cast<std::uint16_t>(before), static_cast<std::uint16_t>(after));
  }
  void add(const ChecksumDelta& other) { sum_ += other.sum_; }
  // HC' = ~(~HC + ~m + m')
  [[nodiscard]] std::uint16_t apply(std::uint16_t checksum) const {
    std::uint32_t sum = static_cast<std::uint16_t>(~checksum) + sum_;
    sum = (sum & 0xffffU) + (sum >> 16U);
    sum = (sum & 0xffffU) + (sum >> 16U);
    return static_cast<std::uint16_t>(~sum);
  }

 private:
  std::uint32_t sum_ = 0;  // at most 2^15 words: far above what a packet changes
};

}  // namespace perigee
