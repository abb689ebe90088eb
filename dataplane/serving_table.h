// The table as the packet path reads it: immutable, with an index for every question a packet asks. Built by
// the control thread; the worker only reads it. A table that names what this data plane does not have is
// refused whole, with the reason.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "contract/error.h"
#include "contract/table.h"
#include "contract/units.h"
#include "dataplane/bootstrap.h"
#include "dataplane/egress.h"
#include "dataplane/index_hash.h"

namespace perigee {

// A link in host order, with its port as an index.
struct LinkInfo {
  std::uint16_t port = 0;
  std::uint16_t vlan = 0;
  std::uint16_t mtu = 0;
  std::uint16_t probe_port = 0;  // of our reflector and of the peer's
  std::uint32_t local = 0;
  std::uint32_t next_hop = 0;
  std::uint32_t peer = 0;
  std::uint64_t same_peer = 0;  // mask of the links to the same PoP, this one included
  MacAddress next_hop_mac;      // pin, or none
};

struct InterfaceInfo {
  std::uint16_t port = 0;
  std::uint16_t vlan = 0;
  std::uint16_t mtu = 0;
  bool is_host = false;
  std::uint32_t local = 0;
  std::uint32_t mask = 0;     // of the on-link prefix
  std::uint32_t gateway = 0;  // 0: none
  MacAddress gateway_mac;     // pin, or none

  [[nodiscard]] bool on_link(std::uint32_t address) const { return ((address ^ local) & mask) == 0; }
  // Of an on-link address: the prefix's own or its broadcast address (a /31 and a /32 have none, RFC 3021).
  [[nodiscard]] bool is_broadcast(std::uint32_t address) const {
    return ~mask > 1 && ((address & ~mask) == 0 || (address | mask) == 0xffffffffU);
  }
};

struct EndpointInfo {
  std::uint32_t address = 0;
  std::uint16_t port = 0;
};

// An address to announce by gratuitous ARP on a segment at start and link up.
struct Announcement {
  Segment segment;
  std::uint32_t address = 0;
};

class ServingTable {
 public:
  // `table` passed table::validate(). Refused: an unknown port; a link on a port whose role is not `link`, a
  // host interface on one that is not `host`, another interface on one that is `host`; two records on one
  // (port, VLAN); an address that is not IPv4; one address with two owners; a next hop of an interface that
  // is not on-link.
  static Result<std::unique_ptr<const ServingTable>> build(table::Table table,
                                                           std::span<const PortSetting> ports);

  [[nodiscard]] const table::Table& table() const { return table_; }

  [[nodiscard]] Segment segment(std::uint16_t port, std::uint16_t vlan) const {
    return vlan == 0 && port < untagged_.size() ? untagged_[port]
                                                : segment_of(by_tag_.find(tag_key(port, vlan)));
  }
  [[nodiscard]] const LinkInfo& link(std::uint32_t index) const { return links_[index]; }
  [[nodiscard]] const InterfaceInfo& interface(std::uint32_t index) const { return interfaces_[index]; }
  [[nodiscard]] const EndpointInfo& endpoint(std::uint32_t index) const { return endpoints_[index]; }
  [[nodiscard]] std::uint32_t snat_address(std::uint32_t index) const { return snat_[index]; }

  // Port index, VLAN, own address and MTU of a segment that is not none.
  [[nodiscard]] std::uint16_t port_of(Segment segment) const;
  [[nodiscard]] std::uint16_t vlan_of(Segment segment) const;
  [[nodiscard]] std::uint32_t address_of(Segment segment) const;
  [[nodiscard]] std::uint16_t mtu_of(Segment segment) const;
  // Of all segments.
  [[nodiscard]] std::uint16_t smallest_mtu() const;
  // The smaller MTU of the two: what both directions of a connection between them can carry.
  [[nodiscard]] std::uint16_t path_mtu(Segment a, Segment b) const;

  // The service that claims (destination, port, protocol): of this port, of every port (0), or of the whole
  // address (protocol 0); kNone. Ask with port 0 for what has no ports.
  [[nodiscard]] std::uint32_t service(std::uint32_t destination, std::uint16_t port,
                                      std::uint8_t protocol) const;
  [[nodiscard]] std::uint32_t service_of_port(std::uint32_t destination, std::uint16_t port,
                                              std::uint8_t protocol) const {
    return services_.find(service_key(destination, port, protocol));
  }
  // Its VIP is this host's (`deliver: host`).
  [[nodiscard]] bool is_served_by_host(std::uint32_t service) const {
    return table_.services[service].deliver == static_cast<std::uint8_t>(table::Deliver::host);
  }
  [[nodiscard]] bool is_vip(std::uint32_t address) const { return role(address) == AddressRole::vip; }
  // An address of one of our links or interfaces.
  [[nodiscard]] bool is_own(std::uint32_t address) const;
  // Index of a SNAT address, kNone.
  [[nodiscard]] std::uint32_t snat_index(std::uint32_t address) const;
  // What an address is to us; one address has one role.
  enum class AddressRole : std::uint8_t { other, link, interface, vip, snat };
  [[nodiscard]] AddressRole role(std::uint32_t address) const;
  // False: its role is `other`, without a search. Asked about every packet's source, of which there are many.
  [[nodiscard]] bool may_have_role(std::uint32_t address) const {
    const std::uint64_t bit = filter_bit(address);
    return (filter_[bit / 64] >> bit % 64 & 1U) != 0;
  }
  // Index of the link or interface that has this address, for those two roles.
  [[nodiscard]] Segment owner(std::uint32_t address) const;

