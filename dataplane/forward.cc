#include "dataplane/forward.h"

#include <algorithm>

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

void Forwarder::process(std::span<Forwarding> burst, LinkView links, Instant now) {
  if (burst.empty()) return;  // perhaps there is no table yet
  if (links != impl_->links) impl_->see(links, now);
  while (!burst.empty()) {
    const std::span<Forwarding> round = burst.first(std::min(burst.size(), kRoundPackets));
    impl_->process(round, now);
    burst = burst.subspan(round.size());
  }
}

// Three rounds, so that while one packet waits for memory the others are worked on. The first two only start
// fetching what the third reads.
[[gnu::flatten]] void Forwarder::Impl::process(std::span<Forwarding> burst, Instant now) {
  std::array<Lookup, kRoundPackets> lookups;
  for (std::size_t i = 0; i < burst.size(); ++i) lookups[i] = begin(*burst[i].packet, burst[i].service);
  const std::uint32_t moves_seen = moves;
  for (std::size_t i = 0; i < burst.size(); ++i) fetch(lookups[i], *burst[i].packet);
  for (std::size_t i = 0; i < burst.size(); ++i) {
    decide(burst[i], lookups[i], moves_seen, now);
  }
}

// Where the flow's lookup begins.
Lookup Forwarder::Impl::begin(const Packet& packet, std::uint32_t service) const {
  Lookup lookup{Lookup::Direction::neither, kNoPlace, ReplyLines::kNone, kNoSlot, 0};
  if (packet.fragment || (packet.protocol != kTcp && packet.protocol != kUdp)) return lookup;
  if (service == table::kNone) {
    lookup.direction = Lookup::Direction::to_client;
    lookup.line = ends.replies().find_line(reply_path(packet), packet.protocol);
    if (lookup.line != ReplyLines::kNone) ends.replies().prefetch(lookup.line, packet.destination_port);
    return lookup;
  }
  lookup.service = ends.service_of_index(service);
  if (lookup.service == kNoPlace) return lookup;
  lookup.direction = Lookup::Direction::to_endpoint;
  lookup.hash = flows.hash(flow_key(packet, lookup.service));
  flows.prefetch_group(lookup.hash);
  return lookup;
}

// The flow itself.
void Forwarder::Impl::fetch(Lookup& lookup, const Packet& packet) const {
  switch (lookup.direction) {
    case Lookup::Direction::to_endpoint:
      lookup.slot = flows.prefetch_entry(lookup.hash);
      if (lookup.slot == kNoSlot) flows.prefetch_absent(lookup.hash, may_open(packet));
      return;
    case Lookup::Direction::to_client:
      if (lookup.line == ReplyLines::kNone) return;
      lookup.slot = ends.replies().flow(lookup.line, packet.destination_port);
      if (lookup.slot != kNoSlot) __builtin_prefetch(&flows.entry(lookup.slot), 1);
      return;
    case Lookup::Direction::neither:
      return;
  }
}

void Forwarder::Impl::decide(Forwarding& item, const Lookup& lookup, std::uint32_t moves_seen, Instant now) {
  const Packet& packet = *item.packet;
  // RFC 1812 section 5.3.1: what would leave with TTL 0 is not forwarded.
  if (packet.ttl <= 1) return drop(item, DropReason::ttl_exceeded);
  switch (lookup.direction) {
    case Lookup::Direction::to_endpoint:
      return to_endpoint(item, lookup, now);
    case Lookup::Direction::to_client:
      return to_client(item, lookup, moves_seen, now);
    case Lookup::Direction::neither:
      break;
  }
  if (packet.fragment) return drop(item, DropReason::fragment);
  if (packet.protocol == kIcmp) return translate_error(item);
  if (packet.protocol == kTcp || packet.protocol == kUdp) {
    // More services than may be known at once, as long as flows of old ones go on.
    return refuse(item, DropReason::no_candidate, false, now);
  }
  return drop(item, DropReason::protocol_unsupported);
}

