#include <netinet/in.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "contract/table_file.h"

namespace perigee::table {
namespace {

// Far above any sensible setting, and small enough that no sum of a few overflows 63 bits.
constexpr std::uint64_t kMaxDurationNs = 7ULL * 24 * 3600 * 1'000'000'000;
constexpr std::uint64_t kMinProbeIntervalNs = 1'000'000;  // a table must not make probes a flood
constexpr std::uint16_t kMaxVlan = 4094;                  // IEEE 802.1Q: 4095 is reserved
constexpr std::uint16_t kMinMtu = 68;                     // RFC 791 section 3.2
constexpr std::uint16_t kMaxMtu = 9216;                   // the largest frame common devices take

// The first fault of one record. Every check is a statement; those after the first fault do nothing.
class Check {
 public:
  void require(bool holds, const char* what) {
    if (!holds && fault_.empty()) fault_ = what;
  }
  [[nodiscard]] bool failed() const { return !fault_.empty(); }
  [[nodiscard]] const std::string& fault() const { return fault_; }

  void name(const Name& name, const char* what) {
    const std::string_view text = name.view();
    require(!text.empty() && text.size() < name.text.size(), what);
    require(std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x21 && c <= 0x7e; }), what);
    require(std::all_of(name.text.begin() + text.size(), name.text.end(), [](char c) { return c == 0; }),
            what);
  }
  void duration(std::uint64_t ns, const char* what) { require(ns > 0 && ns <= kMaxDurationNs, what); }
  void mac(const MacAddress& mac, const char* what) {
    require(mac.none() || (mac.octets[0] & 1U) == 0, what);  // IEEE 802: the group bit
  }
  void range(std::uint32_t first, std::uint32_t count, std::size_t size, std::uint32_t limit,
             const char* what) {
    require(count <= limit && std::uint64_t{first} + count <= size, what);
  }
  template <std::size_t N>
  void zero(const std::array<std::uint8_t, N>& reserved) {
    require(reserved == std::array<std::uint8_t, N>{}, "reserved octets are not zero");
  }

 private:
  std::string fault_;
};

unsigned bits_of(const IpAddress& address) { return address.is_v4() ? 32 : 128; }

// The things that may be claimed once only.
struct Claims {
  std::set<std::pair<std::string, std::uint16_t>> segments;  // (port, VLAN): one link or interface each
  std::set<IpAddress> own;                                   // addresses of interfaces and links
  std::set<std::uint32_t> link_ids, endpoint_ids, service_ids;
  std::set<std::string> link_names, endpoint_names, service_names;
  std::set<std::pair<IpAddress, std::uint16_t>> endpoint_sockets;
  std::set<IpAddress> snat, vips;
  std::set<std::pair<IpAddress, std::uint8_t>> prefixes;
  std::set<std::tuple<IpAddress, std::uint8_t, std::uint16_t>> services;  // 0: every protocol, every port
};

void check_segment(const Name& port, std::uint16_t vlan, std::uint16_t mtu, Claims& claims, Check& check) {
  check.name(port, "port must be 1 to 31 printable characters, zero-filled");
  check.require(vlan <= kMaxVlan, "vlan is above 4094");
  check.require(mtu >= kMinMtu && mtu <= kMaxMtu, "mtu is not within 68..9216");
  check.require(claims.segments.emplace(std::string(port.view()), vlan).second,
                "another link or interface has this port and vlan");
}

void check_interface(const Interface& interface, Claims& claims, Check& check) {
  check_segment(interface.port, interface.vlan, interface.mtu, claims, check);
  check.zero(interface.reserved);
  check.zero(interface.reserved2);
  check.require(interface.is_host <= 1, "is_host is neither 0 nor 1");
  check.require(interface.local.is_unicast(), "local is not a unicast address");
  check.require(claims.own.insert(interface.local).second, "another interface has this local address");
  check.require(interface.prefix_length >= 1 && interface.prefix_length <= bits_of(interface.local),
                "prefix_length does not fit the address");
  check.mac(interface.gateway_mac, "gateway_mac is a group address");
  if (interface.gateway.none() || check.failed()) return;
  check.require(interface.gateway.is_unicast() && interface.gateway != interface.local &&
                    Prefix{interface.local, interface.prefix_length}.contains(interface.gateway),
                "gateway is not another address of the on-link prefix");
}

