// A small valid table with one of everything, for tests to break.
#pragma once

#include <netinet/in.h>

#include "contract/table.h"

namespace perigee::table {

inline Interface small_interface(const char* port, IpAddress local, std::uint8_t is_host) {
  Interface interface;
  interface.port = Name::of(port);
  interface.prefix_length = 24;
  interface.is_host = is_host;
  interface.local = local;
  return interface;
}

inline Link small_link(const char* name, const char* port, std::uint8_t subnet, std::uint32_t pop) {
  Link link;
  link.id = stable_id_of(name);
  link.peer_pop = pop;
  link.name = Name::of(name);
  link.port = Name::of(port);
  link.local = IpAddress::v4(172, 31, subnet, 1);
  link.next_hop = IpAddress::v4(172, 31, subnet, 2);
  link.peer = link.next_hop;
  link.probe_interval_ns = 100'000'000;
  link.loss_deadline_ns = 1'000'000'000;
  link.max_residence_ns = 20'000'000;
  link.window_ns = 10'000'000'000;
  return link;
}

inline Settings small_settings() {
  Settings settings;
  settings.idle_tcp_ns = 3'600'000'000'000;
  settings.idle_tcp_closing_ns = 120'000'000'000;
  settings.idle_tcp_opening_ns = 30'000'000'000;
  settings.idle_udp_ns = 60'000'000'000;
  settings.path_gone_ns = 30'000'000'000;
  settings.snat_share_percent = 25;
  settings.refuse_per_second = 1000;
  settings.reflect_per_second = 1000;
  return settings;
}

// PoP syd: two links; one endpoint behind both, one local; a forwarded service and one of the host.
inline Table small_table() {
  Table table;
  table.identity.gateway_instance = 0x1122334455667788;
  table.identity.generation = 7;
  table.pop = Name::of("syd");
  table.settings = small_settings();
  table.interfaces = {small_interface("edge0", IpAddress::v4(198, 51, 100, 1), 0),
                      small_interface("host0", IpAddress::v4(10, 1, 0, 1), 1)};
  table.interfaces[0].gateway = IpAddress::v4(198, 51, 100, 254);
  table.links = {small_link("syd-mel-a", "link0", 1, 20), small_link("syd-mel-b", "link1", 2, 20)};
  table.link_order = {0, 1};
  table.prefixes.resize(2);
  table.prefixes[0] = {IpAddress::v4(10, 2, 0, 0), 16, 0, {}, kNone, 0, 2};
  table.prefixes[1] = {IpAddress::v4(0, 0, 0, 0), 0, 0, {}, 0, 0, 0};
  table.snat_addresses = {IpAddress::v4(10, 1, 255, 1)};
  Endpoint far;
  far.id = stable_id_of("mel-1");
  far.pop = 20;
  far.name = Name::of("mel-1");
  far.address = IpAddress::v4(10, 2, 1, 1);
  far.port = 8000;
  far.link_count = 2;
  Endpoint near = far;
  near.id = stable_id_of("syd-1");
  near.pop = 10;
  near.name = Name::of("syd-1");
  near.address = IpAddress::v4(10, 1, 0, 9);
  near.link_count = 0;
  near.interface = 1;
  table.endpoints = {far, near};
  Service chat;
  chat.id = stable_id_of("chat");
  chat.name = Name::of("chat");
  chat.vip = IpAddress::v4(203, 0, 113, 10);
  chat.port = 8000;
  chat.protocol = IPPROTO_TCP;
  chat.tier_count = 2;
  Service web;
  web.id = stable_id_of("web");
  web.name = Name::of("web");
  web.vip = IpAddress::v4(203, 0, 113, 11);
  web.deliver = static_cast<std::uint8_t>(Deliver::host);
  web.interface = 1;
  table.services = {chat, web};
  table.tiers = {{0, 2}, {2, 1}};
  constexpr auto kNat = static_cast<std::uint32_t>(Action::nat);
  table.candidates = {{kNat, 0, 0, 100}, {kNat, 0, 1, 100}, {kNat, 1, kNone, 50}};
  return table;
}

}  // namespace perigee::table