// Client -> VIP becomes SNAT address -> endpoint.
void Forwarder::Impl::to_endpoint(Forwarding& item, const Lookup& lookup, Instant now) {
  const Packet& packet = *item.packet;
  const FlowKey key = flow_key(packet, lookup.service);
  std::uint32_t slot = lookup.slot;
  const bool guessed = slot != kNoSlot && key.of(flows.entry(slot)) &&
                       flows.entry(slot).phase.load(std::memory_order_relaxed) != FlowPhase::free;
  if (!guessed) {
    slot = flows.find(lookup.hash, key);
    if (slot == kNoSlot) return open_flow(item, lookup, key, now);
  }

  FlowEntry& flow = flows.entry(slot);
  const FlowPhase phase = flow.phase.load(std::memory_order_relaxed);
  const KnownEndpoint& endpoint = ends.endpoint(flow.endpoint_hint);
  if (phase == FlowPhase::reset || endpoint.condition != KnownEndpoint::Condition::live ||
      !ends.snat_in_force(flow.snat_address) || (packet.protocol == kTcp && is_first_syn(packet)))
      [[unlikely]] {
    return unusual_to_endpoint(item, slot, lookup, now);
  }
  const Egress& egress = endpoint.egress_of(flow.snat_port);
  if (!fits(packet, egress)) [[unlikely]]
    return drop_too_long(item, egress);
  if (!track_plain_segment(phase, flow.next_to_endpoint, packet) && packet.protocol == kTcp) {
    track_to_endpoint(flow, packet, now);
  }
  flow.last_seen = flow_tick(now);
  return send_to_endpoint(item, flow, egress);
}

void Forwarder::Impl::track_to_endpoint(FlowEntry& flow, const Packet& packet, Instant now) {
  if (track_client_segment(flow, packet) != FlowMoment::asked) return;
  PathTimes::start(flow, ends.endpoint(flow.endpoint_hint).egress_of(flow.snat_port).segment, now);
}

void Forwarder::Impl::unusual_to_endpoint(Forwarding& item, std::uint32_t slot, const Lookup& lookup,
                                          Instant now) {
  const Packet& packet = *item.packet;
  FlowEntry& flow = flows.entry(slot);
  const FlowPhase phase = flow.phase.load(std::memory_order_relaxed);
  const FlowKey key = flow_key(packet, lookup.service);
  if (packet.protocol == kTcp && is_first_syn(packet)) return syn_again(item, slot, lookup, key, now);
  if (phase == FlowPhase::reset) return answer_reset(item);
  if (!doomed(flow)) return drop(item, DropReason::no_live_link);
  if (phase == FlowPhase::datagrams || phase == FlowPhase::opening) {
    forget(slot, flow_tick(now));  // nothing to lose: the next endpoint may take it
    return open_flow(item, lookup, key, now);
  }
  begin_reset(flow, now);
  return answer_reset(item);
}

FlowKey Forwarder::Impl::flow_key(const Packet& packet, Place service) const {
  return {client_words(packet.source), ends.service(service).id.value, packet.source_port};
}

void Forwarder::Impl::send_to_endpoint(Forwarding& item, const FlowEntry& flow, const Egress& egress) {
  Packet& packet = *item.packet;
  const KnownEndpoint& endpoint = ends.endpoint(flow.endpoint_hint);
  rewrite(packet, {ends.snat_address(flow.snat_address), endpoint.address, flow.snat_port, endpoint.port});
  return send(item, egress);
}