void check_link(const Link& link, Claims& claims, Check& check) {
  check.require(link.id != 0 && claims.link_ids.insert(link.id).second, "id is 0 or not unique");
  check.require(link.peer_pop != 0, "peer_pop is 0");
  check.name(link.name, "name must be 1 to 31 printable characters, zero-filled");
  check.require(claims.link_names.emplace(link.name.view()).second, "another link has this name");
  check_segment(link.port, link.vlan, link.mtu, claims, check);
  check.require(link.probe_ports >= 1 && link.probe_ports <= kMaxProbePorts,
                "probe_ports is not within 1..16");
  check.require(link.detect_multiplier >= 2,
                "detect_multiplier is below 2");  // jitter alone is 1.1 intervals
  check.require(link.up_count >= 1, "up_count is 0");
  check.require(link.probe_port != 0, "probe_port is 0");
  check.mac(link.next_hop_mac, "next_hop_mac is a group address");
  check.require(link.local.is_unicast() && link.next_hop.is_unicast() && link.peer.is_unicast(),
                "local, next_hop or peer is not a unicast address");
  check.require(link.local.is_v4() == link.next_hop.is_v4() && link.local.is_v4() == link.peer.is_v4(),
                "local, next_hop and peer are not of one family");
  check.require(link.local != link.next_hop && link.local != link.peer, "local is also next_hop or peer");
  check.require(link.probe_interval_ns >= kMinProbeIntervalNs && link.probe_interval_ns <= kMaxDurationNs,
                "probe_interval is below 1 ms or above 7 days");
  check.duration(link.loss_deadline_ns, "loss_deadline is 0 or above 7 days");
  check.require(link.rtt_floor_ns <= kMaxDurationNs, "rtt_floor is above 7 days");
  check.require(link.max_residence_ns <= kMaxDurationNs, "max_residence is above 7 days");
  check.duration(link.window_ns, "window is 0 or above 7 days");
  claims.own.insert(link.local);  // links may share one local address
}

void check_prefix(const Table& table, std::size_t index, Claims& claims, Check& check) {
  const TransitPrefix& prefix = table.prefixes[index];
  check.zero(prefix.reserved);
  check.require(prefix.length <= bits_of(prefix.address), "length does not fit the address");
  if (check.failed()) return;
  const auto parsed = Prefix::parse(Prefix{prefix.address, prefix.length}.text());
  check.require(parsed.has_value(), "address has bits beyond its length");
  check.require(index == 0 || table.prefixes[index - 1].length >= prefix.length,
                "prefixes are not ordered longest first");
  check.require(claims.prefixes.emplace(prefix.address, prefix.length).second, "another prefix is the same");
  check.require((prefix.interface == kNone) != (prefix.link_count == 0),
                "must name either an interface or links");
  check.require(prefix.interface == kNone || prefix.interface < table.interfaces.size(),
                "interface is no index of an interface");
  check.range(prefix.first_link, prefix.link_count, table.link_order.size(), kMaxLinks,
              "its links are not within link_order");
  check.require(prefix.equal_links <= std::min(prefix.link_count, kMaxEqualLinks),
                "more equal links than it has links, or than 4");
}

