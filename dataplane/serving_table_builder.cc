// Building a ServingTable: every reason a table is refused is here.
#include <algorithm>
#include <string>
#include <utility>

#include "dataplane/serving_table.h"

namespace perigee {

namespace {

// What by_address_ holds: the role above the index (16 bits hold every index, see the limits of table.h).
std::uint32_t pack(ServingTable::AddressRole role, std::size_t index) {
  return static_cast<std::uint32_t>(role) << 16U | static_cast<std::uint32_t>(index);
}

std::uint32_t mask_of(std::uint8_t length) { return length == 0 ? 0 : ~std::uint32_t{0} << (32U - length); }

}  // namespace

// Fills a ServingTable step by step; each step returns why the table is refused, or nothing.
class ServingTableBuilder {
 public:
  ServingTableBuilder(table::Table table, std::span<const PortSetting> ports)
      : ports_(ports), result_(new ServingTable()) {
    result_->table_ = std::move(table);
  }

  Result<std::unique_ptr<const ServingTable>> build() {
    using Step = std::string (ServingTableBuilder::*)();
    for (const Step step : {&ServingTableBuilder::add_links, &ServingTableBuilder::add_interfaces,
                            &ServingTableBuilder::add_snat, &ServingTableBuilder::add_services,
                            &ServingTableBuilder::add_endpoints, &ServingTableBuilder::add_routes}) {
      std::string fault = (this->*step)();
      if (!fault.empty()) return Error{"", std::move(fault)};
    }
    announce();
    return std::unique_ptr<const ServingTable>(std::move(result_));
  }

 private:
  using Role = ServingTable::AddressRole;

  [[nodiscard]] const table::Table& table() const { return result_->table_; }

  // The value of an address that must be there, with `fault` set when it is not IPv4 or not one host's.
  static std::uint32_t host(const IpAddress& address, const std::string& what, std::string& fault) {
    if (!address.is_v4()) {
      if (fault.empty()) fault = what + ": " + address.text() + " is not IPv4, and only IPv4 is served";
      return 0;
    }
    if (!address.is_unicast() && fault.empty())
      fault = what + ": " + address.text() + " is no host's address";
    return address.v4_value();
  }

  // Index of the port a record names, which must have one of the two roles.
  std::uint16_t port(const table::Name& name, PortRole role, PortRole other, const std::string& what,
                     std::string& fault) const {
    for (std::size_t i = 0; i < ports_.size(); ++i) {
      if (ports_[i].name != name.view()) continue;
      if (ports_[i].role != role && ports_[i].role != other && fault.empty()) {
        fault = what + ": port " + ports_[i].name + " has role " + name_of(ports_[i].role) + ", not " +
                name_of(role);
      }
      return static_cast<std::uint16_t>(i);
    }
    if (fault.empty()) fault = what + ": no port " + std::string(name.view()) + " on the command line";
    return 0;
  }

  std::string claim_segment(std::uint16_t port, std::uint16_t vlan, Segment::Kind kind, std::size_t index,
                            const std::string& what) {
    const std::uint32_t packed = static_cast<std::uint32_t>(kind) << 16U | static_cast<std::uint32_t>(index);
    if (result_->by_tag_.insert(ServingTable::tag_key(port, vlan), packed)) {
      result_->untagged_.resize(ports_.size());
      if (vlan == 0) result_->untagged_[port] = ServingTable::segment_of(packed);
      return {};
    }
    return what + ": port " + ports_[port].name + " VLAN " + std::to_string(vlan) +
           " is another record's too";
  }

  std::string claim_address(std::uint32_t address, Role role, std::size_t index, const std::string& what) {
    const std::uint64_t bit = ServingTable::filter_bit(address);
    result_->filter_[bit / 64] |= std::uint64_t{1} << bit % 64;
    if (result_->by_address_.insert(address, pack(role, index))) return {};
    return what + ": address " + IpAddress::v4(address).text() + " is another record's too";
  }