// Endpoint -> SNAT address becomes VIP -> client.
void Forwarder::Impl::to_client(Forwarding& item, const Lookup& lookup, std::uint32_t moves_seen,
                                Instant now) {
  Packet& packet = *item.packet;
  std::uint32_t slot = lookup.slot;
  // Another packet of the burst may have made, moved or ended a flow since that was looked up.
  if (slot == kNoSlot || moves != moves_seen) {
    slot = ends.replies().find_flow(reply_path(packet), packet.protocol);
    if (slot == kNoSlot) {
      // An endpoint that still talks is told to stop; a datagram is not worth an ICMP error a packet.
      if (packet.protocol == kTcp) return refuse(item, DropReason::no_flow, false, now);
      return drop(item, DropReason::no_flow);
    }
  }
  FlowEntry& flow = flows.entry(slot);
  const FlowPhase phase = flow.phase.load(std::memory_order_relaxed);
  if (phase == FlowPhase::reset ||
      ends.endpoint(flow.endpoint_hint).condition == KnownEndpoint::Condition::doomed) [[unlikely]] {
    return unusual_to_client(item, flow, now);
  }
  const std::uint32_t client = client_v4(flow);
  const RouteChoice route = choose_route(client, flow.snat_port, Segment{}, *table, links);
  if (!route.egress) return drop(item, route.reason);
  if (!fits(packet, *route.egress)) [[unlikely]]
    return drop_too_long(item, *route.egress);
  if (!track_plain_segment(phase, flow.next_to_client, packet) && packet.protocol == kTcp) {
    track_to_client(flow, packet, now);
  }
  flow.last_seen = flow_tick(now);
  const KnownService& service = ends.service(flow.service_hint);
  rewrite(packet, {service.vip, client, service.port, flow.client_port});
  return send(item, *route.egress);
}

void Forwarder::Impl::track_to_client(FlowEntry& flow, const Packet& packet, Instant now) {
  using telemetry::FlowTiming;
  const FlowMoment moment = track_endpoint_segment(flow, packet);
  if (moment != FlowMoment::answered && moment != FlowMoment::spoke) return;
  times.stop(moment == FlowMoment::answered ? FlowTiming::handshake : FlowTiming::first_byte, flow, ends,
             links, now);
}

void Forwarder::Impl::unusual_to_client(Forwarding& item, FlowEntry& flow, Instant now) {
  const Packet& packet = *item.packet;
  if (flow.phase.load(std::memory_order_relaxed) == FlowPhase::reset) return answer_reset(item);
  if (packet.protocol != kTcp) return drop(item, DropReason::flow_reset);
  begin_reset(flow, now);
  return answer_reset(item);
}

// Not within the rate of refusals: one answer for one segment of a flow we ended.
void Forwarder::Impl::answer_reset(Forwarding& item) {
  const Packet& packet = *item.packet;
  if (packet.protocol != kTcp || (packet.tcp_flags & kRst) != 0) return drop(item, DropReason::flow_reset);
  bump(options.counters->resets_sent);
  item.result = {ForwardResult::Verdict::refuse, DropReason::flow_reset, Answer::tcp_reset, {}};
}

void Forwarder::Impl::refuse(Forwarding& item, DropReason reason, bool silent, Instant now) {
  const Packet& packet = *item.packet;
  Answer answer = Answer::none;
  if (packet.protocol == kTcp && (packet.tcp_flags & kRst) == 0) {
    answer = Answer::tcp_reset;
  } else if (packet.protocol == kUdp && may_answer_with_error(packet)) {
    answer = reason == DropReason::snat_share ? Answer::icmp_admin_prohibited : Answer::icmp_port_unreachable;
  }
  if (answer == Answer::none || silent) return drop(item, reason);
  if (!refusals.take(now)) return drop(item, DropReason::refuse_rate_limited);
  item.result = {ForwardResult::Verdict::refuse, reason, answer, {}};
}

ForwardResult Forwarder::refuse(Packet& packet, DropReason reason, Instant now) {
  Forwarding item{&packet, table::kNone, {}};
  impl_->refuse(item, reason, false, now);
  return item.result;
}

void Forwarder::Impl::see(LinkView view, Instant now) {
  links = view;
  ends.look(*table, view, now);
  ends.judge(path_gone, now);
}

}  // namespace perigee
