// Every way the data plane can lose a packet, with the label it is counted under.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace perigee {

enum class DropReason : std::uint8_t {
  too_short,     // shorter than the headers it claims
  unknown_vlan,  // no link or interface has this VLAN on this port
  not_ipv4,      // an EtherType we do not forward
  arp_malformed,
  arp_not_ours,   // asks for or comes from an address that is not on this segment's list
  bad_ip_header,  // version, header length or total length
  bad_ip_checksum,
  bad_l4_checksum,  // of a packet that would create a flow: often an offload left on at the sender
  bad_l4_header,    // TCP data offset, UDP length
  fragment,         // has no ports to look at
  martian_source,   // source not unicast, or one of our own addresses
  wrong_mac,        // not addressed to this port
  ttl_exceeded,
  no_route,
  no_live_link,         // a route, but none of its links is usable
  neighbor_unresolved,  // the queue of packets awaiting ARP is full or timed out
  port_unsupported,     // a local address, but nothing listens there
  icmp_malformed,
  icmp_soft_error,  // net or host unreachable for a TCP flow (RFC 1122 section 4.2.3.9)
  icmp_no_flow,
  protocol_unsupported,
  stamp_malformed,
  stamp_not_configured,  // a test packet from an address that is no peer
  stamp_rate_limited,
  stamp_reply_invalid,  // see the link's invalid replies
  no_flow,              // not the first packet of a flow we know
  no_candidate,         // no endpoint of the service is usable
  flow_table_full,
  snat_exhausted,
  snat_share,  // this client prefix holds its share of ports
  service_drained,
  refuse_rate_limited,  // would have been answered by RST or ICMP
  flow_reset,           // belongs to a flow that was reset
  mtu_exceeded,
  tx_failed,  // the device did not take it
  no_buffer,
  not_owner_queue_full,  // ring to the owning worker is full
  no_table,
  count_
};

inline constexpr std::size_t kDropReasonCount = static_cast<std::size_t>(DropReason::count_);

inline constexpr std::array<const char*, kDropReasonCount> kDropReasonNames = {"too_short",
                                                                               "unknown_vlan",
                                                                               "not_ipv4",
                                                                               "arp_malformed",
                                                                               "arp_not_ours",
                                                                               "bad_ip_header",
                                                                               "bad_ip_checksum",
                                                                               "bad_l4_checksum",
                                                                               "bad_l4_header",
                                                                               "fragment",
                                                                               "martian_source",
                                                                               "wrong_mac",
                                                                               "ttl_exceeded",
                                                                               "no_route",
                                                                               "no_live_link",
                                                                               "neighbor_unresolved",
                                                                               "port_unsupported",
                                                                               "icmp_malformed",
                                                                               "icmp_soft_error",
                                                                               "icmp_no_flow",
                                                                               "protocol_unsupported",
                                                                               "stamp_malformed",
                                                                               "stamp_not_configured",
                                                                               "stamp_rate_limited",
                                                                               "stamp_reply_invalid",
                                                                               "no_flow",
                                                                               "no_candidate",
                                                                               "flow_table_full",
                                                                               "snat_exhausted",
                                                                               "snat_share",
                                                                               "service_drained",
                                                                               "refuse_rate_limited",
                                                                               "flow_reset",
                                                                               "mtu_exceeded",
                                                                               "tx_failed",
                                                                               "no_buffer",
                                                                               "not_owner_queue_full",
                                                                               "no_table"};

}  // namespace perigee
