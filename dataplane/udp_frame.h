// UDP datagrams of our own: probes and reflector replies, as IPv4 packets without Ethernet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/packet.h"

namespace perigee {

inline constexpr std::size_t kUdpOverhead = 28;  // IPv4 without options + UDP

struct UdpHeader {
  std::uint32_t source = 0;  // host order
  std::uint32_t destination = 0;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint8_t ttl = 255;  // RFC 8762 section 4.2.1 lets the far end count hops
  std::uint8_t tos = 0;    // DSCP and ECN
};

// Writes IPv4 (DF set) + UDP + payload with both checksums. `payload` may already lie at its place in `out`
// (offset kUdpOverhead). Returns the octets written, 0 when `out` is too small.
std::size_t build_udp(std::span<std::uint8_t> out, const UdpHeader& header,
                      std::span<const std::uint8_t> payload);

// The UDP checksum of a parsed packet is right, or absent (0, RFC 768).
[[nodiscard]] bool udp_checksum_ok(const Packet& packet);

}  // namespace perigee
