#include "steering/table_compiler.h"

#include <algorithm>
#include <map>

#include "steering/equal_links.h"

namespace perigee {
namespace {

std::uint32_t index_of(std::size_t index) { return static_cast<std::uint32_t>(index); }
std::uint64_t ns_of(Nanos duration) { return static_cast<std::uint64_t>(duration.count()); }

class Compiler {
 public:
  Compiler(const Policy& policy, const Route& route)
      : policy_(policy), route_(route), endpoint_links_(links_of_endpoints(policy, route)) {}

  table::Table run(const table::Identity& identity) {
    table_.identity = identity;
    table_.pop = table::Name::of(policy_.here().name);
    table_.snat_addresses = policy_.snat_addresses;
    add_settings();
    for (const auto& interface : policy_.interfaces) add_interface(interface);
    for (std::size_t i = 0; i < policy_.links.size(); ++i) add_link(i);
    add_prefixes();
    for (const auto& endpoint : policy_.endpoints) add_endpoint(endpoint);
    for (const auto& service : policy_.services) add_service(service);
    return std::move(table_);
  }

 private:
  struct Range {
    std::uint32_t first = 0, count = 0, equal = 0;
  };

  void add_settings();
  void add_interface(const Policy::Interface& interface);
  void add_link(std::size_t index);
  Range order_links(const LinkOrder& order);
  void add_prefixes();
  void add_prefix(const Prefix& prefix, std::uint32_t interface, Range links);
  void add_endpoint(const Policy::Endpoint& endpoint);
  void add_service(const Policy::Service& service);
  void add_tier(const Tier& tier);

