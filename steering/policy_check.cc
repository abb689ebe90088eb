#include "steering/policy_check.h"

#include <algorithm>
#include <map>

#include "steering/health.h"
#include "steering/policy_constraints.h"
#include "steering/policy_router.h"
#include "steering/policy_sections.h"
#include "steering/text_units.h"

namespace perigee {
namespace {

using yaml::join;
using yaml::quoted;
using yaml::Report;

bool overlap(const Prefix& a, const Prefix& b) { return a.contains(b.address) || b.contains(a.address); }

std::string path_of(std::string_view section, std::string_view name, std::string_view key = {}) {
  const std::string path = join(section, name);
  return key.empty() ? path : join(path, key);
}

// Ids follow from names; two names with one id would be one thing to the data plane.
template <class Items>
void check_ids(const Items& items, std::string_view section, Report& report) {
  std::map<std::uint32_t, std::string_view> seen;
  for (const auto& item : items) {
    const auto [other, fresh] = seen.emplace(item.id.value, item.name);
    if (!fresh)
      report.add(path_of(section, item.name),
                 "its id is the same as that of " + quoted(other->second) + "; choose another name");
  }
}

void check_pops(const Policy& policy, Report& report) {
  // The table has one prefix for each of these, each interface's and the default route.
  constexpr std::size_t kMaxPopPrefixes = table::kMaxPrefixes - table::kMaxInterfaces - 1;
  std::size_t total = 0;
  for (const Policy::Pop& pop : policy.pops) total += pop.prefixes.size();
  if (total > kMaxPopPrefixes) {
    report.add("pops",
               std::to_string(total) + " prefixes are too many; at most " + std::to_string(kMaxPopPrefixes));
    return;
  }
  for (std::size_t i = 0; i < policy.pops.size(); ++i) {
    const Policy::Pop& pop = policy.pops[i];
    for (std::size_t k = 0; k < pop.prefixes.size(); ++k) {
      for (std::size_t j = 0; j <= i; ++j) {
        const auto& others = policy.pops[j].prefixes;
        const auto end = others.begin() + static_cast<std::ptrdiff_t>(j == i ? k : others.size());
        const auto other =
            std::find_if(others.begin(), end, [&](const Prefix& p) { return overlap(p, pop.prefixes[k]); });
        if (other == end) continue;
        report.add(path_of("pops", pop.name, "prefixes"),
                   quoted(pop.prefixes[k].text()) + " overlaps " + quoted(other->text()) + " of PoP " +
                       quoted(policy.pops[j].name) + "; an address is in one prefix of one PoP");
        break;
      }
    }
  }
}

// One port and VLAN is one segment: one interface or one link.
void check_segments(const Policy& policy, Report& report) {
  std::map<std::pair<std::string, std::uint16_t>, std::string> seen;
  const auto check = [&](const std::string& path, const std::string& port, std::uint16_t vlan) {
    if (port.empty()) return;
    const auto [other, fresh] = seen.emplace(std::pair(port, vlan), path);
    if (!fresh)
      report.add(path, "is on port " + quoted(port) + ", vlan " + std::to_string(vlan) + ", as is " +
                           other->second + "; give it another port or vlan");
  };
  for (const auto& interface : policy.interfaces)
    check(path_of("interfaces", interface.name), interface.port, interface.vlan);
  for (const auto& link : policy.links) check(path_of("links", link.name), link.port, link.vlan);
}

void check_interfaces(const Policy& policy, Report& report) {
  const Policy::Interface* host = nullptr;
  const Policy::Interface* exit = nullptr;
  for (std::size_t i = 0; i < policy.interfaces.size(); ++i) {
    const Policy::Interface& interface = policy.interfaces[i];
    const std::string path = path_of("interfaces", interface.name);
    if (interface.host && host != nullptr)
      report.add(join(path, "host"), "is the second one with \"host: true\", after " + quoted(host->name) +
                                         "; a data plane has one host interface");
    if (interface.host) host = &interface;
    if (!interface.gateway.none()) {
      if (exit != nullptr)
        report.add(join(path, "gateway"), "is the second gateway, after that of " + quoted(exit->name) +
                                              "; a data plane has one default route");
      exit = &interface;
    }
    if (interface.address.none()) continue;
    for (const Policy::Pop& pop : policy.pops) {  // the table has a prefix once
      if (policy.own_pop == kNoIndex || &pop == &policy.here()) continue;
      if (std::find(pop.prefixes.begin(), pop.prefixes.end(), interface.subnet()) != pop.prefixes.end())
        report.add(join(path, "address"), "its prefix " + quoted(interface.subnet().text()) +
                                              " is that of PoP " + quoted(pop.name) +
                                              "; what is on-link here is not in another PoP");
    }
    if (!interface.gateway.none() &&
        (!interface.subnet().contains(interface.gateway) || interface.gateway == interface.address))
      report.add(join(path, "gateway"), quoted(interface.gateway.text()) + " is no other host in " +
                                            quoted(interface.subnet().text()) +
                                            "; give the router's address there");
    if (interface.gateway.none() && !interface.gateway_mac.none())
      report.add(join(path, "gateway_mac"), "pins no gateway; give \"gateway\" or leave it out");
    for (std::size_t j = 0; j < i; ++j) {
      const Policy::Interface& other = policy.interfaces[j];
      if (!other.address.none() && overlap(interface.subnet(), other.subnet()))
        report.add(join(path, "address"), "its prefix " + quoted(interface.subnet().text()) +
                                              " overlaps that of " + quoted(other.name) +
                                              "; a prefix is on one interface");
    }
  }
}

void check_links(const Policy& policy, Report& report) {
  for (const Policy::Link& link : policy.links) {
    const std::string path = path_of("links", link.name);
    if (link.pop != kNoIndex && link.pop == policy.own_pop)
      report.add(join(path, "pop"), "leads to this PoP; a link leads to another one");
    if (!link.local.none() && link.peer == link.local)
      report.add(join(path, "peer"), "is the same as \"local\"; give the other end's address");
    else if (!link.local.none() && link.next_hop == link.local)
      report.add(join(path, "next_hop"),
                 "is the same as \"local\"; give the router's address, or leave it out");
    if (link.probe.rtt_floor >= link.probe.loss_deadline)
      report.add(join(path, "probe"),
                 "rtt_floor is not below loss_deadline; every reply would be lost or invalid");
    for (const Policy::Reach& reach : link.reaches) {
      const std::string& name = policy.pops[reach.pop].name;
      if (reach.pop == policy.own_pop || reach.pop == link.pop)
        report.add(path_of(join(path, "reaches"), name), reach.pop == link.pop
                                                             ? "is the peer's own PoP; name those behind it"
                                                             : "is this PoP; name those behind the peer");
    }
  }
}

// Every address that the data plane answers for, once. The first to claim an address has it.
class OwnAddresses {
 public:
  explicit OwnAddresses(Report& report) : report_(report) {}

