#include "dataplane/classify.h"

#include "dataplane/icmp.h"

namespace perigee {

namespace {

using Role = ServingTable::AddressRole;

Classified drop(DropReason reason) { return {Journey::drop, reason, table::kNone}; }
Classified go(Journey journey, std::uint32_t service = table::kNone) { return {journey, {}, service}; }

Classified serve(std::uint32_t service, const ServingTable& table) {
  return go(table.is_served_by_host(service) ? Journey::host : Journey::nat, service);
}

// UDP to an address of a link: STAMP, which is spoken on links only and between its two ends.
Classified classify_stamp(const Packet& packet, const ServingTable& table, const LinkInfo& owner) {
  const bool to_reflector = packet.destination_port == owner.probe_port;
  const bool from_reflector = packet.source_port == owner.probe_port;
  if (!packet.in.is_link()) {
    if (to_reflector) return drop(DropReason::stamp_not_configured);
    return drop(from_reflector ? DropReason::stamp_reply_invalid : DropReason::port_unsupported);
  }
  const LinkInfo& link = table.link(packet.in.index);
  if (to_reflector) {
    const bool ours = packet.destination == link.local && packet.source == link.peer;
    return ours ? go(Journey::stamp_test) : drop(DropReason::stamp_not_configured);
  }
  // One that comes over the wrong link or from the wrong port is an invalid reply, and the prober counts it.
  if (from_reflector || packet.source == link.peer) return go(Journey::stamp_reply);
  return drop(DropReason::port_unsupported);
}

Classified classify_own(const Packet& packet, const ServingTable& table) {
  if (packet.fragment) return drop(DropReason::fragment);
  switch (packet.protocol) {
    case kIcmp:
      return is_echo_request(packet) ? go(Journey::echo) : drop(DropReason::icmp_no_flow);
    case kUdp: {
      const Segment owner = table.owner(packet.destination);
      if (owner.is_link()) return classify_stamp(packet, table, table.link(owner.index));
      return drop(DropReason::port_unsupported);
    }
    case kTcp:
      return drop(DropReason::port_unsupported);
    default:
      return drop(DropReason::protocol_unsupported);
  }
}

// An ICMP error about a packet that left the VIP: whoever serves that port has to know.
Classified classify_vip_error(const Packet& packet, const ServingTable& table) {
  const std::optional<Quoted> quoted = parse_quoted(packet);
  if (!quoted) return drop(DropReason::icmp_malformed);
  const std::uint32_t service = table.service(quoted->source, quoted->source_port, quoted->protocol);
  if (quoted->source != packet.destination || service == table::kNone) return drop(DropReason::icmp_no_flow);
  return serve(service, table);
}

Classified classify_vip(const Packet& packet, const ServingTable& table) {
  if (is_echo_request(packet)) return go(Journey::echo);
  if (is_icmp_error(packet)) return classify_vip_error(packet, table);
  const bool has_ports = (packet.protocol == kTcp || packet.protocol == kUdp) && !packet.fragment;
  // What has no ports only a service of every port can take.
  const std::uint32_t service =
      table.service(packet.destination, has_ports ? packet.destination_port : 0, packet.protocol);
  if (service != table::kNone) return serve(service, table);
  if (has_ports) return go(Journey::refuse);
  if (packet.fragment) return drop(DropReason::fragment);
  return drop(packet.protocol == kIcmp ? DropReason::icmp_no_flow : DropReason::protocol_unsupported);
}

Classified classify_snat(const Packet& packet) {
  if (packet.fragment) return drop(DropReason::fragment);
  switch (packet.protocol) {
    case kTcp:
    case kUdp:
      return go(Journey::snat_return);
    case kIcmp:
      if (is_echo_request(packet)) return go(Journey::echo);
      return is_icmp_error(packet) ? go(Journey::snat_return) : drop(DropReason::icmp_no_flow);
    default:
      return drop(DropReason::protocol_unsupported);
  }
}

// An address of ours as the source is a lie, except that this host's kernel speaks for the VIPs it serves.
bool claims_our_address(const Packet& packet, const ServingTable& table) {
  if (!table.may_have_role(packet.source)) return false;
  const Role role = table.role(packet.source);
  if (role == Role::other) return false;
  return role != Role::vip || !packet.in.is_interface() || !table.interface(packet.in.index).is_host;
}

}  // namespace

Classified classify_rest(const Packet& packet, const ServingTable& table) {
  if (packet.in.none()) return drop(DropReason::unknown_vlan);
  if (claims_our_address(packet, table)) return drop(DropReason::martian_source);
  switch (table.role(packet.destination)) {
    case Role::link:
    case Role::interface:
      return classify_own(packet, table);
    case Role::vip:
      return classify_vip(packet, table);
    case Role::snat:
      return classify_snat(packet);
    case Role::other:
      break;
  }
  return go(Journey::transit);
}

}  // namespace perigee
