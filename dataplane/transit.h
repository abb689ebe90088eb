// Transit: a packet that no VIP or SNAT address of ours claims goes on by `prefix -> ordered links, or a
// local interface` (RFC 1812 section 5.2). Also the last hop to the host for VIPs it serves.
#pragma once

#include <cstdint>
#include <optional>

#include "contract/drop_reason.h"
#include "dataplane/egress.h"
#include "dataplane/icmp.h"
#include "dataplane/packet.h"
#include "dataplane/serving_table.h"

namespace perigee {

struct TransitResult {
  bool send = false;
  Egress egress;                             // when send
  DropReason reason = DropReason::no_route;  // when not
  std::optional<IcmpError> error;            // the answer RFC 1812 asks for; the caller limits its rate
};

// Where a packet for `destination` that came in on `in` goes. Never back to the PoP it came from, nor back to
// a gateway of the interface it came in on: another choice is taken, or it is a drop (no_live_link,
// no_route). Equal links are shared by `flow`, two octets that all packets of one flow have in common; what
// comes from the host is not: requests are priced by the link they leave by, so all to one PoP take the
// first.
struct RouteChoice {
  std::optional<Egress> egress;
  DropReason reason = DropReason::no_route;  // when there is none
};
[[nodiscard]] inline RouteChoice choose_route(std::uint32_t destination, std::uint16_t flow, Segment in,
                                              const ServingTable& table, LinkView view) {
  const table::TransitPrefix* prefix = table.route(destination);
  if (prefix == nullptr) return {};
  if (prefix->interface == table::kNone) {
    // What a PoP sent us is not sent back to it: it had a reason, and its table would send it here again.
    const std::uint64_t except = in.is_link() ? table.link(in.index).same_peer : 0;
    const bool from_host = in.is_interface() && table.interface(in.index).is_host;
    const std::uint32_t equal = from_host ? 0 : prefix->equal_links;
    const std::optional<std::uint32_t> link =
        shared_live_link(table.links_of(*prefix), equal, place_among(equal, flow), view, except);
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

// Decides, and when it is to be sent decrements the TTL and updates the header checksum in place.
[[nodiscard]] TransitResult forward_transit(Packet& packet, const ServingTable& table, LinkView view);

// The same for a packet to a VIP of a `deliver: host` service (index): to the interface's gateway, or else
// straight to the VIP, which the host answers ARP for.
[[nodiscard]] TransitResult deliver_to_host(Packet& packet, const ServingTable& table, std::uint32_t service);

// Decrements the TTL (which is at least 1) with an incremental checksum (RFC 1624).
void decrement_ttl(Packet& packet);

}  // namespace perigee
