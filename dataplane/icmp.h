// ICMP for IPv4 (RFC 792): echo replies in place, and errors about a packet built into a caller's span as
// IPv4 packets without Ethernet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/packet.h"

namespace perigee {

enum IcmpType : std::uint8_t {
  kEchoReply = 0,
  kUnreachable = 3,
  kSourceQuench = 4,
  kRedirect = 5,
  kEchoRequest = 8,
  kTimeExceeded = 11,
  kParameterProblem = 12
};
enum UnreachableCode : std::uint8_t {
  kNetUnreachable = 0,
  kHostUnreachable = 1,
  kProtocolUnreachable = 2,
  kPortUnreachable = 3,
  kFragmentationNeeded = 4
};

inline constexpr std::uint8_t kOwnTtl = 64;        // of what we originate, except STAMP (255)
inline constexpr std::size_t kMaxIcmpError = 576;  // octets of IP (RFC 1812 section 4.3.2.3)

// Which error to send about a packet.
struct IcmpError {
  std::uint8_t type = 0;
  std::uint8_t code = 0;
  std::uint16_t mtu = 0;  // next-hop MTU, for kFragmentationNeeded (RFC 1191 section 4), else 0

  friend bool operator==(const IcmpError&, const IcmpError&) = default;
};

// An error may be sent about this packet: not about an ICMP error, a fragment that is not the first, a
// multicast or broadcast destination, or a source that is no host's (RFC 1812 section 4.3.2.7).
[[nodiscard]] bool may_answer_with_error(const Packet& packet);

// Writes IPv4 + ICMP + as much of the packet as fits (from its IPv4 header, as it stands in the frame: call
// before rewriting) from `from` to the packet's source, TTL 64. Returns the octets written; 0: not allowed by
// may_answer_with_error() or `out` has no room for the header and 28 octets of quote.
std::size_t build_icmp_error(const Packet& packet, const IcmpError& error, std::uint32_t from,
                             std::span<std::uint8_t> out);

// Turns an echo request into its reply in place: addresses swapped, TTL 64, checksums right. The IPv4 options
// stay. The packet's fields follow.
void make_echo_reply(Packet& packet);

[[nodiscard]] inline bool is_echo_request(const Packet& packet) {
  return packet.protocol == kIcmp && !packet.fragment && packet.icmp_type == kEchoRequest &&
         packet.icmp_code == 0;
}
// Destination unreachable, source quench, redirect, time exceeded, parameter problem.
[[nodiscard]] bool is_icmp_error(const Packet& packet);

// The packet an ICMP error is about, as it was when it left us. RFC 792 promises only the IPv4 header and 8
// octets, so that is all that is asked for.
struct Quoted {
  std::uint16_t l3 = 0;  // offset of the inner IPv4 header from `frame`
  std::uint16_t l4 = 0;
  std::uint8_t protocol = 0;
  std::uint32_t source = 0;
  std::uint32_t destination = 0;
  std::uint16_t source_port = 0;  // TCP and UDP, else 0
  std::uint16_t destination_port = 0;
};
// Nothing: no whole inner header and 8 octets, or a fragment that is not the first: icmp_malformed.
[[nodiscard]] std::optional<Quoted> parse_quoted(const Packet& packet);

}  // namespace perigee
