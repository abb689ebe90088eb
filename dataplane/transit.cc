#include "dataplane/transit.h"

#include "dataplane/checksum.h"
#include "dataplane/octets.h"

namespace perigee {

namespace {

constexpr IcmpError kTtlExpired = {kTimeExceeded, 0, 0};
constexpr IcmpError kNoWay = {kUnreachable, kNetUnreachable, 0};

TransitResult refused(DropReason reason, std::optional<IcmpError> error) {
  return {false, {}, reason, error};
}

// The last two checks of a packet whose way is known, then the TTL.
TransitResult send_over(Packet& packet, const Egress& egress, const ServingTable& table) {
  const std::uint16_t mtu = table.mtu_of(egress.segment);
  if (packet.ip_total_length > mtu) {
    // RFC 1191 section 4. We do not fragment: without DF the packet is lost without a word, as the sender
    // would not know what to do with one.
    if (!packet.dont_fragment) return refused(DropReason::mtu_exceeded, std::nullopt);
    return refused(DropReason::mtu_exceeded, IcmpError{kUnreachable, kFragmentationNeeded, mtu});
  }
  decrement_ttl(packet);
  return {true, egress, {}, std::nullopt};
}

}  // namespace

void decrement_ttl(Packet& packet) {
  std::uint8_t* ip = packet.ip();
  const std::uint16_t before = load_be16(ip + 8);
  ip[8] = packet.ttl = static_cast<std::uint8_t>(packet.ttl - 1);
  ChecksumDelta delta;
  delta.word(before, load_be16(ip + 8));
  store_be16(ip + 10, delta.apply(load_be16(ip + 10)));
}

RouteChoice choose_route(std::uint32_t destination, Segment in, const ServingTable& table, LinkView view) {
  const table::TransitPrefix* prefix = table.route(destination);
  if (prefix == nullptr) return {};
  if (prefix->interface == table::kNone) {
    // What a PoP sent us is not sent back to it: it had a reason, and its table would send it here again.
    const std::uint64_t except = in.is_link() ? table.link(in.index).same_peer : 0;
    const std::optional<std::uint32_t> link = first_live_link(table.links_of(*prefix), view, except);
    if (!link) return {std::nullopt, DropReason::no_live_link};
    return {table.over_link(*link), {}};
  }
  const InterfaceInfo& interface = table.interface(prefix->interface);
  if (interface.on_link(destination) && interface.is_broadcast(destination)) return {};  // RFC 2644
  const std::optional<Egress> egress = table.over_interface(prefix->interface, destination);
  // Its gateway sent it here.
  if (egress && egress->segment == in && egress->next_hop != destination) return {};
  return {egress, DropReason::no_route};
}

TransitResult forward_transit(Packet& packet, const ServingTable& table, LinkView view) {
  if (is_martian(packet.destination)) return refused(DropReason::no_route, std::nullopt);
  // RFC 1812 section 5.3.1: what would leave with TTL 0 is not forwarded.
  if (packet.ttl <= 1) return refused(DropReason::ttl_exceeded, kTtlExpired);
  const RouteChoice choice = choose_route(packet.destination, packet.in, table, view);
  if (!choice.egress) return refused(choice.reason, kNoWay);
  return send_over(packet, *choice.egress, table);
}

TransitResult deliver_to_host(Packet& packet, const ServingTable& table, std::uint32_t service) {
  const std::uint32_t interface = table.table().services[service].interface;
  const Segment segment = {Segment::Kind::interface, static_cast<std::uint16_t>(interface)};
  if (packet.in == segment) return refused(DropReason::no_route, std::nullopt);  // the host should have it
  if (packet.ttl <= 1) return refused(DropReason::ttl_exceeded, kTtlExpired);
  const std::optional<Egress> egress = table.over_interface(interface, packet.destination);
  return send_over(packet, egress.value_or(Egress{segment, packet.destination}), table);
}

}  // namespace perigee
