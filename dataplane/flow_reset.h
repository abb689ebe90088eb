// RST segments of ours toward the two ends of a flow, with a sequence number they must accept.
//
// RFC 9293 section 3.10.7.4 (after RFC 5961): an established end takes a RST only with exactly the sequence
// it expects next. That is the end of the last octet we forwarded to it, unless something was lost behind us;
// then it answers a challenge ACK, which carries the expected sequence as its acknowledgement, and the answer
// to that segment (reset_for_segment) is exact.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>

namespace perigee {

struct Packet;

inline constexpr std::size_t kResetSize = 40;  // IPv4 header and TCP header, no options

// One whole IPv4 packet, from its IP header on. The octets live for the call only.
using EmitSegment = std::function<void(std::span<const std::uint8_t> ip_packet)>;

struct TcpPath {  // addresses and ports in host order
  std::uint32_t source = 0, destination = 0;
  std::uint16_t source_port = 0, destination_port = 0;
};

// RST (with ACK when `acknowledgement` is given to be carried) from path.source to path.destination.
std::array<std::uint8_t, kResetSize> build_reset(const TcpPath& path, std::uint32_t sequence,
                                                 std::uint32_t acknowledgement, bool with_ack);

// The RST that RFC 9293 section 3.10.7.1 asks for in answer to `segment` (TCP, not itself a RST): SEQ is its
// ACK, or 0 with ACK beyond its sequence where it has none. From its destination to its source.
std::array<std::uint8_t, kResetSize> reset_for_segment(const Packet& segment);

}  // namespace perigee
