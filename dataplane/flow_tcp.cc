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
  if (is_open(phase) && distance > -kPlausible && distance < kPlausible) {
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

// Of a client that acknowledged. Who speaks first is the client, or there is nothing to time.
FlowMoment take_client_data(FlowEntry& flow, FlowPhase phase, bool fresh) {
  if (phase != FlowPhase::answered && phase != FlowPhase::connected) return FlowMoment::none;
  if ((flow.flags & kEndpointSpoke) != 0) return set_phase(flow, FlowPhase::established), FlowMoment::none;
  set_phase(flow, fresh ? FlowPhase::asked : FlowPhase::connected);
  return fresh ? FlowMoment::asked : FlowMoment::none;
}

FlowMoment take_endpoint_data(FlowEntry& flow, FlowPhase phase) {
  flow.flags = static_cast<std::uint8_t>(flow.flags | kEndpointSpoke);
  if (phase != FlowPhase::asked && phase != FlowPhase::connected) return FlowMoment::none;
  set_phase(flow, FlowPhase::established);
  return phase == FlowPhase::asked ? FlowMoment::spoke : FlowMoment::none;
}

}  // namespace

FlowMoment track_client_segment(FlowEntry& flow, const Packet& packet) {
  const std::uint32_t sequence = tcp_sequence(packet);
  const FlowPhase phase = flow.phase.load(std::memory_order_relaxed);
  if ((packet.tcp_flags & kRst) != 0) {
    take_reset(flow, phase, sequence, flow.next_to_endpoint);
    return FlowMoment::none;
  }
  const std::uint32_t end = sequence_end(packet, sequence);
  const bool fresh = sequence_after(end, flow.next_to_endpoint);
  if (fresh) flow.next_to_endpoint = end;
  if ((phase == FlowPhase::opening || phase == FlowPhase::answered) && !acknowledges(flow, packet))
    return FlowMoment::none;
  if ((packet.tcp_flags & kFin) != 0) {
    take_fin(flow, kClientFin);
  } else if ((packet.tcp_flags & kSyn) == 0) {
    return take_client_data(flow, phase, fresh && packet.payload_length() != 0);
  }
  return FlowMoment::none;
}

FlowMoment track_endpoint_segment(FlowEntry& flow, const Packet& packet) {
  const std::uint32_t sequence = tcp_sequence(packet);
  const FlowPhase phase = flow.phase.load(std::memory_order_relaxed);
  if ((packet.tcp_flags & kRst) != 0) {
    // RFC 9293 section 3.10.7.3: a refusal of the SYN is known by its ACK; its sequence is 0.
    if (phase == FlowPhase::opening) {
      set_phase(flow, FlowPhase::closed);
    } else {
      take_reset(flow, phase, sequence, flow.next_to_client);
    }
    return FlowMoment::none;
  }
  const std::uint32_t end = sequence_end(packet, sequence);
  const bool fresh = (flow.flags & kEndpointSeen) == 0 || sequence_after(end, flow.next_to_client);
  if (fresh) flow.next_to_client = end;
  flow.flags = static_cast<std::uint8_t>(flow.flags | kEndpointSeen);
  const bool data = fresh && packet.payload_length() != 0;
  const FlowMoment moment = data ? take_endpoint_data(flow, phase) : FlowMoment::none;
  if ((packet.tcp_flags & kFin) != 0) {
    take_fin(flow, kEndpointFin);
  } else if (phase == FlowPhase::opening && (packet.tcp_flags & (kSyn | kAck)) == (kSyn | kAck)) {
    set_phase(flow, FlowPhase::answered);
    if (tcp_acknowledgement(packet) == flow.next_to_endpoint) return FlowMoment::answered;
  }
  return moment;
}

}  // namespace perigee