  std::string add_links() {
    const std::vector<table::Link>& links = table().links;
    result_->by_tag_ = IndexHash(links.size() + table().interfaces.size());
    result_->by_address_ = IndexHash(links.size() + table().interfaces.size() +
                                     table().snat_addresses.size() + table().services.size());
    result_->link_ids_ = IndexHash(links.size());
    for (std::size_t i = 0; i < links.size(); ++i) {
      const table::Link& link = links[i];
      const std::string what = "link " + std::string(link.name.view());
      std::string fault;
      LinkInfo info;
      info.port = port(link.port, PortRole::link, PortRole::link, what, fault);
      info.vlan = link.vlan;
      info.mtu = link.mtu;
      info.probe_port = link.probe_port;
      info.local = host(link.local, what + ": local", fault);
      info.next_hop = host(link.next_hop, what + ": next hop", fault);
      info.peer = host(link.peer, what + ": peer", fault);
      info.next_hop_mac = link.next_hop_mac;
      for (std::size_t other = 0; other < links.size(); ++other) {
        if (links[other].peer_pop == link.peer_pop) info.same_peer |= std::uint64_t{1} << other;
      }
      if (fault.empty()) fault = claim_segment(info.port, info.vlan, Segment::Kind::link, i, what);
      if (fault.empty()) fault = claim_address(info.local, Role::link, i, what);
      if (!fault.empty()) return fault;
      result_->link_ids_.insert(link.id, static_cast<std::uint32_t>(i));
      result_->links_.push_back(info);
    }
    return {};
  }

  std::string add_interfaces() {
    const std::vector<table::Interface>& interfaces = table().interfaces;
    for (std::size_t i = 0; i < interfaces.size(); ++i) {
      const table::Interface& interface = interfaces[i];
      const std::string what = "interface on " + std::string(interface.port.view());
      std::string fault;
      InterfaceInfo info;
      info.is_host = interface.is_host != 0;
      const PortRole role = info.is_host ? PortRole::host : PortRole::edge;
      info.port = port(interface.port, role, role, what, fault);
      info.vlan = interface.vlan;
      info.mtu = interface.mtu;
      info.local = host(interface.local, what + ": address", fault);
      info.mask = fault.empty() ? mask_of(interface.prefix_length) : 0;  // of IPv6 it may be longer than 32
      if (!interface.gateway.none()) {
        info.gateway = host(interface.gateway, what + ": gateway", fault);
        if (fault.empty() && (!info.on_link(info.gateway) || info.gateway == info.local)) {
          fault = what + ": gateway " + interface.gateway.text() + " is not a neighbour on its prefix";
        }
      }
      info.gateway_mac = interface.gateway_mac;
      if (fault.empty()) fault = claim_segment(info.port, info.vlan, Segment::Kind::interface, i, what);
      if (fault.empty()) fault = claim_address(info.local, Role::interface, i, what);
      if (!fault.empty()) return fault;
      result_->interfaces_.push_back(info);
    }
    return {};
  }

  std::string add_snat() {
    for (std::size_t i = 0; i < table().snat_addresses.size(); ++i) {
      std::string fault;
      const std::uint32_t address = host(table().snat_addresses[i], "SNAT address", fault);
      if (fault.empty()) fault = claim_address(address, Role::snat, i, "SNAT");
      if (!fault.empty()) return fault;
      result_->snat_.push_back(address);
    }
    return {};
  }

  std::string add_endpoints() {
    const std::vector<table::Endpoint>& endpoints = table().endpoints;
    result_->endpoint_ids_ = IndexHash(endpoints.size());
    for (std::size_t i = 0; i < endpoints.size(); ++i) {
      const table::Endpoint& endpoint = endpoints[i];
      const std::string what = "endpoint " + std::string(endpoint.name.view());
      std::string fault;
      const std::uint32_t address = host(endpoint.address, what, fault);
      if (fault.empty() && result_->role(address) != Role::other) {
        fault = what + ": " + endpoint.address.text() + " is an address of this PoP's data plane";
      }
      if (fault.empty() && endpoint.link_count == 0 && endpoint.interface != table::kNone &&
          !result_->over_interface(endpoint.interface, address)) {
        fault = what + ": " + endpoint.address.text() + " is not on-link and its interface has no gateway";
      }
      if (!fault.empty()) return fault;
      result_->endpoint_ids_.insert(endpoint.id, static_cast<std::uint32_t>(i));
      result_->endpoints_.push_back({address, endpoint.port});
    }
    return {};
  }

  std::string add_services() {
    const std::vector<table::Service>& services = table().services;
    result_->services_ = IndexHash(services.size());
    result_->service_ids_ = IndexHash(services.size());
    for (std::size_t i = 0; i < services.size(); ++i) {
      const table::Service& service = services[i];
      const std::string what = "service " + std::string(service.name.view());
      std::string fault;
      const std::uint32_t vip = host(service.vip, what + ": VIP", fault);
      if (fault.empty() && service.deliver == static_cast<std::uint8_t>(table::Deliver::host) &&
          (service.interface >= result_->interfaces_.size() ||
           !result_->interfaces_[service.interface].is_host)) {
        fault = what + ": is delivered to the host, but not through an interface toward it";
      }
      if (!fault.empty()) return fault;
      if (!result_->is_vip(vip)) {
        fault = claim_address(vip, Role::vip, 0, what);
        if (!fault.empty()) return fault;
        vips_.push_back(vip);
      }
      if (!result_->services_.insert(ServingTable::service_key(vip, service.port, service.protocol),
                                     static_cast<std::uint32_t>(i))) {
        return what + ": another service has the same VIP, port and protocol";
      }
      result_->service_ids_.insert(service.id, static_cast<std::uint32_t>(i));
    }
    return {};
  }

