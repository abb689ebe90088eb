// The table of PoP syd in the lab, for tests: three links, an interface toward clients and one toward the
// host, one forwarded service and one that the host serves.
#pragma once

#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "contract/table.h"
#include "dataplane/serving_table.h"
#include "test/dataplane/frames.h"

namespace perigee::test {

inline constexpr std::uint32_t kSydMelA = 0, kSydMelB = 1, kSydPer = 2;  // link indexes
inline constexpr std::uint16_t kEdge = 0, kHost = 1;                     // interface indexes
// Port indexes; link1 carries syd-mel-b in VLAN 20 and syd-per in VLAN 30.
inline constexpr std::uint16_t kLink0Port = 0, kLink1Port = 1, kEdgePort = 2, kHostPort = 3;

inline std::vector<PortSetting> lab_ports() {
  return {{"link0", PortRole::link, "", ""},
          {"link1", PortRole::link, "", ""},
          {"edge0", PortRole::edge, "", ""},
          {"host0", PortRole::host, "", ""}};
}

inline table::Link lab_link(const char* name, const char* peer_pop, const char* port, std::uint16_t vlan,
                            const char* local, const char* peer) {
  table::Link link;
  link.id = stable_id_of(name);
  link.peer_pop = stable_id_of(peer_pop);
  link.name = table::Name::of(name);
  link.port = table::Name::of(port);
  link.vlan = vlan;
  link.local = ip(local);
  link.next_hop = link.peer = ip(peer);
  link.probe_interval_ns = 20'000'000;
  link.loss_deadline_ns = 1'000'000'000;
  link.max_residence_ns = 20'000'000;
  link.window_ns = 2'000'000'000;
  return link;
}

inline table::TransitPrefix lab_prefix(const char* address, std::uint8_t length, std::uint32_t first_link,
                                       std::uint32_t link_count) {
  table::TransitPrefix prefix;
  prefix.address = ip(address);
  prefix.length = length;
  prefix.first_link = first_link;
  prefix.link_count = link_count;
  return prefix;
}

inline table::Endpoint lab_endpoint(const char* name, const char* pop, const char* address,
                                    std::uint32_t first_link, std::uint16_t link_count) {
  table::Endpoint endpoint;
  endpoint.id = stable_id_of(name);
  endpoint.pop = stable_id_of(pop);
  endpoint.name = table::Name::of(name);
  endpoint.address = ip(address);
  endpoint.port = 8000;
  endpoint.first_link = first_link;
  endpoint.link_count = link_count;
  return endpoint;
}

inline table::Service lab_service(const char* name, const char* vip, std::uint16_t port,
                                  std::uint8_t protocol, table::Deliver deliver) {
  table::Service service;
  service.id = stable_id_of(name);
  service.name = table::Name::of(name);
  service.vip = ip(vip);
  service.port = port;
  service.protocol = protocol;
  service.deliver = static_cast<std::uint8_t>(deliver);
  if (deliver == table::Deliver::host) service.interface = kHost;
  return service;
}

inline table::Table lab_table() {
  table::Table table;
  table.pop = table::Name::of("syd");
  table.settings = {
      3'600'000'000'000, 120'000'000'000, 30'000'000'000, 60'000'000'000, 30'000'000'000, 25, 1000, 1000, 0};
  table::Interface edge;
  edge.port = table::Name::of("edge0");
  edge.local = ip("198.51.100.1");
  edge.prefix_length = 24;
  table::Interface host;
  host.port = table::Name::of("host0");
  host.local = ip("10.1.0.1");
  host.prefix_length = 24;
  host.is_host = 1;
  table.interfaces = {edge, host};
  table.links = {lab_link("syd-mel-a", "mel", "link0", 0, "172.31.1.1", "172.31.1.2"),
                 lab_link("syd-mel-b", "mel", "link1", 20, "172.31.2.1", "172.31.2.2"),
                 lab_link("syd-per", "per", "link1", 30, "172.31.3.1", "172.31.3.2")};
  table.link_order = {kSydMelA, kSydMelB, kSydPer, kSydPer, kSydMelA, kSydMelB};  // to mel, then to per
  table.prefixes = {lab_prefix("10.2.0.0", 16, 0, 3), lab_prefix("10.3.0.0", 16, 3, 3)};
  table.snat_addresses = {ip("10.1.255.1")};
  table.endpoints = {lab_endpoint("mel-1", "mel", "10.2.1.1", 0, 3),
                     lab_endpoint("mel-2", "mel", "10.2.1.2", 0, 3),
                     lab_endpoint("per-1", "per", "10.3.1.1", 3, 3)};
  table.services = {lab_service("chat", "203.0.113.10", 8000, kTcp, table::Deliver::nat),
                    lab_service("web", "203.0.113.11", 0, kTcp, table::Deliver::host)};
  table.tiers = {{0, 2}, {2, 1}};
  table.services[0].first_tier = 0;
  table.services[0].tier_count = 2;
  const auto nat = static_cast<std::uint32_t>(table::Action::nat);
  table.candidates = {{nat, 0, kSydMelA, 100}, {nat, 1, kSydMelA, 100}, {nat, 2, kSydPer, 100}};
  return table;
}

inline std::unique_ptr<const ServingTable> serving(table::Table table = lab_table()) {
  auto built = ServingTable::build(std::move(table), lab_ports());
  if (!built) throw std::runtime_error(built.error().text());
  return std::move(built).value();
}

inline constexpr LinkView kAllUp = {0b111, 0};

inline Segment link_segment(std::uint32_t index) {
  return {Segment::Kind::link, static_cast<std::uint16_t>(index)};
}
inline Segment interface_segment(std::uint16_t index) { return {Segment::Kind::interface, index}; }

// Where a frame for a segment of the lab comes in.
inline Arrival on_link0() { return {kLink0Port, 0, {}}; }
inline Arrival on_edge() { return {kEdgePort, 0, {}}; }
inline Arrival on_host() { return {kHostPort, 0, {}}; }

}  // namespace perigee::test
