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

// Sets packet.in, unless the caller has, and decides. The packet came from parse() as FrameKind::ipv4 and
// addressed_to() us.
[[nodiscard]] Classified classify(Packet& packet, const ServingTable& table);

}  // namespace perigee
