#include "dataplane/transit.h"

#include "contract/rendezvous.h"
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

// The same for every packet of a flow in one direction. Of a datagram in fragments only the first has ports,
// so none goes by them.
std::uint16_t flow_octets(const Packet& packet) {
  const bool ports = !packet.fragment && (packet.protocol == kTcp || packet.protocol == kUdp);
  const std::uint64_t tuple =
      std::uint64_t{packet.source} << 32U ^ packet.destination ^
      (ports ? std::uint64_t{packet.source_port} << 16U ^ packet.destination_port : 0);
  return static_cast<std::uint16_t>(scramble(tuple));
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

TransitResult forward_transit(Packet& packet, const ServingTable& table, LinkView view) {
  if (is_martian(packet.destination)) return refused(DropReason::no_route, std::nullopt);
  // RFC 1812 section 5.3.1: what would leave with TTL 0 is not forwarded.
  if (packet.ttl <= 1) return refused(DropReason::ttl_exceeded, kTtlExpired);
  const RouteChoice choice = choose_route(packet.destination, flow_octets(packet), packet.in, table, view);
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
