// ICMP errors about packets of our flows: what a translator has to do (RFC 5508 section 4.2). The quoted
// packet becomes the one its sender knows, so that it finds its connection.
#include <optional>

#include "dataplane/checksum.h"
#include "dataplane/flow_tcp.h"
#include "dataplane/forward_state.h"
#include "dataplane/icmp.h"
#include "dataplane/octets.h"
#include "dataplane/transit.h"

namespace perigee {

namespace {

// RFC 1122 section 4.2.3.9: for TCP only these say something definite. A net or host unreachable passes by
// itself while links change, and a client must not learn of it.
bool passes(const Packet& packet, std::uint8_t protocol) {
  switch (packet.icmp_type) {
    case kUnreachable:
      return protocol != kTcp || packet.icmp_code == kProtocolUnreachable ||
             packet.icmp_code == kPortUnreachable || packet.icmp_code == kFragmentationNeeded;
    case kTimeExceeded:
    case kParameterProblem:
      return true;
    default:
      return false;  // source quench (RFC 6633), redirect
  }
}

// RFC 5927 section 4.1: the quoted sequence must be of something that was sent, or anybody could speak.
bool was_sent(const Packet& packet, const Quoted& quoted, std::uint32_t next) {
  if (quoted.protocol != kTcp) return true;
  constexpr std::uint32_t kMaxInFlight = 1U << 30U;  // the largest window (RFC 7323 section 2.2)
  return next - load_be32(packet.frame + quoted.l4 + 4) <= kMaxInFlight;
}

// The quoted packet as its sender sent it: its IPv4 header and as much as there is of its checksum.
void rewrite_quoted(Packet& packet, const Quoted& quoted, const TcpPath& path) {
  std::uint8_t* ip = packet.frame + quoted.l3;
  std::uint8_t* l4 = packet.frame + quoted.l4;
  ChecksumDelta delta;
  delta.address(quoted.source, path.source);
  delta.address(quoted.destination, path.destination);
  store_be16(ip + 10, delta.apply(load_be16(ip + 10)));
  store_be32(ip + 12, path.source);
  store_be32(ip + 16, path.destination);
  delta.word(quoted.source_port, path.source_port);
  delta.word(quoted.destination_port, path.destination_port);
  store_be16(l4, path.source_port);
  store_be16(l4 + 2, path.destination_port);
  const std::uint32_t at = quoted.l4 + (quoted.protocol == kTcp ? 16U : 6U);
  if (at + 2 > packet.length) return;
  const std::uint16_t checksum = load_be16(packet.frame + at);
  if (quoted.protocol == kUdp && checksum == 0) return;
  store_be16(packet.frame + at, delta.apply(checksum));
}

// The error itself goes from `source` to `destination`.
void rewrite_error(Packet& packet, std::uint32_t source, std::uint32_t destination) {
  std::uint8_t* ip = packet.ip();
  ChecksumDelta delta;
  delta.address(packet.source, source);
  delta.address(packet.destination, destination);
  const std::uint16_t ttl_word = load_be16(ip + 8);
  delta.word(ttl_word, static_cast<std::uint16_t>(ttl_word - 0x100U));
  ip[8] = packet.ttl = static_cast<std::uint8_t>(packet.ttl - 1);
  store_be16(ip + 10, delta.apply(load_be16(ip + 10)));
  store_be32(ip + 12, packet.source = source);
  store_be32(ip + 16, packet.destination = destination);
  // The message came with a right checksum (parse() looked), so a new one hides nothing.
  std::uint8_t* icmp = packet.transport();
  store_be16(icmp + 2, 0);
  store_be16(icmp + 2, checksum_finish(checksum_add({icmp, packet.length - packet.l4})));
}

}  // namespace

void Forwarder::Impl::translate_error(Forwarding& item) {
  const Packet& packet = *item.packet;
  if (!is_icmp_error(packet)) return drop(item, DropReason::icmp_no_flow);
  const std::optional<Quoted> quoted = parse_quoted(packet);
  if (!quoted) return drop(item, DropReason::icmp_malformed);
  if (quoted->protocol != kTcp && quoted->protocol != kUdp) return drop(item, DropReason::icmp_no_flow);
  if (quoted->source != packet.destination) return drop(item, DropReason::icmp_no_flow);

  // About a packet of ours to an endpoint, or to a client?
  const TcpPath path = {quoted->source, quoted->destination, quoted->source_port, quoted->destination_port};
  const std::uint32_t service = table->service(path.source, path.source_port, quoted->protocol);
  const bool to_client = service == table::kNone;
  std::uint32_t slot = kNoSlot;
  if (to_client) {
    slot = ends.replies().find_flow(path, quoted->protocol);
  } else if (ends.service_of_index(service) != kNoPlace) {
    const FlowKey key = {client_words(path.destination), table->table().services[service].id,
                         path.destination_port};
    slot = flows.find(flows.hash(key), key);
  }
  if (slot == kNoSlot) return drop(item, DropReason::icmp_no_flow);
  const FlowEntry& flow = flows.entry(slot);
  if (flow.phase.load(std::memory_order_relaxed) == FlowPhase::reset)
    return drop(item, DropReason::flow_reset);
  if (!was_sent(packet, *quoted, to_client ? flow.next_to_endpoint : flow.next_to_client)) {
    return drop(item, DropReason::icmp_no_flow);
  }
  if (!passes(packet, quoted->protocol)) return drop(item, DropReason::icmp_soft_error);
  return to_client ? error_to_client(item, *quoted, flow) : error_to_endpoint(item, *quoted, flow);
}

void Forwarder::Impl::error_to_client(Forwarding& item, const Quoted& quoted, const FlowEntry& flow) {
  Packet& packet = *item.packet;
  const std::uint32_t client = client_v4(flow);
  const KnownService& known = ends.service(flow.service_hint);
  const RouteChoice route = choose_route(client, flow.snat_port, Segment{}, *table, links);
  if (!route.egress) return drop(item, route.reason);
  if (!fits(packet, *route.egress)) return drop_too_long(item, *route.egress);
  rewrite_quoted(packet, quoted, {client, known.vip, flow.client_port, known.port});
  // From the VIP, whoever spoke: addresses inside the PoPs mean nothing to a client.
  rewrite_error(packet, known.vip, client);
  return send(item, *route.egress);
}

void Forwarder::Impl::error_to_endpoint(Forwarding& item, const Quoted& quoted, const FlowEntry& flow) {
  Packet& packet = *item.packet;
  const KnownEndpoint& endpoint = ends.endpoint(flow.endpoint_hint);
  if (endpoint.condition != KnownEndpoint::Condition::live) return drop(item, DropReason::no_live_link);
  const Egress& egress = endpoint.egress_of(flow.snat_port);
  if (!fits(packet, egress)) return drop_too_long(item, egress);
  const std::uint32_t snat = ends.snat_address(flow.snat_address);
  rewrite_quoted(packet, quoted, {endpoint.address, snat, endpoint.port, flow.snat_port});
  rewrite_error(packet, snat, endpoint.address);
  return send(item, egress);
}

}  // namespace perigee
