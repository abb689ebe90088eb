// Refusal, not silence: what goes back to the sender of a packet that cannot be served.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/icmp.h"
#include "dataplane/packet.h"

namespace perigee {

enum class Answer : std::uint8_t {
  none,
  tcp_reset,              // RFC 9293 section 3.10.7.1
  icmp_port_unreachable,  // RFC 792 type 3 code 3
  icmp_admin_prohibited,  // RFC 1812 section 5.2.7.1, type 3 code 13
};

// Octets of the longest refusal.
inline constexpr std::size_t kMaxRefusal = kMaxIcmpError;

// Writes the refusal of `packet` (as it came in) as one whole IPv4 packet, TTL 64, from the packet's
// destination to its source. Returns its size, 0 when there is nothing to answer: Answer::none, a RST, or an
// ICMP error (RFC 1122 section 3.2.2). It leaves on the segment the packet came from.
std::size_t build_refusal(const Packet& packet, Answer answer, std::span<std::uint8_t, kMaxRefusal> out);

}  // namespace perigee
