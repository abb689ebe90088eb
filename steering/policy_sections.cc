#include "steering/policy_sections.h"

#include <algorithm>
#include <cmath>

#include "steering/policy_constants.h"
#include "steering/policy_constraints.h"
#include "steering/policy_names.h"
#include "steering/policy_router.h"

namespace perigee {
namespace {

using namespace std::chrono_literals;
using yaml::Cursor;
using yaml::Map;

constexpr std::size_t kMaxPrefixesPerPop = 64;
constexpr std::size_t kMaxLabels = 32;
constexpr std::size_t kMaxText = 255;   // paths, labels, bodies: matched octet by octet
constexpr std::uint16_t kMinMtu = 576;  // RFC 791: every host takes as much
constexpr std::uint16_t kMaxMtu = 9216;
constexpr std::uint16_t kMaxVlan = 4094;  // IEEE 802.1Q

void read_pops(Map& root, Policy& policy) {
  const bool given =
      root.needs("pops", "the PoPs with their prefixes, such as \"pops: {syd: {prefixes: [10.1.0.0/16]}}\"");
  for (const auto& [name, at] : entries(root, "pops", kMaxPops)) {
    Policy::Pop pop{name, id_from_name<PopId>(name), {}, {}};
    Map map(at, root.report());
    if (map.needs("prefixes", "the prefixes of its endpoints, such as \"prefixes: [10.1.0.0/16]\"")) {
      const auto items = yaml::scalars(*map.child("prefixes"), root.report());
      if (items.empty() && map.child("prefixes")->is(yaml::Node::Kind::sequence))
        root.report().add(map.path("prefixes"), "is empty; give at least one prefix");
      for (const Cursor& item : items) {
        const Result<Prefix> prefix = parse_ipv4_prefix(item.node->scalar);
        if (!prefix)
          root.report().add(item.path, prefix.error().what);
        else
          pop.prefixes.push_back(*prefix);
      }
      if (too_many(map, "prefixes", pop.prefixes.size(), kMaxPrefixesPerPop)) pop.prefixes.clear();
    }
    read_region(map, policy, pop);
    read_maintenance(map, pop.maintenance);
    policy.pops.push_back(std::move(pop));
  }
  using Kind = yaml::Node::Kind;
  const bool a_map = given && (root.child("pops")->is(Kind::map) || root.child("pops")->is(Kind::null));
  if (a_map && policy.pops.empty())
    root.report().add("pops", "declares no PoP; give at least this one, with its prefixes");
  policy.own_pop = kNoIndex;
  if (root.needs("pop", "the name of this PoP"))
    policy.own_pop = find_named(root, *root.child("pop"), policy.pops, "PoP");
}

void read_segment(Map& map, std::string& port, std::uint16_t& vlan, std::uint16_t& mtu) {
  if (map.needs("port", "the name of a port on the data plane's command line"))
    map.value("port", port, parse_name);
  map.integer<std::uint16_t>("vlan", vlan, 0, kMaxVlan);
  map.integer<std::uint16_t>("mtu", mtu, kMinMtu, kMaxMtu);
}

void read_interfaces(Map& root, Policy& policy) {
  for (const auto& [name, at] : entries(root, "interfaces", table::kMaxInterfaces)) {
    Policy::Interface interface;
    interface.name = name;
    Map map(at, root.report());
    read_segment(map, interface.port, interface.vlan, interface.mtu);
    AddressLength address;
    if (map.needs("address", "its address with the prefix length, such as \"10.1.0.1/24\"") &&
        map.value("address", address, parse_ipv4_interface)) {
      interface.address = address.address;
      interface.prefix_length = address.length;
    }
    map.value_or_none("gateway", interface.gateway, parse_ipv4);
    map.value_or_none("gateway_mac", interface.gateway_mac, parse_mac);
    map.value("host", interface.host, parse_flag);
    policy.interfaces.push_back(std::move(interface));
  }
}

void read_snat(Map& root, Policy& policy) {
  const auto at = root.child("snat");
  if (!at) return;
  Map map(*at, root.report());
  double share = policy.snat_share_percent / 100.0;
  if (map.percent("client_share", share, 0.01, 1))
    policy.snat_share_percent = static_cast<std::uint32_t>(std::lround(share * 100));
  if (!map.needs("addresses", "addresses of this PoP, such as \"addresses: [10.1.255.1]\"")) return;
  for (const Cursor& item : yaml::scalars(*map.child("addresses"), root.report())) {
    const Result<IpAddress> address = parse_ipv4(item.node->scalar);
    if (!address) root.report().add(item.path, address.error().what);
    // One that is wrong keeps its index, so that later messages name the right one.
    policy.snat_addresses.push_back(address ? *address : IpAddress{});
  }
  if (too_many(map, "addresses", policy.snat_addresses.size(), table::kMaxSnatAddresses))
    policy.snat_addresses.resize(table::kMaxSnatAddresses);
}

void read_probe(Map& map, Policy::Probe& probe) {
  map.duration("interval", probe.interval, 1ms, 10s);
  map.integer<std::uint8_t>("detect", probe.detect, 2, 100);
  map.integer<std::uint8_t>("ports", probe.ports, 1, table::kMaxProbePorts);
  map.integer<std::uint16_t>("udp_port", probe.udp_port, 1, 65535);
  map.integer<std::uint8_t>("min_ttl", probe.min_ttl, 1, 255);
  map.duration("rtt_floor", probe.rtt_floor, 0ms, 1s);
  map.duration("max_residence", probe.max_residence, 1us, 1s);
  map.duration("loss_deadline", probe.loss_deadline, 10ms, 10s);
  map.integer<std::uint8_t>("up_count", probe.up_count, 1, 100);
}

Policy::Probe read_probe_defaults(Map& root, Policy& policy) {
  Policy::Probe probe;
  if (const auto at = root.child("probe")) {
    Map map(*at, root.report());
    read_probe(map, probe);
    map.integer<std::uint32_t>("reflect_rate", policy.reflect_rate, 1, 1'000'000);
  }
  return probe;
}

void read_reaches(Map& link, Policy& policy, Policy::Link& out) {
  const auto at = link.child("reaches");
  if (!at) return;
  Map map(*at, link.report());
  for (const auto& [name, value] : map.named()) {
    Policy::Reach reach;
    const auto pop = std::find_if(policy.pops.begin(), policy.pops.end(),
                                  [&name = name](const auto& p) { return p.name == name; });
    if (pop == policy.pops.end()) {
      link.report().add(value.node->key_mark, value.path,
                        yaml::unknown_name("PoP", name, names_of(policy.pops)));
      continue;
    }
    reach.pop = static_cast<std::size_t>(pop - policy.pops.begin());
    const Result<Nanos> rtt =
        value.is(yaml::Node::Kind::scalar)
            ? parse_duration(value.node->scalar)
            : Error{"", "must be the declared RTT from the peer onward, such as \"30ms\""};
    if (!rtt)
      link.report().add(value.path, rtt.error().what);
    else if (*rtt > 10s)
      link.report().add(value.path, text_of(*rtt) + " is out of range; from 0ms to 10s");
    else
      out.reaches.push_back({reach.pop, *rtt});
  }
}

void read_links(Map& root, Policy& policy) {
  const Policy::Probe defaults = read_probe_defaults(root, policy);
  for (const auto& [name, at] : entries(root, "links", table::kMaxLinks)) {
    Policy::Link link;
    link.name = name;
    link.id = id_from_name<LinkId>(name);
    link.pop = kNoIndex;
    link.probe = defaults;
    Map map(at, root.report());
    if (map.needs("pop", "the name of the PoP at its other end"))
      link.pop = find_named(map, *map.child("pop"), policy.pops, "PoP");
    read_segment(map, link.port, link.vlan, link.mtu);
    if (map.needs("local", "this end's address, such as \"172.31.1.1\""))
      map.value("local", link.local, parse_ipv4);
    if (map.needs("peer", "the other data plane's address, such as \"172.31.1.2\""))
      map.value("peer", link.peer, parse_ipv4);
    link.next_hop = link.peer;
    map.value("next_hop", link.next_hop, parse_ipv4);
    map.value_or_none("mac", link.mac, parse_mac);
    map.duration("cost", link.cost, 0ms, 10s);
    if (const auto probe = map.child("probe")) {
      Map overrides(*probe, root.report());
      read_probe(overrides, link.probe);
    }
    read_reaches(map, policy, link);
    read_maintenance(map, link.maintenance);
    policy.links.push_back(std::move(link));
  }
}

void read_health(Map& map, Policy::Health& health) {
  using Type = Policy::Health::Type;
  map.choice<Type>("type", health.type,
                   {{"none", Type::none}, {"tcp", Type::tcp}, {"http", Type::http}, {"https", Type::https}});
  if (map.text("path", health.path, kMaxText) &&
      (health.path[0] != '/' || health.path.find(' ') != std::string::npos))
    map.report().add(map.path("path"), "must begin with '/' and have no space; say for example \"/health\"");
  map.integer<std::uint16_t>("status", health.status, 100, 599);
  if (const auto body = map.child("body"); body && !body->is(yaml::Node::Kind::null)) {
    std::string text;
    if (map.text("body", text, kMaxText)) health.body = text;
  } else if (body) {
    health.body.reset();
  }
  map.duration("interval", health.interval, 10ms, 1h);
  map.duration("timeout", health.timeout, 1ms, 1min);
  map.integer<std::uint32_t>("fall", health.fall, 1, 100);
  map.integer<std::uint32_t>("rise", health.rise, 1, 100);
}

std::map<std::string, std::string> read_labels(Map& map) {
  std::map<std::string, std::string> labels;
  for (const auto& [key, at] : entries(map, "labels", kMaxLabels)) {
    if (!at.is(yaml::Node::Kind::scalar) || at.node->scalar.size() > kMaxText)
      map.report().add(at.path, "must be a single value of at most " + std::to_string(kMaxText) + " octets");
    else
      labels[key] = at.node->scalar;
  }
  return labels;
}

void read_endpoints(Map& root, Policy& policy) {
  Policy::Health defaults;
  if (const auto at = root.child("health")) {
    Map map(*at, root.report());
    read_health(map, defaults);
  }
  Policy::Load load;
  read_load(root, load);
  for (const auto& [name, at] : entries(root, "endpoints", table::kMaxEndpoints)) {
    Policy::Endpoint endpoint;
    endpoint.name = name;
    endpoint.id = id_from_name<EndpointId>(name);
    endpoint.pop = kNoIndex;
    endpoint.health = defaults;
    Map map(at, root.report());
    if (map.needs("pop", "the name of the PoP it is in"))
      endpoint.pop = find_named(map, *map.child("pop"), policy.pops, "PoP");
    AddressPort address;
    if (map.needs("address", "its address and port, such as \"10.2.1.1:8000\"") &&
        map.value("address", address, parse_ipv4_port)) {
      endpoint.address = address.address;
      endpoint.port = address.port;
    }
    map.integer<std::uint32_t>("weight", endpoint.weight, 1, 65535);
    std::uint32_t capacity = 0;
    if (map.integer<std::uint32_t>("capacity", capacity, 1, 100'000'000)) endpoint.capacity = capacity;
    map.integer<std::uint32_t>("cost_tier", endpoint.cost_tier, 0, kMaxCostTier);
    map.value("drain", endpoint.drain, parse_flag);
    read_maintenance(map, endpoint.maintenance);
    endpoint.labels = read_labels(map);
    if (const auto health = map.child("health")) {
      Map overrides(*health, root.report());
      read_health(overrides, endpoint.health);
    }
    endpoint.load = load;
    read_load(map, endpoint.load);
    read_routed_endpoint(map, endpoint);
    policy.endpoints.push_back(std::move(endpoint));
  }
}

// "203.0.113.10:8000"; without a port when the host is served every port.
void read_vip(Map& map, Policy::Service& service) {
  if (!map.needs("vip", "the address and port clients use, such as \"203.0.113.10:8000\"")) return;
  const Cursor at = *map.child("vip");
  const bool bare = at.is(yaml::Node::Kind::scalar) && at.node->scalar.find(':') == std::string::npos;
  if (service.deliver == table::Deliver::host && bare) {
    map.value("vip", service.vip, parse_ipv4);
    service.protocol = Policy::Protocol::any;
    return;
  }
  AddressPort vip;
  if (!map.value("vip", vip, parse_ipv4_port)) return;
  service.vip = vip.address;
  service.port = vip.port;
}

void read_services(Map& root, Policy& policy) {
  enum class Mode { forward, route };
  enum class Delivery { host };
  for (const auto& [name, at] : entries(root, "services", table::kMaxServices)) {
    Policy::Service service;
    service.name = name;
    service.id = id_from_name<ServiceId>(name);
    Map map(at, root.report());
    Mode mode{};
    if (!map.child("deliver"))
      map.choice<Mode>("mode", mode, {{"forward", Mode::forward}, {"route", Mode::route}});
    if (mode == Mode::route) {
      read_routed_service(map, name, policy);
      continue;
    }
    Delivery delivery{};
    if (map.choice<Delivery>("deliver", delivery, {{"host", Delivery::host}}))
      service.deliver = table::Deliver::host;
    read_vip(map, service);
    if (service.protocol != Policy::Protocol::any)
      map.choice<Policy::Protocol>("protocol", service.protocol,
                                   {{"tcp", Policy::Protocol::tcp}, {"udp", Policy::Protocol::udp}});
    else if (map.child("protocol"))
      root.report().add(map.path("protocol"),
                        "says nothing without a port; give \"vip\" one, or leave it out");
    map.choice<table::Refuse>("refuse", service.refuse,
                              {{"answer", table::Refuse::answer}, {"drop", table::Refuse::drop}});
    if (service.deliver == table::Deliver::host) {
      for (const char* key : {"endpoints", "mode", "max_rtt", "pops", "pin"})
        if (map.child(key))
          root.report().add(map.path(key), "says nothing with \"deliver: host\"; leave one out");
    } else {
      Nanos max_rtt{};
      if (map.duration("max_rtt", max_rtt, 1us, 1min)) service.max_rtt = max_rtt;
      if (map.needs("endpoints", "the endpoints that serve it, such as \"endpoints: [mel-1, mel-2]\""))
        service.endpoints = read_members(map, policy);
      read_confines(map, policy, service.confines);
    }
    policy.services.push_back(std::move(service));
  }
}

}  // namespace

// A list of names, or a selector by labels.
std::vector<std::size_t> read_members(Map& map, const Policy& policy) {
  std::vector<std::size_t> members;
  const Cursor at = *map.child("endpoints");
  if (at.is(yaml::Node::Kind::map)) {
    Map selector(at, map.report());
    const auto wanted = read_labels(selector);
    if (wanted.empty()) {
      map.report().add(at.path, "selects by no label; say for example \"{labels: {gpu: h100}}\"");
      return members;
    }
    for (std::size_t i = 0; i < policy.endpoints.size(); ++i) {
      const auto& labels = policy.endpoints[i].labels;
      if (std::includes(labels.begin(), labels.end(), wanted.begin(), wanted.end())) members.push_back(i);
    }
    if (members.empty())
      map.report().add(at.path, "no endpoint has these labels; give them to one, or list endpoints by name");
    return members;
  }
  const auto items = yaml::scalars(at, map.report());
  if (items.empty() && at.is(yaml::Node::Kind::sequence))
    map.report().add(at.path, "is empty; name at least one endpoint");
  for (const Cursor& item : items) {
    const std::size_t index = find_named(map, item, policy.endpoints, "endpoint");
    if (index == kNoIndex) continue;
    if (std::find(members.begin(), members.end(), index) != members.end())
      map.report().add(item.path, yaml::quoted(item.node->scalar) + " is listed twice; keep one of them");
    else
      members.push_back(index);
  }
  return members;
}

void read_policy(Map& root, Policy& policy) {
  std::uint32_t version = 0;
  if (root.needs("version", "\"version: 1\"")) root.integer<std::uint32_t>("version", version, 1, 1);
  read_pops(root, policy);
  read_interfaces(root, policy);
  read_snat(root, policy);
  read_links(root, policy);
  read_endpoints(root, policy);
  read_router(root, policy);
  read_services(root, policy);
  read_constants(root, policy);
}

}  // namespace perigee