void check_endpoint(const Table& table, const Endpoint& endpoint, Claims& claims, Check& check) {
  check.require(endpoint.id != 0 && claims.endpoint_ids.insert(endpoint.id).second, "id is 0 or not unique");
  check.require(endpoint.pop != 0, "pop is 0");
  check.name(endpoint.name, "name must be 1 to 31 printable characters, zero-filled");
  check.require(claims.endpoint_names.emplace(endpoint.name.view()).second, "another endpoint has this name");
  check.require(endpoint.address.is_unicast(), "address is not a unicast address");
  check.require(endpoint.port != 0, "port is 0");
  // Two records for one socket would give two flows one set of addresses and ports.
  check.require(claims.endpoint_sockets.emplace(endpoint.address, endpoint.port).second,
                "another endpoint has this address and port");
  check.require(endpoint.accepts_new <= 1, "accepts_new is neither 0 nor 1");
  check.require(endpoint.reset_established <= 1, "reset_established is neither 0 nor 1");
  check.require((endpoint.interface == kNone) != (endpoint.link_count == 0),
                "must name either an interface or links");
  check.require(endpoint.interface == kNone || endpoint.interface < table.interfaces.size(),
                "interface is no index of an interface");
  check.range(endpoint.first_link, endpoint.link_count, table.link_order.size(), kMaxLinks,
              "its links are not within link_order");
  check.require(endpoint.equal_links <= std::min<std::uint32_t>(endpoint.link_count, kMaxEqualLinks),
                "more equal links than it has links, or than 4");
}

// Two services claim one packet when the address is the same and neither port nor protocol tells them apart.
bool claimed_already(const Service& service, const Claims& claims) {
  for (auto other = claims.services.lower_bound({service.vip, 0, 0}); other != claims.services.end();
       ++other) {
    const auto& [vip, protocol, port] = *other;
    if (vip != service.vip) return false;
    const bool same_protocol = protocol == service.protocol || protocol == 0 || service.protocol == 0;
    if (same_protocol && (port == service.port || port == 0 || service.port == 0)) return true;
  }
  return false;
}

void check_service(const Table& table, const Service& service, Claims& claims, Check& check) {
  check.require(service.id != 0 && claims.service_ids.insert(service.id).second, "id is 0 or not unique");
  check.name(service.name, "name must be 1 to 31 printable characters, zero-filled");
  check.require(claims.service_names.emplace(service.name.view()).second, "another service has this name");
  check.zero(service.reserved);
  check.require(service.vip.is_unicast(), "vip is not a unicast address");
  check.require(service.deliver <= static_cast<std::uint8_t>(Deliver::host), "unknown deliver");
  check.require(service.refuse <= static_cast<std::uint8_t>(Refuse::drop), "unknown refuse");
  check.require(service.protocol == IPPROTO_TCP || service.protocol == IPPROTO_UDP ||
                    (service.protocol == 0 && service.port == 0),
                "protocol is neither TCP nor UDP");
  check.require(!claimed_already(service, claims), "another service claims the same packets");
  if (service.deliver == static_cast<std::uint8_t>(Deliver::host)) {
    check.require(
        service.interface < table.interfaces.size() && table.interfaces[service.interface].is_host == 1,
        "deliver: host needs a host interface");
    check.require(service.tier_count == 0, "deliver: host has no tiers");
  } else {
    check.require(service.port != 0, "port is 0");
    check.require(service.interface == kNone, "only deliver: host names an interface");
  }
  check.range(service.first_tier, service.tier_count, table.tiers.size(), kMaxTiersPerService,
              "its tiers are not within tiers");
  claims.services.emplace(service.vip, service.protocol, service.port);
  claims.vips.insert(service.vip);
}

void check_candidate(const Table& table, const Candidate& candidate, Check& check) {
  check.require(candidate.action == static_cast<std::uint32_t>(Action::nat), "unknown action");
  check.require(candidate.endpoint < table.endpoints.size(), "endpoint is no index of an endpoint");
  if (check.failed()) return;
  const Endpoint& endpoint = table.endpoints[candidate.endpoint];
  if (endpoint.link_count == 0) {
    check.require(candidate.link == kNone, "an endpoint of this PoP is reached over no link");
    return;
  }
  // An established flow uses the endpoint's own links; a candidate over another would lose its first packet's
  // path at once.
  const auto first = table.link_order.begin() + endpoint.first_link;
  check.require(std::find(first, first + endpoint.link_count, candidate.link) != first + endpoint.link_count,
                "link is none of its endpoint's links");
}

