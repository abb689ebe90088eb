// What a packet is to us: the first step of its journey. Pure: the worker switches on the answer.
#pragma once

#include <cstdint>

#include "contract/drop_reason.h"
#include "contract/table.h"
#include "dataplane/packet.h"
#include "dataplane/serving_table.h"

namespace perigee {

enum class Journey : std::uint8_t {
  echo,         // local: ICMP echo request to an address of ours: make_echo_reply()
  stamp_test,   // local: to the reflector of the link it came in on, from its peer
  stamp_reply,  // local: to a session of the link it came in on; the prober judges it
  nat,          // to a VIP: forward. Also an ICMP error about a packet that left the VIP
  host,         // the same where this host's kernel serves it: deliver_to_host(service)
  snat_return,  // to a SNAT address: forward
  transit,      // everything else: forward_transit()
  refuse,       // to a VIP's address, but no service has this port: RST or port unreachable, port_unsupported
  drop          // `reason`
};

struct Classified {
  Journey journey = Journey::drop;
  DropReason reason = DropReason::no_route;  // for drop
  std::uint32_t service = table::kNone;      // for nat and host

  friend bool operator==(const Classified&, const Classified&) = default;
};

// What is not among the common cases of classify().
[[nodiscard]] Classified classify_rest(const Packet& packet, const ServingTable& table);

// Sets packet.in, unless the caller has, and decides. The packet came from parse() as FrameKind::ipv4 and
// addressed_to() us.
[[nodiscard]] inline Classified classify(Packet& packet, const ServingTable& table) {
  if (packet.in.none()) packet.in = table.segment(packet.port, packet.vlan);
  // Nearly every packet is a client's to a service, or a reply over a link to a SNAT address.
  const bool has_ports = (packet.protocol == kTcp || packet.protocol == kUdp) && !packet.fragment;
  if (has_ports && !packet.in.none() && !table.may_have_role(packet.source)) [[likely]] {
    if (packet.in.is_link() && table.role(packet.destination) == ServingTable::AddressRole::snat) {
      return {Journey::snat_return, {}, table::kNone};
    }
    const std::uint32_t service =
        table.service_of_port(packet.destination, packet.destination_port, packet.protocol);
    if (service != table::kNone)
      return {table.is_served_by_host(service) ? Journey::host : Journey::nat, {}, service};
  }
  return classify_rest(packet, table);
}

}  // namespace perigee
