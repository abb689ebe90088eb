#include "dataplane/forward.h"

#include "dataplane/flow_tcp.h"
#include "dataplane/forward_state.h"
#include "dataplane/icmp.h"
#include "dataplane/rewrite.h"
#include "dataplane/transit.h"

namespace perigee {

namespace {

// What a reply answers: from our SNAT address to the endpoint.
TcpPath reply_path(const Packet& packet) {
  return {packet.destination, packet.source, packet.destination_port, packet.source_port};
}

bool may_open(const Packet& packet) { return packet.protocol == kUdp || is_first_syn(packet); }

}  // namespace

std::uint32_t Forwarder::owner_of(const Packet& packet, std::uint32_t service, std::uint32_t worker_count) {
  std::uint32_t client = packet.source;
  std::uint16_t snat_port = packet.destination_port;
  if (is_icmp_error(packet)) {
    const std::optional<Quoted> quoted = parse_quoted(packet);
    if (!quoted) return 0;
    client = quoted->destination;
    snat_port = quoted->source_port;
  }
  if (service == table::kNone) return SnatPorts::owner_of(snat_port, worker_count);
  // The same for every packet of a client, so that its share of ports is counted in one place.
  const std::uint64_t mixed = fold_multiply(client, 0x9e3779b97f4a7c15U) & 0xffffffffU;
  return static_cast<std::uint32_t>(mixed * worker_count >> 32U);
}

// First round: where the flow's lookup begins.
void Forwarder::prepare(Packet& packet, std::uint32_t service) {
  Impl& self = *impl_;
  packet.scratch = {0, kNoSlot};
  if (packet.fragment || (packet.protocol != kTcp && packet.protocol != kUdp)) return;
  if (service != table::kNone) {
    const Place place = self.ends.service_of_index(service);
    if (place == kNoPlace) return;
    packet.scratch[0] = static_cast<std::uint64_t>(Direction::to_endpoint) << 32U | place;
    packet.flow_hash = self.flows.hash(self.flow_key(packet, place));
    self.flows.prefetch_group(packet.flow_hash);
  } else {
    const std::uint32_t line = self.ends.replies().find_line(reply_path(packet), packet.protocol);
    packet.scratch[0] = static_cast<std::uint64_t>(Direction::to_client) << 32U | line;
    if (line != ReplyLines::kNone) self.ends.replies().prefetch(line, packet.destination_port);
  }
}

// Second round: the flow itself. A guess; process() looks again where it does not fit.
void Forwarder::prefetch(Packet& packet) {
  Impl& self = *impl_;
  switch (static_cast<Direction>(packet.scratch[0] >> 32U)) {
    case Direction::to_endpoint:
      packet.scratch[1] = self.flows.prefetch_entry(packet.flow_hash);
      if (packet.scratch[1] == kNoSlot) self.flows.prefetch_absent(packet.flow_hash, may_open(packet));
      return;
    case Direction::to_client: {
      const std::uint32_t slot =
          self.ends.replies().guess(static_cast<std::uint32_t>(packet.scratch[0]), packet.destination_port);
      packet.scratch[1] = slot;
      if (slot != kNoSlot) __builtin_prefetch(&self.flows.entry(slot), 1);
      return;
    }
    case Direction::neither:
      return;
  }
}

[[gnu::flatten]] ForwardResult Forwarder::process(Packet& packet, LinkView links, Instant now) {
  Impl& self = *impl_;
  if (links != self.links) [[unlikely]]
    self.see(links, now);
  // RFC 1812 section 5.3.1: what would leave with TTL 0 is not forwarded.
  if (packet.ttl <= 1) return dropped(DropReason::ttl_exceeded);
  switch (static_cast<Direction>(packet.scratch[0] >> 32U)) {
    case Direction::to_endpoint:
      return self.to_endpoint(packet, static_cast<Place>(packet.scratch[0]), now);
    case Direction::to_client:
      return self.to_client(packet, now);
    case Direction::neither:
      break;
  }
  if (packet.fragment) return dropped(DropReason::fragment);
  if (packet.protocol == kIcmp) return self.translate_error(packet);
  if (packet.protocol == kTcp || packet.protocol == kUdp) {
    // More services than may be known at once, as long as flows of old ones go on.
    return self.refuse(packet, DropReason::no_candidate, false, now);
  }
  return dropped(DropReason::protocol_unsupported);
}

// Client -> VIP becomes SNAT address -> endpoint.
ForwardResult Forwarder::Impl::to_endpoint(Packet& packet, Place service, Instant now) {
  const FlowKey key = flow_key(packet, service);
  auto slot = static_cast<std::uint32_t>(packet.scratch[1]);
  const bool guessed = slot != kNoSlot && key.of(flows.entry(slot)) &&
                       flows.entry(slot).phase.load(std::memory_order_relaxed) != FlowPhase::free;
  if (!guessed) slot = flows.find(packet.flow_hash, key);
  if (slot == kNoSlot) return open_flow(packet, service, key, now);

  FlowEntry& flow = flows.entry(slot);
  const FlowPhase phase = flow.phase.load(std::memory_order_relaxed);
  const KnownEndpoint& endpoint = ends.endpoint(flow.endpoint_hint);
  if (phase == FlowPhase::reset || endpoint.condition != KnownEndpoint::Condition::live ||
      !ends.snat_in_force(flow.snat_address) || (packet.protocol == kTcp && is_first_syn(packet)))
      [[unlikely]] {
    return unusual_to_endpoint(packet, slot, service, now);
  }
  if (!track_plain_segment(phase, flow.next_to_endpoint, packet) && packet.protocol == kTcp) {
    track_client_segment(flow, packet);
  }
  flow.last_seen = flow_tick(now);
  return send_to_endpoint(packet, flow);
}

ForwardResult Forwarder::Impl::unusual_to_endpoint(Packet& packet, std::uint32_t slot, Place service,
                                                   Instant now) {
  FlowEntry& flow = flows.entry(slot);
  const FlowPhase phase = flow.phase.load(std::memory_order_relaxed);
  const FlowKey key = flow_key(packet, service);
  if (packet.protocol == kTcp && is_first_syn(packet)) return syn_again(packet, slot, service, key, now);
  if (phase == FlowPhase::reset) return answer_reset(packet);
  if (!doomed(flow)) return dropped(DropReason::no_live_link);
  if (phase == FlowPhase::datagrams || phase == FlowPhase::opening) {
    forget(slot, flow_tick(now));  // nothing to lose: the next endpoint may take it
    return open_flow(packet, service, key, now);
  }
  begin_reset(flow, now);
  return answer_reset(packet);
}

FlowKey Forwarder::Impl::flow_key(const Packet& packet, Place service) {
  return {client_words(packet.source), ends.service(service).id.value, packet.source_port};
}

ForwardResult Forwarder::Impl::send_to_endpoint(Packet& packet, const FlowEntry& flow) {
  const KnownEndpoint& endpoint = ends.endpoint(flow.endpoint_hint);
  rewrite(packet, {ends.snat_address(flow.snat_address), endpoint.address, flow.snat_port, endpoint.port});
  return sent(endpoint.egress);
}

// Endpoint -> SNAT address becomes VIP -> client.
ForwardResult Forwarder::Impl::to_client(Packet& packet, Instant now) {
  const TcpPath path = reply_path(packet);
  auto slot = static_cast<std::uint32_t>(packet.scratch[1]);
  const bool guessed = slot != kNoSlot && is_reply_of(flows.entry(slot), path, packet.protocol);
  if (!guessed) slot = ends.replies().find_flow(path, packet.protocol);
  if (slot == kNoSlot) {
    // An endpoint that still talks is told to stop; a datagram is not worth an ICMP error a packet.
    if (packet.protocol == kTcp) return refuse(packet, DropReason::no_flow, false, now);
    return dropped(DropReason::no_flow);
  }
  FlowEntry& flow = flows.entry(slot);
  const FlowPhase phase = flow.phase.load(std::memory_order_relaxed);
  if (phase == FlowPhase::reset ||
      ends.endpoint(flow.endpoint_hint).condition == KnownEndpoint::Condition::doomed) [[unlikely]] {
    return unusual_to_client(packet, flow, now);
  }
  const std::uint32_t client = client_v4(flow);
  const RouteChoice route = choose_route(client, Segment{}, *table, links);
  if (!route.egress) return dropped(route.reason);
  if (!track_plain_segment(phase, flow.next_to_client, packet) && packet.protocol == kTcp) {
    track_endpoint_segment(flow, packet);
  }
  flow.last_seen = flow_tick(now);
  const KnownService& service = ends.service(flow.service_hint);
  rewrite(packet, {service.vip, client, service.port, flow.client_port});
  return sent(*route.egress);
}

ForwardResult Forwarder::Impl::unusual_to_client(Packet& packet, FlowEntry& flow, Instant now) {
  if (flow.phase.load(std::memory_order_relaxed) == FlowPhase::reset) return answer_reset(packet);
  if (packet.protocol != kTcp) return dropped(DropReason::flow_reset);
  begin_reset(flow, now);
  return answer_reset(packet);
}

bool Forwarder::Impl::is_reply_of(const FlowEntry& flow, const TcpPath& path, std::uint8_t protocol) const {
  const KnownEndpoint& endpoint = ends.endpoint(flow.endpoint_hint);
  return flow.snat_port == path.source_port && endpoint.address == path.destination &&
         endpoint.port == path.destination_port && flow.protocol == protocol &&
         ends.snat_address(flow.snat_address) == path.source &&
         flow.phase.load(std::memory_order_relaxed) != FlowPhase::free;
}

// Not within the rate of refusals: one answer for one segment of a flow we ended.
ForwardResult Forwarder::Impl::answer_reset(const Packet& packet) {
  if (packet.protocol != kTcp || (packet.tcp_flags & kRst) != 0) return dropped(DropReason::flow_reset);
  bump(options.counters->resets_sent);
  return {ForwardResult::Verdict::refuse, DropReason::flow_reset, Answer::tcp_reset, {}};
}

ForwardResult Forwarder::Impl::refuse(const Packet& packet, DropReason reason, bool silent, Instant now) {
  Answer answer = Answer::none;
  if (packet.protocol == kTcp && (packet.tcp_flags & kRst) == 0) {
    answer = Answer::tcp_reset;
  } else if (packet.protocol == kUdp && may_answer_with_error(packet)) {
    answer = reason == DropReason::snat_share ? Answer::icmp_admin_prohibited : Answer::icmp_port_unreachable;
  }
  if (answer == Answer::none || silent) return dropped(reason);
  if (!refusals.take(now)) return dropped(DropReason::refuse_rate_limited);
  return {ForwardResult::Verdict::refuse, reason, answer, {}};
}

ForwardResult Forwarder::refuse(const Packet& packet, DropReason reason, Instant now) {
  return impl_->refuse(packet, reason, false, now);
}

void Forwarder::Impl::see(LinkView view, Instant now) {
  links = view;
  ends.look(*table, view, now);
  ends.judge(path_gone, now);
}

}  // namespace perigee