  [[nodiscard]] std::uint32_t endpoint_index(EndpointId id) const { return endpoint_ids_.find(id.value); }
  [[nodiscard]] std::uint32_t link_index(LinkId id) const { return link_ids_.find(id.value); }
  [[nodiscard]] std::uint32_t service_index(ServiceId id) const { return service_ids_.find(id.value); }

  // Longest match, or null. Besides the table's prefixes, each interface's on-link prefix is known, and the
  // default route over the first interface toward clients that has a gateway, unless the table says
  // otherwise.
  [[nodiscard]] const table::TransitPrefix* route(std::uint32_t destination) const;
  // The ordered links of a route or an endpoint; empty when it goes over an interface.
  [[nodiscard]] std::span<const std::uint32_t> links_of(const table::TransitPrefix& prefix) const;
  [[nodiscard]] std::span<const std::uint32_t> links_of(const table::Endpoint& endpoint) const;
  [[nodiscard]] std::span<const table::Tier> tiers_of(const table::Service& service) const;
  [[nodiscard]] std::span<const table::Candidate> candidates_of(const table::Tier& tier) const;

  [[nodiscard]] Egress over_link(std::uint32_t link) const;
  // To `destination` out of an interface: itself when on-link, else the gateway; nothing when there is none.
  [[nodiscard]] std::optional<Egress> over_interface(std::uint32_t interface,
                                                     std::uint32_t destination) const;
  // Back to `destination` out of the segment a packet of its came in on: own answers leave this way.
  [[nodiscard]] std::optional<Egress> back_over(Segment segment, std::uint32_t destination) const;

  // What ARP answers for on each interface: its own address, SNAT addresses inside its on-link prefix, and
  // VIPs unless it is the host's.
  [[nodiscard]] std::span<const Announcement> announcements() const { return announcements_; }

 private:
  friend class ServingTableBuilder;
  ServingTable() = default;

  static std::uint64_t tag_key(std::uint16_t port, std::uint16_t vlan) {
    return static_cast<std::uint64_t>(port) << 16U | vlan;
  }
  static std::uint64_t service_key(std::uint32_t destination, std::uint16_t port, std::uint8_t protocol) {
    return static_cast<std::uint64_t>(destination) << 32U | static_cast<std::uint32_t>(port) << 8U | protocol;
  }
  static Segment segment_of(std::uint32_t packed);
  static std::uint64_t filter_bit(std::uint32_t address) { return mix(address) % kFilterBits; }

  table::Table table_;
  std::vector<LinkInfo> links_;
  std::vector<InterfaceInfo> interfaces_;
  std::vector<EndpointInfo> endpoints_;
  std::vector<std::uint32_t> snat_;
  std::vector<Announcement> announcements_;
  std::vector<Segment> untagged_;  // by port: what by_tag_ says of VLAN 0
  // by_tag_ and by_address_ hold a kind or role above 16 bits of index (every limit of table.h fits).
  IndexHash by_tag_, by_address_, services_, endpoint_ids_, link_ids_, service_ids_;
  // Bits of the addresses in by_address_: a few thousand at most (table.h).
  static constexpr std::uint64_t kFilterBits = 1U << 14U;
  std::array<std::uint64_t, kFilterBits / 64> filter_{};
  // The route table as disjoint ranges: range i starts at route_starts_[i] and ends before the next one.
  // route_of_octet_[o]: the range that address o.0.0.0 is in; a lookup searches from there on.
  std::array<std::uint32_t, 257> route_of_octet_{};
  std::vector<std::uint32_t> route_starts_;
  std::vector<std::uint32_t> route_prefixes_;   // per range: index into prefixes_, or kNone
  std::vector<table::TransitPrefix> prefixes_;  // of the table, then the implied ones
};

inline Segment ServingTable::segment_of(std::uint32_t packed) {
  if (packed == table::kNone) return {};
  return {static_cast<Segment::Kind>(packed >> 16U), static_cast<std::uint16_t>(packed)};
}

inline std::uint32_t ServingTable::service(std::uint32_t destination, std::uint16_t port,
                                           std::uint8_t protocol) const {
  // One port, then every port of the protocol, then the whole address; validate() lets no two overlap.
  const std::uint32_t found = services_.find(service_key(destination, port, protocol));
  if (found != table::kNone) [[likely]]
    return found;
  const std::uint32_t any_port = services_.find(service_key(destination, 0, protocol));
  return any_port != table::kNone ? any_port : services_.find(service_key(destination, 0, 0));
}

inline ServingTable::AddressRole ServingTable::role(std::uint32_t address) const {
  const std::uint32_t packed = by_address_.find(address);
  return packed == table::kNone ? AddressRole::other : static_cast<AddressRole>(packed >> 16U);
}

inline const table::TransitPrefix* ServingTable::route(std::uint32_t destination) const {
  std::uint32_t range = route_of_octet_[destination >> 24U];
  std::uint32_t beyond = route_of_octet_[(destination >> 24U) + 1] + 1;
  while (beyond - range > 1) {  // range starts at or before the destination, `beyond` after it or not at all
    const std::uint32_t middle = range + (beyond - range) / 2;
    (route_starts_[middle] <= destination ? range : beyond) = middle;
  }
  const std::uint32_t prefix = route_prefixes_[range];
  return prefix == table::kNone ? nullptr : &prefixes_[prefix];
}

inline std::optional<Egress> ServingTable::over_interface(std::uint32_t interface,
                                                          std::uint32_t destination) const {
  const InterfaceInfo& out = interfaces_[interface];
  const std::uint32_t next_hop = out.on_link(destination) ? destination : out.gateway;
  if (next_hop == 0) return std::nullopt;
  return Egress{{Segment::Kind::interface, static_cast<std::uint16_t>(interface)}, next_hop};
}

}  // namespace perigee
