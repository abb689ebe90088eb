// How flows begin, move and end.
#include <algorithm>
#include <bit>

#include "contract/rendezvous.h"
#include "dataplane/choose.h"
#include "dataplane/flow_tcp.h"
#include "dataplane/forward_state.h"
#include "dataplane/rewrite.h"

namespace perigee {

namespace {

// Of the flows opened longest ago so many are looked at for one new flow; each may have to be fetched.
constexpr int kLooksForRoom = 16;

std::uint64_t client_key(std::array<std::uint64_t, 2> client, std::uint16_t port, ServiceId service) {
  return rendezvous_key(IpAddress{std::bit_cast<std::array<std::uint8_t, 16>>(client)}, port, service);
}

}  // namespace

void Forwarder::Impl::open_flow(Forwarding& item, const Lookup& lookup, const FlowKey& key, Instant now) {
  const Packet& packet = *item.packet;
  KnownService& service = ends.service(lookup.service);
  const bool tcp = packet.protocol == kTcp;
  if (tcp && !is_first_syn(packet)) return refuse(item, DropReason::no_flow, service.silent, now);
  if (!l4_checksum_right(packet)) return drop(item, DropReason::bad_l4_checksum);

  const std::uint64_t rendezvous = client_key(key.client, key.client_port, service.id);
  const std::optional<Place> place = choose_endpoint(*table, ends, service.index, rendezvous, links);
  if (!place) {
    const bool drained = is_drained(*table, service.index);
    return refuse(item, drained ? DropReason::service_drained : DropReason::no_candidate, service.silent,
                  now);
  }
  if (share.at_limit(key.client)) return refuse(item, DropReason::snat_share, service.silent, now);
  const FlowTick tick = flow_tick(now);
  if (flows.crowded()) trim_openings();
  // Datagrams take no handshake's place: a flood of them can be forged as well, and never gives way.
  if (flows.full() && !(tcp && give_up_half_open(tick, kNoPlace)))
    return refuse(item, DropReason::flow_table_full, service.silent, now);
  std::optional<Port> port = take_port(rendezvous, *place, packet.protocol, tick);
  if (!port && tcp && give_up_half_open(tick, *place))
    port = take_port(rendezvous, *place, packet.protocol, tick);
  if (!port) return refuse(item, DropReason::snat_exhausted, service.silent, now);

  const std::uint32_t slot = flows.reserve(lookup.hash);
  FlowEntry& flow = flows.entry(slot);
  flow.protocol = packet.protocol;
  flow.flags = 0;
  flow.snat_address = port->address;
  flow.last_seen = tick;
  flow.client = key.client;
  flow.service = service.id.value;
  flow.endpoint = ends.endpoint(*place).id.value;
  flow.client_port = key.client_port;
  flow.snat_port = port->port;
  flow.service_hint = lookup.service;
  flow.endpoint_hint = *place;
  flow.next_to_endpoint = tcp ? tcp_sequence(packet) + packet.payload_length() + 1 : 0;
  flow.next_to_client = 0;
  flow.repeats = 0;
  const Egress egress = opening_egress(flow);
  PathTimes::start(flow, egress.segment, now);
  flows.publish(slot, tcp ? FlowPhase::opening : FlowPhase::datagrams);
  if (tcp) openings.push({slot, tick});
  note_port(flow, slot);
  count_flow(flow, true);
  bump(options.counters->flows_created);
  return send_opening(item, flow, egress);
}

// A new flow goes over its candidate's link, while that lives; an established one over its endpoint's own.
// Where the one is among the others, which are equal, it goes where it will stay.
Egress Forwarder::Impl::opening_egress(const FlowEntry& flow) const {
  const std::uint32_t service = ends.service(flow.service_hint).index;
  const auto link = candidate_link(*table, ends, service, flow.endpoint_hint, links);
  const KnownEndpoint& endpoint = ends.endpoint(flow.endpoint_hint);
  return link && !endpoint.goes_over(*link) ? table->over_link(*link) : endpoint.egress_of(flow.snat_port);
}

void Forwarder::Impl::send_opening(Forwarding& item, const FlowEntry& flow, const Egress& egress) {
  if (!fits(*item.packet, egress)) return drop_too_long(item, egress);
  return send_to_endpoint(item, flow, egress);
}

// A SYN on the tuple of a flow we have.
void Forwarder::Impl::syn_again(Forwarding& item, std::uint32_t slot, const Lookup& lookup,
                                const FlowKey& key, Instant now) {
  const Packet& packet = *item.packet;
  FlowEntry& flow = flows.entry(slot);
  const std::uint32_t sequence = tcp_sequence(packet);
  const FlowPhase phase = flow.phase.load(std::memory_order_relaxed);
  // RFC 9293 section 3.10.7.4 (TIME-WAIT): a SYN beyond the old connection's sequence opens a new one. Where
  // the old one is over altogether any SYN does: the endpoint sees it from another port.
  const bool over = phase == FlowPhase::closed || phase == FlowPhase::reset;
  const bool beyond = phase == FlowPhase::closing && sequence_after(sequence, flow.next_to_endpoint);
  if (over || beyond || (phase == FlowPhase::opening && doomed(flow))) {
    if (!l4_checksum_right(packet)) return drop(item, DropReason::bad_l4_checksum);
    forget(slot, flow_tick(now));
    return open_flow(item, lookup, key, now);
  }
  if (phase == FlowPhase::opening) {
    PathTimes::never(flow);  // Karn: nobody knows which of the SYNs will be answered
    const std::uint32_t next = sequence + packet.payload_length() + 1;
    if (next != flow.next_to_endpoint) {  // the client gave up and tries anew from the same port
      flow.next_to_endpoint = next;
      flow.repeats = 0;
    } else {
      ++flow.repeats;
    }
    const KnownEndpoint& endpoint = ends.endpoint(flow.endpoint_hint);
    const bool lost = endpoint.condition != KnownEndpoint::Condition::live || !endpoint.accepts_new;
    if (lost || flow.repeats >= kSynRepeats) {
      const auto next_place =
          choose_endpoint(*table, ends, ends.service(lookup.service).index,
                          client_key(key.client, key.client_port, ends.service(lookup.service).id), links,
                          flow.endpoint_hint);
      if (next_place) move_flow(slot, *next_place, now);
    }
  }
  const KnownEndpoint& endpoint = ends.endpoint(flow.endpoint_hint);
  if (endpoint.condition != KnownEndpoint::Condition::live) {
    if (!doomed(flow)) return drop(item, DropReason::no_live_link);
    begin_reset(flow, now);
    return answer_reset(item);
  }
  flow.last_seen = flow_tick(now);
  if (phase == FlowPhase::opening) return send_opening(item, flow, opening_egress(flow));
  const Egress& egress = endpoint.egress_of(flow.snat_port);
  if (!fits(packet, egress)) return drop_too_long(item, egress);
  return send_to_endpoint(item, flow, egress);
}

bool Forwarder::Impl::is_half_open(const OpenedFlows::Opened& opened) const {
  const FlowEntry& flow = flows.entry(opened.slot);
  const FlowPhase phase = flow.phase.load(std::memory_order_relaxed);
  return (phase == FlowPhase::opening || phase == FlowPhase::answered) && flow.since == opened.at;
}

// So that the oldest one remembered is half-open by the time that there is no room.
void Forwarder::Impl::trim_openings() {
  for (int looks = 0; looks < kLooksForRoom && openings.size() > 0; ++looks) {
    if (is_half_open(openings.at(0))) return;
    openings.pop();
  }
}

// The flow that waits longest for its handshake makes room: a flood of SYNs then takes from itself, and who
// means it has as long as the flood needs to fill what others left.
bool Forwarder::Impl::give_up_half_open(FlowTick tick, Place endpoint) {
  trim_openings();
  const std::size_t looks = std::min<std::size_t>(openings.size(), kLooksForRoom);
  for (std::size_t i = 0; i < looks; ++i) {
    const OpenedFlows::Opened& opened = openings.at(i);
    if (!is_half_open(opened)) continue;
    if (endpoint != kNoPlace && flows.entry(opened.slot).endpoint_hint != endpoint) continue;
    forget(opened.slot, tick);
    bump(options.counters->half_open_given_up);
    return true;
  }
  return false;
}

// An unanswered flow goes to another endpoint, where it gets another port. Where that one has none it stays.
void Forwarder::Impl::move_flow(std::uint32_t slot, Place to, Instant now) {
  FlowEntry& flow = flows.entry(slot);
  const FlowTick tick = flow_tick(now);
  const std::uint64_t key = client_key(flow.client, flow.client_port, ServiceId{flow.service});
  const std::optional<Port> port = take_port(key, to, flow.protocol, tick);
  if (!port) return;
  give_port(flow, tick);
  count_flow(flow, false);
  flows.unpublish(slot);
  flow.endpoint = ends.endpoint(to).id.value;
  flow.endpoint_hint = to;
  flow.snat_address = port->address;
  flow.snat_port = port->port;
  flow.repeats = 0;
  flows.publish(slot, FlowPhase::opening);
  note_port(flow, slot);
  count_flow(flow, true);
}

// A client keeps to one SNAT address while that has ports.
std::optional<Forwarder::Impl::Port> Forwarder::Impl::take_port(std::uint64_t key, Place endpoint,
                                                                std::uint8_t protocol, FlowTick tick) {
  const std::span<const std::uint8_t> choices = ends.snat_choices();
  const auto first = static_cast<std::size_t>((key >> 32U) * choices.size() >> 32U);
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const std::uint8_t address =
        choices[(first + i) < choices.size() ? first + i : first + i - choices.size()];
    const auto taken = ends.line(endpoint, address, protocol).take(rests, tick);
    if (!taken) continue;
    if (taken->early) bump(options.counters->snat_reused_early);
    return Port{address, taken->port};
  }
  return std::nullopt;
}

