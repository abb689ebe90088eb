#include "dataplane/checksum.h"

#include "dataplane/octets.h"

namespace perigee {

std::uint64_t checksum_add(std::span<const std::uint8_t> octets, std::uint64_t sum) {
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

std::uint16_t checksum_finish(std::uint64_t sum) {
  sum = (sum & 0xffffffffU) + (sum >> 32U);
  sum = (sum & 0xffffU) + (sum >> 16U);
  sum = (sum & 0xffffU) + (sum >> 16U);
  sum = (sum & 0xffffU) + (sum >> 16U);
  return static_cast<std::uint16_t>(~sum);
}

std::uint64_t pseudo_header_sum(std::uint32_t source, std::uint32_t destination, std::uint8_t protocol,
                                std::uint16_t l4_length) {
  return std::uint64_t{source} + destination + protocol + l4_length;
}

std::uint16_t ipv4_header_checksum(std::span<const std::uint8_t> header) {
  return checksum_finish(checksum_add(header));
}

}  // namespace perigee
