// What a flow learns from the TCP segments that pass: its phase, which only chooses the idle time and never
// stops a segment, and the highest sequence forwarded each way, which makes a RST of ours acceptable.
#pragma once

#include <cstdint>

#include "dataplane/flow_table.h"
#include "dataplane/octets.h"
#include "dataplane/packet.h"

namespace perigee {

// `a` lies after `b` (RFC 9293 section 3.4: modulo 2^32).
[[nodiscard]] inline bool sequence_after(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>(a - b) > 0;
}

[[nodiscard]] inline bool is_first_syn(const Packet& packet) {
  return (packet.tcp_flags & (kSyn | kAck | kRst | kFin)) == kSyn;
}

[[nodiscard]] inline std::uint32_t tcp_sequence(const Packet& packet) {
  return load_be32(packet.transport() + 4);
}

[[nodiscard]] inline std::uint32_t tcp_acknowledgement(const Packet& packet) {
  return load_be32(packet.transport() + 8);
}

// The client acknowledged, and neither side has ended it.
[[nodiscard]] inline bool is_open(FlowPhase phase) {
  return phase == FlowPhase::established || phase == FlowPhase::connected || phase == FlowPhase::asked;
}

// What a segment is the first of in its flow.
enum class FlowMoment : std::uint8_t {
  none,
  answered,  // the endpoint's SYN-ACK, of the SYN that was forwarded
  asked,     // data of the client, before any of the endpoint
  spoke,     // data of the endpoint, after that
};

// A segment from the client that is not a SYN of a new connection, or one from the endpoint, is about to be
// forwarded: takes its sequence and phase over.
FlowMoment track_client_segment(FlowEntry& flow, const Packet& packet);
FlowMoment track_endpoint_segment(FlowEntry& flow, const Packet& packet);

// The same for a segment of an established flow that changes no phase, which is nearly every one. False: it
// may change one, and nothing was done.
[[nodiscard]] inline bool track_plain_segment(FlowPhase phase, std::uint32_t& next, const Packet& packet) {
  if (phase != FlowPhase::established || (packet.tcp_flags & (kSyn | kFin | kRst)) != 0) return false;
  const std::uint32_t end = tcp_sequence(packet) + packet.payload_length();
  if (sequence_after(end, next)) next = end;
  return true;
}

}  // namespace perigee