void Forwarder::Impl::give_port(const FlowEntry& flow, FlowTick tick) {
  ++moves;
  ends.line(flow.endpoint_hint, flow.snat_address, flow.protocol).give(rests, flow.snat_port, tick);
}

// Everything that counts flows by what they refer to.
void Forwarder::Impl::count_flow(const FlowEntry& flow, bool begins) {
  KnownEndpoint& endpoint = ends.endpoint(flow.endpoint_hint);
  const std::uint32_t step = begins ? 1U : ~0U;
  endpoint.flows += step;
  ends.service(flow.service_hint).flows += step;
  ends.snat_refer(flow.snat_address, begins);
  if (begins) {
    share.add(flow.client);
  } else {
    share.remove(flow.client);
  }
  options.counters->flows.store(flows.size(), std::memory_order_relaxed);
  if (endpoint.slot == nullptr) return;
  if (begins) bump(endpoint.slot->flows_created);
  bump(endpoint.slot->flows, begins ? 1 : ~std::uint64_t{0});
}

void Forwarder::Impl::forget(std::uint32_t slot, FlowTick tick) {
  FlowEntry& flow = flows.entry(slot);
  give_port(flow, tick);
  flows.erase(slot);
  count_flow(flow, false);
}

// So that its replies find it.
void Forwarder::Impl::note_port(const FlowEntry& flow, std::uint32_t slot) {
  ++moves;
  ends.line(flow.endpoint_hint, flow.snat_address, flow.protocol).note(flow.snat_port, slot);
}

}  // namespace perigee