  void claim(const IpAddress& address, const std::string& path) {
    if (address.none()) return;
    const auto [other, fresh] = claimed_.emplace(address, path);
    if (!fresh)
      report_.add(path,
                  quoted(address.text()) + " is already " + other->second + "; give each its own address");
  }
  [[nodiscard]] const std::string* owner(const IpAddress& address) const {
    const auto found = claimed_.find(address);
    return found == claimed_.end() ? nullptr : &found->second;
  }

 private:
  Report& report_;
  std::map<IpAddress, std::string> claimed_;
};

bool in_pop(const Policy::Pop& pop, const IpAddress& address) {
  return std::any_of(pop.prefixes.begin(), pop.prefixes.end(),
                     [&](const Prefix& prefix) { return prefix.contains(address); });
}

std::string prefixes_text(const Policy::Pop& pop) {
  std::string out;
  for (const Prefix& prefix : pop.prefixes) out += (out.empty() ? "" : ", ") + prefix.text();
  return out;
}

OwnAddresses check_own_addresses(const Policy& policy, Report& report) {
  OwnAddresses own(report);
  for (const auto& interface : policy.interfaces)
    own.claim(interface.address, path_of("interfaces", interface.name, "address"));
  for (const auto& link : policy.links) own.claim(link.local, path_of("links", link.name, "local"));
  for (const auto& link : policy.links) {
    const auto refuse_own = [&](const IpAddress& address, const char* key) {
      const std::string* owner = address == link.local ? nullptr : own.owner(address);
      if (owner != nullptr)
        report.add(path_of("links", link.name, key), quoted(address.text()) + " is this data plane\'s " +
                                                         *owner + "; give the other end\'s address");
    };
    refuse_own(link.peer, "peer");
    if (link.next_hop != link.peer) refuse_own(link.next_hop, "next_hop");
  }
  for (std::size_t i = 0; i < policy.snat_addresses.size(); ++i) {
    const IpAddress& address = policy.snat_addresses[i];
    const std::string path = join("snat.addresses", i);
    own.claim(address, path);
    if (address.none() || policy.own_pop == kNoIndex || policy.here().prefixes.empty()) continue;
    if (!in_pop(policy.here(), address))
      report.add(path, quoted(address.text()) +
                           " is outside this PoP's prefixes, so replies would not come back; " +
                           "give one in " + prefixes_text(policy.here()));
  }
  return own;
}

// A link whose PoP could not be read may be the one that leads there.
bool may_be_routed(const Policy& policy, std::size_t pop) {
  return std::any_of(policy.links.begin(), policy.links.end(), [&](const Policy::Link& link) {
    return link.pop == kNoIndex || policy.onward(link, pop).has_value();
  });
}

void check_endpoints(const Policy& policy, const OwnAddresses& own, Report& report) {
  std::map<std::pair<IpAddress, std::uint16_t>, std::string_view> seen;
  for (const Policy::Endpoint& endpoint : policy.endpoints) {
    const std::string path = path_of("endpoints", endpoint.name);
    if (endpoint.health.timeout > endpoint.health.interval)
      report.add(join(path, "health"), "timeout " + text_of(endpoint.health.timeout) +
                                           " is longer than interval " + text_of(endpoint.health.interval) +
                                           "; checks of one endpoint do not overlap");
    if (endpoint.health.type == Policy::Health::Type::https && !endpoint.tls)
      report.add(join(path, "health"),
                 "is by https, but the endpoint has no \"tls\", which says what certificate it must show; "
                 "\"tls: {}\" means one for its address, from an issuer that the system trusts");
    if (endpoint.address.none()) continue;
    const auto [other, fresh] = seen.emplace(std::pair(endpoint.address, endpoint.port), endpoint.name);
    if (!fresh)
      report.add(join(path, "address"),
                 "is also the address of " + quoted(other->second) + "; an address and port is one endpoint");
    if (const std::string* owner = own.owner(endpoint.address))
      report.add(join(path, "address"), quoted(endpoint.address.text()) + " is the data plane's own " +
                                            *owner + "; give the address of the endpoint's host");
    if (endpoint.pop == kNoIndex) continue;
    const Policy::Pop& pop = policy.pop_of(endpoint);
    if (!pop.prefixes.empty() && !in_pop(pop, endpoint.address))
      report.add(join(path, "address"), quoted(endpoint.address.text()) + " is outside the prefixes of PoP " +
                                            quoted(pop.name) + "; give one in " + prefixes_text(pop));
    if (policy.own_pop == kNoIndex) continue;
    if (endpoint.pop == policy.own_pop) {
      if (!policy.interface_to(endpoint.address))
        report.add(join(path, "address"),
                   "no interface leads to it; declare one with its prefix, or a gateway");
    } else if (!may_be_routed(policy, endpoint.pop)) {
      report.add(join(path, "pop"), "no link leads to PoP " + quoted(pop.name) +
                                        "; declare one, or add it to the \"reaches\" of a link");
    }
  }
}

// A silent cut takes the link and the checks over it together. Were the checks first, the endpoint would be
// dead and its flows reset, where they only had to take another link.
void check_cuts(const Policy& policy, Report& report) {
  for (const Policy::Link& link : policy.links) {
    if (link.pop == kNoIndex) continue;
    const Nanos link_down = link.probe.detect * link.probe.interval + policy.steering.tick;
    const Policy::Endpoint* first = nullptr;
    for (const Policy::Endpoint& endpoint : policy.endpoints) {
      if (endpoint.pop == kNoIndex || !policy.onward(link, endpoint.pop)) continue;
      if (endpoint.health.type == Policy::Health::Type::none) continue;
      if (first == nullptr || earliest_dead(endpoint.health) < earliest_dead(first->health))
        first = &endpoint;
    }
    if (first == nullptr || earliest_dead(first->health) > link_down) continue;
    report.add(path_of("links", link.name, "probe"),
               "a silent cut makes the link down after " + text_of(link_down) +
                   " (detect x interval, and steering.tick), but " +
                   path_of("endpoints", first->name, "health") + " may be dead after " +
                   text_of(earliest_dead(first->health)) +
                   " (fall, interval, timeout), and its flows reset; probe more often, or check more slowly");
  }
}

bool same_packets(const Policy::Service& a, const Policy::Service& b) {
  const bool any_protocol = a.protocol == Policy::Protocol::any || b.protocol == Policy::Protocol::any;
  const bool any_port = a.port == 0 || b.port == 0;
  return a.vip == b.vip && (any_protocol || a.protocol == b.protocol) && (any_port || a.port == b.port);
}

void check_services(const Policy& policy, const OwnAddresses& own, Report& report) {
  const bool has_host = std::any_of(policy.interfaces.begin(), policy.interfaces.end(),
                                    [](const Policy::Interface& interface) { return interface.host; });
  for (std::size_t i = 0; i < policy.services.size(); ++i) {
    const Policy::Service& service = policy.services[i];
    const std::string path = path_of("services", service.name);
    if (service.deliver == table::Deliver::host && !has_host)
      report.add(join(path, "deliver"), "there is no host interface; declare one with \"host: true\"");
    if (service.deliver == table::Deliver::nat && policy.snat_addresses.empty())
      report.add(path, "needs \"snat.addresses\" to reach its endpoints from; give addresses of this PoP");
    if (service.endpoints.size() > kMaxServiceEndpoints)
      report.add(join(path, "endpoints"), std::to_string(service.endpoints.size()) +
                                              " endpoints are too many; at most " +
                                              std::to_string(kMaxServiceEndpoints));
    if (service.vip.none()) continue;
    if (const std::string* owner = own.owner(service.vip))
      report.add(join(path, "vip"), quoted(service.vip.text()) + " is the data plane's own " + *owner +
                                        "; a VIP is an address of its own");
    for (const Policy::Endpoint& endpoint : policy.endpoints)
      if (endpoint.address == service.vip)
        report.add(join(path, "vip"), quoted(service.vip.text()) + " is the address of endpoint " +
                                          quoted(endpoint.name) + "; a VIP is an address of its own");
    for (std::size_t j = 0; j < i; ++j)
      if (same_packets(policy.services[j], service))
        report.add(join(path, "vip"), "takes the same packets as " + quoted(policy.services[j].name) +
                                          "; give it another address, port or protocol");
  }
}

}  // namespace

void check_policy(const Policy& policy, Report& report) {
  check_ids(policy.pops, "pops", report);
  check_ids(policy.links, "links", report);
  check_ids(policy.endpoints, "endpoints", report);
  check_ids(policy.services, "services", report);
  check_pops(policy, report);
  check_segments(policy, report);
  check_interfaces(policy, report);
  check_links(policy, report);
  const OwnAddresses own = check_own_addresses(policy, report);
  check_endpoints(policy, own, report);
  check_services(policy, own, report);
  check_cuts(policy, report);
  check_constraints(policy, report);
  check_router(policy, report);
}

}  // namespace perigee
