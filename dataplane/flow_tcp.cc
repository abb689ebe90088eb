#include "dataplane/flow_tcp.h"

namespace perigee {

namespace {

// A RST that does not carry exactly the sequence the other end expects may be a forgery, or real with
// segments lost before us. Within this distance it only shortens the idle time; beyond it means nothing.
constexpr std::int32_t kPlausible = 1 << 20;

std::uint32_t sequence_end(const Packet& packet, std::uint32_t sequence) {
  return sequence + packet.payload_length() + ((packet.tcp_flags & kSyn) != 0 ? 1U : 0U) +
         ((packet.tcp_flags & kFin) != 0 ? 1U : 0U);
}

void set_phase(FlowEntry& flow, FlowPhase phase) { flow.phase.store(phase, std::memory_order_release); }

void take_reset(FlowEntry& flow, FlowPhase phase, std::uint32_t sequence, std::uint32_t expected) {
  const auto distance = static_cast<std::int32_t>(sequence - expected);
  if (distance == 0) return set_phase(flow, FlowPhase::closed);
  if (phase == FlowPhase::established && distance > -kPlausible && distance < kPlausible) {
    set_phase(flow, FlowPhase::closing);
  }
}

// Who acknowledges what the endpoint sent, has seen it: a sender with a forged address has not, and must not
// make a flow of its own look like an open connection (RFC 6528 is why it cannot guess).
bool acknowledges(const FlowEntry& flow, const Packet& packet) {
  if ((packet.tcp_flags & kAck) == 0 || (flow.flags & kEndpointSeen) == 0) return false;
  const auto behind = static_cast<std::int32_t>(flow.next_to_client - tcp_acknowledgement(packet));
  return behind >= 0 && behind < kPlausible;
}

void take_fin(FlowEntry& flow, FlowFlag side) {
  flow.flags = static_cast<std::uint8_t>(flow.flags | side);
  const bool both = (flow.flags & (kClientFin | kEndpointFin)) == (kClientFin | kEndpointFin);
  set_phase(flow, both ? FlowPhase::closed : FlowPhase::closing);
}

}  // namespace

void track_client_segment(FlowEntry& flow, const Packet& packet) {
  const std::uint32_t sequence = tcp_sequence(packet);
  const FlowPhase phase = flow.phase.load(std::memory_order_relaxed);
  if ((packet.tcp_flags & kRst) != 0) return take_reset(flow, phase, sequence, flow.next_to_endpoint);
  const std::uint32_t end = sequence_end(packet, sequence);
  if (sequence_after(end, flow.next_to_endpoint)) flow.next_to_endpoint = end;
  if ((phase == FlowPhase::opening || phase == FlowPhase::answered) && !acknowledges(flow, packet)) return;
  if ((packet.tcp_flags & kFin) != 0) return take_fin(flow, kClientFin);
  if (phase == FlowPhase::answered && (packet.tcp_flags & kSyn) == 0) {
    set_phase(flow, FlowPhase::established);
  }
}

void track_endpoint_segment(FlowEntry& flow, const Packet& packet) {
  const std::uint32_t sequence = tcp_sequence(packet);
  const FlowPhase phase = flow.phase.load(std::memory_order_relaxed);
  if ((packet.tcp_flags & kRst) != 0) {
    // RFC 9293 section 3.10.7.3: a refusal of the SYN is known by its ACK; its sequence is 0.
    if (phase == FlowPhase::opening) return set_phase(flow, FlowPhase::closed);
    return take_reset(flow, phase, sequence, flow.next_to_client);
  }
  const std::uint32_t end = sequence_end(packet, sequence);
  if ((flow.flags & kEndpointSeen) == 0) {
    flow.next_to_client = end;
    flow.flags = static_cast<std::uint8_t>(flow.flags | kEndpointSeen);
  } else if (sequence_after(end, flow.next_to_client)) {
    flow.next_to_client = end;
  }
  if ((packet.tcp_flags & kFin) != 0) return take_fin(flow, kEndpointFin);
  if (phase == FlowPhase::opening && (packet.tcp_flags & (kSyn | kAck)) == (kSyn | kAck)) {
    set_phase(flow, FlowPhase::answered);
  }
}

}  // namespace perigee
