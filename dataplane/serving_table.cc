#include "dataplane/serving_table.h"

#include <algorithm>

namespace perigee {

std::uint16_t ServingTable::port_of(Segment segment) const {
  return segment.is_link() ? links_[segment.index].port : interfaces_[segment.index].port;
}

std::uint16_t ServingTable::vlan_of(Segment segment) const {
  return segment.is_link() ? links_[segment.index].vlan : interfaces_[segment.index].vlan;
}

std::uint32_t ServingTable::address_of(Segment segment) const {
  return segment.is_link() ? links_[segment.index].local : interfaces_[segment.index].local;
}

std::uint16_t ServingTable::mtu_of(Segment segment) const {
  return segment.is_link() ? links_[segment.index].mtu : interfaces_[segment.index].mtu;
}

std::uint16_t ServingTable::smallest_mtu() const {
  std::uint16_t smallest = 0xffff;
  for (const LinkInfo& link : links_) smallest = std::min(smallest, link.mtu);
  for (const InterfaceInfo& interface : interfaces_) smallest = std::min(smallest, interface.mtu);
  return smallest;
}

std::uint16_t ServingTable::path_mtu(Segment a, Segment b) const { return std::min(mtu_of(a), mtu_of(b)); }

bool ServingTable::is_own(std::uint32_t address) const {
  const AddressRole found = role(address);
  return found == AddressRole::link || found == AddressRole::interface;
}

std::uint32_t ServingTable::snat_index(std::uint32_t address) const {
  const std::uint32_t packed = by_address_.find(address);
  if (packed >> 16U != static_cast<std::uint32_t>(AddressRole::snat)) return table::kNone;
  return packed & 0xffffU;
}

Segment ServingTable::owner(std::uint32_t address) const {
  const std::uint32_t packed = by_address_.find(address);
  if (packed == table::kNone) return {};
  switch (static_cast<AddressRole>(packed >> 16U)) {
    case AddressRole::link:
      return {Segment::Kind::link, static_cast<std::uint16_t>(packed)};
    case AddressRole::interface:
      return {Segment::Kind::interface, static_cast<std::uint16_t>(packed)};
    default:
      return {};
  }
}

std::span<const std::uint32_t> ServingTable::links_of(const table::TransitPrefix& prefix) const {
  return std::span(table_.link_order).subspan(prefix.first_link, prefix.link_count);
}

std::span<const std::uint32_t> ServingTable::links_of(const table::Endpoint& endpoint) const {
  return std::span(table_.link_order).subspan(endpoint.first_link, endpoint.link_count);
}

std::span<const table::Tier> ServingTable::tiers_of(const table::Service& service) const {
  return std::span(table_.tiers).subspan(service.first_tier, service.tier_count);
}

std::span<const table::Candidate> ServingTable::candidates_of(const table::Tier& tier) const {
  return std::span(table_.candidates).subspan(tier.first_candidate, tier.candidate_count);
}

Egress ServingTable::over_link(std::uint32_t link) const {
  return {{Segment::Kind::link, static_cast<std::uint16_t>(link)}, links_[link].next_hop};
}

std::optional<Egress> ServingTable::back_over(Segment segment, std::uint32_t destination) const {
  if (segment.none()) return std::nullopt;
  if (segment.is_link()) return over_link(segment.index);
  return over_interface(segment.index, destination);
}

}  // namespace perigee