  const Policy& policy_;
  const Route& route_;
  table::Table table_;
  const std::map<EndpointId, LinkOrder> endpoint_links_;
  std::map<LinkId, std::uint32_t> links_;          // index in the table
  std::map<EndpointId, std::uint32_t> endpoints_;  // the same
  std::map<std::vector<LinkId>, Range> orders_;    // of link_order: equal orders are there once
};

void Compiler::add_settings() {
  const Policy::Flows& flows = policy_.flows;
  table_.settings.idle_tcp_ns = ns_of(flows.tcp_idle);
  table_.settings.idle_tcp_closing_ns = ns_of(flows.tcp_closing);
  table_.settings.idle_tcp_opening_ns = ns_of(flows.tcp_opening);
  table_.settings.idle_udp_ns = ns_of(flows.udp_idle);
  table_.settings.path_gone_ns = ns_of(flows.path_gone);
  table_.settings.snat_share_percent = policy_.snat_share_percent;
  table_.settings.refuse_per_second = flows.refuse_rate;
  table_.settings.reflect_per_second = policy_.reflect_rate;
}

void Compiler::add_interface(const Policy::Interface& interface) {
  table::Interface record;
  record.port = table::Name::of(interface.port);
  record.vlan = interface.vlan;
  record.mtu = interface.mtu;
  record.prefix_length = interface.prefix_length;
  record.is_host = interface.host ? 1 : 0;
  record.local = interface.address;
  record.gateway = interface.gateway;
  record.gateway_mac = interface.gateway_mac;
  table_.interfaces.push_back(record);
}

void Compiler::add_link(std::size_t index) {
  const Policy::Link& link = policy_.links[index];
  table::Link record;
  record.id = link.id.value;
  record.peer_pop = policy_.pop_of(link).id.value;
  record.name = table::Name::of(link.name);
  record.port = table::Name::of(link.port);
  record.vlan = link.vlan;
  record.mtu = link.mtu;
  record.probe_ports = link.probe.ports;
  record.detect_multiplier = link.probe.detect;
  record.min_ttl = link.probe.min_ttl;
  record.up_count = link.probe.up_count;
  record.probe_port = link.probe.udp_port;
  record.next_hop_mac = link.mac;
  record.local = link.local;
  record.next_hop = link.next_hop;
  record.peer = link.peer;
  record.probe_interval_ns = ns_of(link.probe.interval);
  record.loss_deadline_ns = ns_of(link.probe.loss_deadline);
  record.rtt_floor_ns = ns_of(link.probe.rtt_floor);
  record.max_residence_ns = ns_of(link.probe.max_residence);
  record.window_ns = ns_of(policy_.steering.window);
  table_.links.push_back(record);
  links_.emplace(link.id, index_of(index));
}

Compiler::Range Compiler::order_links(const LinkOrder& order) {
  const auto [known, fresh] = orders_.try_emplace(order.links);
  if (fresh) {
    known->second.first = index_of(table_.link_order.size());
    for (const LinkId id : order.links) {
      const auto link = links_.find(id);
      if (link != links_.end()) table_.link_order.push_back(link->second);
    }
    known->second.count = index_of(table_.link_order.size()) - known->second.first;
  }
  return {known->second.first, known->second.count, order.equal};
}

void Compiler::add_prefix(const Prefix& prefix, std::uint32_t interface, Range links) {
  table::TransitPrefix record;
  record.address = prefix.address;
  record.length = prefix.length;
  record.interface = interface;
  record.first_link = links.first;
  record.link_count = links.count;
  record.equal_links = static_cast<std::uint8_t>(links.equal);
  table_.prefixes.push_back(record);
}

void Compiler::add_prefixes() {
  // On-link prefixes and the default route by interfaces; what of this PoP's prefixes is not on-link goes the
  // default way, as to a router within the PoP.
  for (std::size_t i = 0; i < policy_.interfaces.size(); ++i) {
    const Policy::Interface& interface = policy_.interfaces[i];
    add_prefix(interface.subnet(), index_of(i), {});
    if (!interface.gateway.none()) add_prefix({IpAddress::v4(0), 0}, index_of(i), {});
  }
  for (std::size_t pop = 0; pop < policy_.pops.size(); ++pop) {
    const PopRoute* route = pop == policy_.own_pop ? nullptr : route_.pop(policy_.pops[pop].id);
    if (route == nullptr) continue;
    // Best first; those that are down last, as the data plane skips them.
    const Range links = order_links(links_to(*route, policy_.steering));
    if (links.count == 0) continue;  // no link leads there
    for (const Prefix& prefix : policy_.pops[pop].prefixes) add_prefix(prefix, table::kNone, links);
  }
  std::sort(table_.prefixes.begin(), table_.prefixes.end(), [](const auto& a, const auto& b) {
    return a.length != b.length ? a.length > b.length : a.address < b.address;
  });
}

void Compiler::add_endpoint(const Policy::Endpoint& endpoint) {
  const EndpointRoute* state = route_.endpoint(endpoint.id);
  table::Endpoint record;
  record.id = endpoint.id.value;
  record.pop = policy_.pop_of(endpoint).id.value;
  record.name = table::Name::of(endpoint.name);
  record.address = endpoint.address;
  record.port = endpoint.port;
  record.accepts_new = state == nullptr || state->accepts_new ? 1 : 0;
  record.reset_established = state != nullptr && state->reset_established ? 1 : 0;
  if (endpoint.pop == policy_.own_pop) {
    record.interface = index_of(policy_.interface_to(endpoint.address).value_or(table::kNone));
  } else if (const auto order = endpoint_links_.find(endpoint.id); order != endpoint_links_.end()) {
    const Range links = order_links(order->second);
    record.first_link = links.first;
    record.link_count = static_cast<std::uint16_t>(links.count);
    record.equal_links = static_cast<std::uint16_t>(links.equal);
  }
  endpoints_.emplace(endpoint.id, index_of(table_.endpoints.size()));
  table_.endpoints.push_back(record);
}

void Compiler::add_tier(const Tier& tier) {
  table::Tier record;
  record.first_candidate = index_of(table_.candidates.size());
  for (const Candidate& candidate : tier) {
    const auto endpoint = endpoints_.find(candidate.endpoint);
    const auto link = links_.find(candidate.link);
    if (endpoint == endpoints_.end()) continue;
    table::Candidate out;
    out.endpoint = endpoint->second;
    out.link = link == links_.end() ? table::kNone : link->second;
    out.weight = candidate.weight;
    table_.candidates.push_back(out);
  }
  record.candidate_count = index_of(table_.candidates.size()) - record.first_candidate;
  if (record.candidate_count > 0) table_.tiers.push_back(record);
}

// The candidates that only a dead link keeps out, or others of a lower cost tier: a tier for each path and
// cost tier, the lower ones first.
std::vector<Tier> standby_tiers(const Policy& policy, const ServiceRoute& route) {
  std::map<std::pair<std::uint32_t, std::size_t>, Tier> tiers;
  for (std::size_t i = 0; i < route.ranking.paths.size(); ++i) {
    const RankedPath& path = route.ranking.paths[i];
    for (const Excluded& excluded : route.excluded) {
      const Policy::Endpoint* endpoint = policy.endpoint(excluded.endpoint);
      const bool standby = (path.usable == Usable::link_down && excluded.reason == Exclusion::link_down) ||
                           (path.usable == Usable::cost_tier && excluded.reason == Exclusion::cost_tier);
      if (standby && excluded.link == path.path.link && policy.pop_of(*endpoint).id == path.path.pop)
        tiers[{endpoint->cost_tier, i}].push_back({excluded.endpoint, excluded.link, endpoint->weight});
    }
  }
  std::vector<Tier> out;
  out.reserve(tiers.size());
  for (auto& [order, tier] : tiers) out.push_back(std::move(tier));
  return out;
}

void Compiler::add_service(const Policy::Service& service) {
  table::Service record;
  record.id = service.id.value;
  record.name = table::Name::of(service.name);
  record.vip = service.vip;
  record.port = service.port;
  record.protocol = static_cast<std::uint8_t>(service.protocol);
  record.deliver = static_cast<std::uint8_t>(service.deliver);
  record.refuse = static_cast<std::uint8_t>(service.refuse);
  record.first_tier = index_of(table_.tiers.size());
  if (service.deliver == table::Deliver::host) {
    const auto host = std::find_if(policy_.interfaces.begin(), policy_.interfaces.end(),
                                   [](const auto& interface) { return interface.host; });
    record.interface = index_of(static_cast<std::size_t>(host - policy_.interfaces.begin()));
  } else if (const ServiceRoute* route = route_.service(service.id)) {
    for (const Tier& tier : route->tiers) add_tier(tier);
    for (const Tier& tier : standby_tiers(policy_, *route))
      if (table_.tiers.size() - record.first_tier < table::kMaxTiersPerService) add_tier(tier);
  }
  record.tier_count = index_of(table_.tiers.size()) - record.first_tier;
  table_.services.push_back(record);
}

}  // namespace

table::Table compile(const Policy& policy, const Route& route, const table::Identity& identity) {
  return Compiler(policy, route).run(identity);
}

table::Table compile(const Policy& policy, const table::Identity& identity) {
  // Any instant will do: nothing is measured, and nothing is remembered.
  return compile(policy, route(policy, Conditions{}, Route{}, Instant{1}), identity);
}

}  // namespace perigee