void check_settings(const Settings& settings, Check& check) {
  check.duration(settings.idle_tcp_ns, "idle_tcp is 0 or above 7 days");
  check.duration(settings.idle_tcp_closing_ns, "idle_tcp_closing is 0 or above 7 days");
  check.duration(settings.idle_tcp_opening_ns, "idle_tcp_opening is 0 or above 7 days");
  check.duration(settings.idle_udp_ns, "idle_udp is 0 or above 7 days");
  check.duration(settings.path_gone_ns, "path_gone is 0 or above 7 days");
  check.require(settings.snat_share_percent >= 1 && settings.snat_share_percent <= 100,
                "snat_share_percent is not within 1..100");
  check.require(settings.reserved == 0, "reserved octets are not zero");
}

std::string_view label(const auto& record) {
  if constexpr (requires { record.name; }) return record.name.view();
  return {};
}

// Runs `one(index, check)` over the records of an array and reports the first that fails.
template <class Records, class One>
Result<void> each(const Records& records, const char* array, std::size_t limit, One one) {
  if (records.size() > limit) {
    return Error{array, std::to_string(records.size()) + " records, at most " + std::to_string(limit)};
  }
  for (std::size_t i = 0; i < records.size(); ++i) {
    Check check;
    one(i, check);
    if (!check.failed()) continue;
    std::string where = std::string(array) + "[" + std::to_string(i) + "]";
    if (const std::string_view name = label(records[i]); !name.empty()) where.append(" ").append(name);
    return Error{where, check.fault()};
  }
  return {};
}

Result<void> validate_network(const Table& table, Claims& claims) {
  auto result = each(table.interfaces, "interfaces", kMaxInterfaces, [&](std::size_t i, Check& check) {
    check_interface(table.interfaces[i], claims, check);
  });
  if (!result) return result;
  result = each(table.links, "links", kMaxLinks,
                [&](std::size_t i, Check& check) { check_link(table.links[i], claims, check); });
  if (!result) return result;
  result = each(table.link_order, "link_order", kMaxFileSize, [&](std::size_t i, Check& check) {
    check.require(table.link_order[i] < table.links.size(), "is no index of a link");
  });
  if (!result) return result;
  return each(table.prefixes, "prefixes", kMaxPrefixes,
              [&](std::size_t i, Check& check) { check_prefix(table, i, claims, check); });
}

Result<void> validate_services(const Table& table, Claims& claims) {
  auto result = each(table.endpoints, "endpoints", kMaxEndpoints, [&](std::size_t i, Check& check) {
    check_endpoint(table, table.endpoints[i], claims, check);
  });
  if (!result) return result;
  result = each(table.candidates, "candidates", kMaxFileSize,
                [&](std::size_t i, Check& check) { check_candidate(table, table.candidates[i], check); });
  if (!result) return result;
  result = each(table.tiers, "tiers", std::size_t{kMaxServices} * kMaxTiersPerService,
                [&](std::size_t i, Check& check) {
                  check.range(table.tiers[i].first_candidate, table.tiers[i].candidate_count,
                              table.candidates.size(), kMaxCandidatesPerTier,
                              "its candidates are not within candidates");
                });
  if (!result) return result;
  return each(table.services, "services", kMaxServices,
              [&](std::size_t i, Check& check) { check_service(table, table.services[i], claims, check); });
}

}  // namespace

Result<void> validate(const Table& table) {
  Claims claims;
  Check head;
  head.name(table.pop, "pop must be 1 to 31 printable characters, zero-filled");
  check_settings(table.settings, head);
  if (head.failed()) return Error{"", head.fault()};
  if (auto network = validate_network(table, claims); !network) return network;
  if (auto services = validate_services(table, claims); !services) return services;
  return each(table.snat_addresses, "snat_addresses", kMaxSnatAddresses, [&](std::size_t i, Check& check) {
    const IpAddress& address = table.snat_addresses[i];
    check.require(address.is_unicast(), "is not a unicast address");
    check.require(claims.snat.insert(address).second, "is listed twice");
    // A reply to it could not be told from a packet to a service or to us.
    check.require(!claims.vips.contains(address) && !claims.own.contains(address),
                  "is also a VIP or the address of an interface or link");
  });
}

}  // namespace perigee::table