  // Every prefix, those that the table gives first, so that of two equal ones the table's is found.
  std::string gather_prefixes() {
    result_->prefixes_ = table().prefixes;
    for (const table::TransitPrefix& prefix : result_->prefixes_) {
      if (!prefix.address.is_v4()) return "prefix " + prefix.address.text() + ": only IPv4 is served";
    }
    const auto imply = [&](std::uint32_t address, std::uint8_t length, std::size_t interface) {
      table::TransitPrefix prefix;
      prefix.address = IpAddress::v4(address);
      prefix.length = length;
      prefix.interface = static_cast<std::uint32_t>(interface);
      result_->prefixes_.push_back(prefix);
    };
    for (std::size_t i = 0; i < result_->interfaces_.size(); ++i) {
      const InterfaceInfo& info = result_->interfaces_[i];
      imply(info.local & info.mask, table().interfaces[i].prefix_length, i);
    }
    for (std::size_t i = 0; i < result_->interfaces_.size(); ++i) {
      if (result_->interfaces_[i].gateway != 0 && !result_->interfaces_[i].is_host) {
        imply(0, 0, i);
        break;
      }
    }
    return {};
  }

  // Lays the prefixes, shortest first, over the line of addresses: what lies on top is the longest match. The
  // tops are then disjoint ranges, and a lookup is one binary search.
  std::string add_routes() {
    std::string fault = gather_prefixes();
    if (!fault.empty()) return fault;
    std::vector<table::TransitPrefix>& prefixes = result_->prefixes_;
    std::vector<std::uint32_t> edges = {0};
    for (const table::TransitPrefix& prefix : prefixes) {
      const std::uint32_t first = prefix.address.v4_value();
      const std::uint32_t last = first | ~mask_of(prefix.length);
      edges.push_back(first);
      if (last != 0xffffffffU) edges.push_back(last + 1);
    }
    std::sort(edges.begin(), edges.end());
    edges.erase(std::unique(edges.begin(), edges.end()), edges.end());

    std::vector<std::uint32_t> order(prefixes.size());
    for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    // Equal lengths keep the table's over the implied, which come later in prefixes_.
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return prefixes[a].length != prefixes[b].length ? prefixes[a].length < prefixes[b].length : a > b;
    });
    std::vector<std::uint32_t> tops(edges.size(), table::kNone);
    for (const std::uint32_t index : order) {
      const std::uint32_t first = prefixes[index].address.v4_value();
      const std::uint32_t last = first | ~mask_of(prefixes[index].length);
      auto at = std::lower_bound(edges.begin(), edges.end(), first);
      for (; at != edges.end() && *at <= last; ++at)
        tops[static_cast<std::size_t>(at - edges.begin())] = index;
    }
    // The last range that starts at or before o.0.0.0; beyond 255.0.0.0 the last of all.
    for (std::uint32_t octet = 0; octet < 256; ++octet) {
      const auto after = std::upper_bound(edges.begin(), edges.end(), octet << 24U);
      result_->route_of_octet_[octet] = static_cast<std::uint32_t>(after - edges.begin()) - 1;
    }
    result_->route_of_octet_[256] = static_cast<std::uint32_t>(edges.size()) - 1;
    result_->route_starts_ = std::move(edges);
    result_->route_prefixes_ = std::move(tops);
    return {};
  }

  void announce() {
    for (std::size_t i = 0; i < result_->interfaces_.size(); ++i) {
      const InterfaceInfo& info = result_->interfaces_[i];
      const Segment segment = {Segment::Kind::interface, static_cast<std::uint16_t>(i)};
      result_->announcements_.push_back({segment, info.local});
      for (const std::uint32_t address : result_->snat_) {
        if (info.on_link(address)) result_->announcements_.push_back({segment, address});
      }
      if (info.is_host) continue;  // there the kernel has them
      for (const std::uint32_t vip : vips_) result_->announcements_.push_back({segment, vip});
    }
  }

  std::span<const PortSetting> ports_;
  std::unique_ptr<ServingTable> result_;
  std::vector<std::uint32_t> vips_;
};

Result<std::unique_ptr<const ServingTable>> ServingTable::build(table::Table table,
                                                                std::span<const PortSetting> ports) {
  return ServingTableBuilder(std::move(table), ports).build();
}

}  // namespace perigee
