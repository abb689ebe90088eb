// Every rule of validate() has a table that breaks it and nothing else.
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <functional>

#include "contract/table_file.h"
#include "test/contract/small_table.h"

namespace perigee::table {
namespace {

struct Fault {
  const char* says;  // part of the message
  std::function<void(Table&)> breaks;
};

void expect_refused(const std::vector<Fault>& faults) {
  for (const Fault& fault : faults) {
    Table table = small_table();
    fault.breaks(table);
    const auto valid = validate(table);
    ASSERT_FALSE(valid) << "accepted although: " << fault.says;
    EXPECT_NE(valid.error().text().find(fault.says), std::string::npos) << valid.error().text();
    EXPECT_FALSE(decode(encode(table))) << fault.says;
  }
}

TEST(Validate, AcceptsTheSmallTableAndAnEmptyOne) {
  const auto valid = validate(small_table());
  ASSERT_TRUE(valid) << valid.error().text();
  Table empty;
  empty.pop = Name::of("syd");
  empty.settings = small_settings();
  EXPECT_TRUE(validate(empty));
}

TEST(Validate, Head) {
  expect_refused({
      {"pop must be", [](Table& t) { t.pop = Name{}; }},
      {"pop must be", [](Table& t) { t.pop.text.back() = 'x'; }},
      {"pop must be", [](Table& t) { t.pop.text[0] = '\n'; }},
      {"pop must be", [](Table& t) { t.pop.text.fill('x'); }},
      {"idle_tcp is", [](Table& t) { t.settings.idle_tcp_ns = 0; }},
      {"idle_tcp is", [](Table& t) { t.settings.idle_tcp_ns = ~0ULL; }},
      {"idle_tcp_closing", [](Table& t) { t.settings.idle_tcp_closing_ns = 0; }},
      {"idle_tcp_opening", [](Table& t) { t.settings.idle_tcp_opening_ns = 0; }},
      {"idle_udp", [](Table& t) { t.settings.idle_udp_ns = 0; }},
      {"path_gone", [](Table& t) { t.settings.path_gone_ns = 0; }},
      {"snat_share", [](Table& t) { t.settings.snat_share_percent = 0; }},
      {"snat_share", [](Table& t) { t.settings.snat_share_percent = 101; }},
      {"reserved", [](Table& t) { t.settings.reserved = 1; }},
  });
}

TEST(Validate, Interfaces) {
  expect_refused({
      {"65 records", [](Table& t) { t.interfaces.resize(65, t.interfaces[0]); }},
      {"port must be", [](Table& t) { t.interfaces[0].port = Name{}; }},
      {"vlan", [](Table& t) { t.interfaces[0].vlan = 4095; }},
      {"mtu", [](Table& t) { t.interfaces[0].mtu = 67; }},
      {"mtu", [](Table& t) { t.interfaces[0].mtu = 9217; }},
      {"port and vlan", [](Table& t) { t.interfaces[1].port = t.interfaces[0].port; }},
      {"reserved", [](Table& t) { t.interfaces[0].reserved[1] = 1; }},
      {"reserved", [](Table& t) { t.interfaces[1].reserved2[0] = 1; }},
      {"is_host", [](Table& t) { t.interfaces[0].is_host = 2; }},
      {"local is not", [](Table& t) { t.interfaces[0].local = IpAddress::v4(224, 0, 0, 1); }},
      {"this local", [](Table& t) { t.interfaces[1].local = t.interfaces[0].local; }},
      {"prefix_length", [](Table& t) { t.interfaces[0].prefix_length = 33; }},
      {"prefix_length", [](Table& t) { t.interfaces[0].prefix_length = 0; }},
      {"gateway_mac", [](Table& t) { t.interfaces[0].gateway_mac.octets[0] = 1; }},
      {"gateway is", [](Table& t) { t.interfaces[0].gateway = IpAddress::v4(198, 51, 101, 1); }},
      {"gateway is", [](Table& t) { t.interfaces[0].gateway = t.interfaces[0].local; }},
      {"gateway is", [](Table& t) { t.interfaces[0].gateway = *IpAddress::parse("2001:db8::1"); }},
  });
}

TEST(Validate, Links) {
  expect_refused({
      {"65 records", [](Table& t) { t.links.resize(65, t.links[0]); }},
      {"links[1] syd-mel-b: id", [](Table& t) { t.links[1].id = t.links[0].id; }},
      {"links[0] syd-mel-a: id", [](Table& t) { t.links[0].id = 0; }},
      {"peer_pop", [](Table& t) { t.links[0].peer_pop = 0; }},
      {"name must be", [](Table& t) { t.links[0].name = Name{}; }},
      {"this name", [](Table& t) { t.links[1].name = t.links[0].name; }},
      {"port must be", [](Table& t) { t.links[0].port = Name{}; }},
      {"port and vlan", [](Table& t) { t.links[1].port = t.links[0].port; }},
      {"port and vlan", [](Table& t) { t.links[1].port = t.interfaces[0].port; }},
      {"vlan", [](Table& t) { t.links[0].vlan = 4095; }},
      {"mtu", [](Table& t) { t.links[0].mtu = 0; }},
      {"probe_ports", [](Table& t) { t.links[0].probe_ports = 0; }},
      {"probe_ports", [](Table& t) { t.links[0].probe_ports = 17; }},
      {"detect_multiplier", [](Table& t) { t.links[0].detect_multiplier = 1; }},
      {"up_count", [](Table& t) { t.links[0].up_count = 0; }},
      {"probe_port is", [](Table& t) { t.links[0].probe_port = 0; }},
      {"next_hop_mac", [](Table& t) { t.links[0].next_hop_mac.octets.fill(0xff); }},
      {"not a unicast", [](Table& t) { t.links[0].local = IpAddress{}; }},
      {"not a unicast", [](Table& t) { t.links[0].next_hop = IpAddress{}; }},
      {"not a unicast", [](Table& t) { t.links[0].peer = IpAddress{}; }},
      {"one family", [](Table& t) { t.links[0].peer = *IpAddress::parse("2001:db8::1"); }},
      {"local is also", [](Table& t) { t.links[0].peer = t.links[0].local; }},
      {"local is also", [](Table& t) { t.links[0].next_hop = t.links[0].local; }},
      {"probe_interval", [](Table& t) { t.links[0].probe_interval_ns = 999'999; }},
      {"probe_interval", [](Table& t) { t.links[0].probe_interval_ns = ~0ULL; }},
      {"loss_deadline", [](Table& t) { t.links[0].loss_deadline_ns = 0; }},
      {"rtt_floor", [](Table& t) { t.links[0].rtt_floor_ns = ~0ULL; }},
      {"max_residence", [](Table& t) { t.links[0].max_residence_ns = ~0ULL; }},
      {"window", [](Table& t) { t.links[0].window_ns = 0; }},
      {"link_order[1]", [](Table& t) { t.link_order[1] = 2; }},
  });
}

TEST(Validate, Prefixes) {
  expect_refused({
      {"1025 records", [](Table& t) { t.prefixes.resize(1025, t.prefixes[0]); }},
      {"reserved", [](Table& t) { t.prefixes[0].reserved[1] = 1; }},
      {"length does", [](Table& t) { t.prefixes[0].length = 33; }},
      {"bits beyond", [](Table& t) { t.prefixes[0].address = IpAddress::v4(10, 2, 0, 1); }},
      {"longest first", [](Table& t) { std::swap(t.prefixes[0], t.prefixes[1]); }},
      {"is the same", [](Table& t) { t.prefixes[1] = t.prefixes[0]; }},
      {"either an interface or links", [](Table& t) { t.prefixes[0].interface = 0; }},
      {"either an interface or links", [](Table& t) { t.prefixes[1].interface = kNone; }},
      {"no index of an interface", [](Table& t) { t.prefixes[1].interface = 2; }},
      {"within link_order", [](Table& t) { t.prefixes[0].first_link = 1; }},
      {"within link_order", [](Table& t) { t.prefixes[0].first_link = 0xffffffffU; }},
      {"within link_order", [](Table& t) { t.prefixes[0].link_count = 0xffffffffU; }},
      {"more equal links", [](Table& t) { t.prefixes[0].equal_links = 3; }},
      {"within link_order", [](Table& t) { t.link_order.resize(99, 0), t.prefixes[0].link_count = 65; }},
  });
}

TEST(Validate, Endpoints) {
  expect_refused({
      {"4097 records", [](Table& t) { t.endpoints.resize(4097, t.endpoints[0]); }},
      {"endpoints[1] syd-1: id", [](Table& t) { t.endpoints[1].id = t.endpoints[0].id; }},
      {"endpoints[0] mel-1: id", [](Table& t) { t.endpoints[0].id = 0; }},
      {"pop is 0", [](Table& t) { t.endpoints[0].pop = 0; }},
      {"name must be", [](Table& t) { t.endpoints[0].name = Name{}; }},
      {"this name", [](Table& t) { t.endpoints[1].name = t.endpoints[0].name; }},
      {"address is not", [](Table& t) { t.endpoints[0].address = IpAddress::v4(255, 255, 255, 255); }},
      {"port is 0", [](Table& t) { t.endpoints[0].port = 0; }},
      {"address and port", [](Table& t) { t.endpoints[1].address = t.endpoints[0].address; }},
      {"accepts_new", [](Table& t) { t.endpoints[0].accepts_new = 2; }},
      {"reset_established", [](Table& t) { t.endpoints[0].reset_established = 2; }},
      {"either an interface or links", [](Table& t) { t.endpoints[0].interface = 0; }},
      {"either an interface or links", [](Table& t) { t.endpoints[1].interface = kNone; }},
      {"no index of an interface", [](Table& t) { t.endpoints[1].interface = 2; }},
      {"within link_order", [](Table& t) { t.endpoints[0].first_link = 1; }},
      {"within link_order", [](Table& t) { t.endpoints[0].first_link = 0xffffffffU; }},
  });
}

TEST(Validate, Services) {
  expect_refused({
      {"1025 records", [](Table& t) { t.services.resize(1025, t.services[0]); }},
      {"services[1] web: id", [](Table& t) { t.services[1].id = t.services[0].id; }},
      {"services[0] chat: id", [](Table& t) { t.services[0].id = 0; }},
      {"name must be", [](Table& t) { t.services[0].name = Name{}; }},
      {"this name", [](Table& t) { t.services[1].name = t.services[0].name; }},
      {"reserved", [](Table& t) { t.services[0].reserved[0] = 1; }},
      {"vip is not", [](Table& t) { t.services[0].vip = IpAddress::v4(127, 0, 0, 1); }},
      {"unknown deliver", [](Table& t) { t.services[0].deliver = 2; }},
      {"unknown refuse", [](Table& t) { t.services[0].refuse = 2; }},
      {"neither TCP nor UDP", [](Table& t) { t.services[0].protocol = IPPROTO_SCTP; }},
      {"neither TCP nor UDP", [](Table& t) { t.services[0].protocol = 0; }},
      {"host interface", [](Table& t) { t.services[1].interface = 0; }},
      {"host interface", [](Table& t) { t.services[1].interface = kNone; }},
      {"has no tiers", [](Table& t) { t.services[1].tier_count = 1; }},
      {"port is 0", [](Table& t) { t.services[0].port = 0; }},
      {"only deliver: host", [](Table& t) { t.services[0].interface = 1; }},
      {"within tiers", [](Table& t) { t.services[0].first_tier = 1; }},
      {"within tiers", [](Table& t) { t.services[0].first_tier = 0xffffffffU; }},
      {"within tiers", [](Table& t) { t.tiers.resize(20), t.services[0].tier_count = 17; }},
  });
}

TEST(Validate, NoTwoServicesClaimOnePacket) {
  const auto claims = [](std::uint8_t protocol, std::uint16_t port) {
    return [=](Table& t) {  // web moves to chat's VIP, which has TCP 8000
      t.services[1].vip = t.services[0].vip;
      t.services[1].protocol = protocol;
      t.services[1].port = port;
    };
  };
  const char* says = "claims the same packets";
  expect_refused({{says, claims(IPPROTO_TCP, 8000)}, {says, claims(IPPROTO_TCP, 0)}, {says, claims(0, 0)}});
  for (const auto& [protocol, port] :
       {std::pair{IPPROTO_UDP, 8000}, std::pair{IPPROTO_TCP, 8001}, std::pair{IPPROTO_UDP, 0}}) {
    Table table = small_table();
    claims(static_cast<std::uint8_t>(protocol), static_cast<std::uint16_t>(port))(table);
    EXPECT_TRUE(validate(table)) << protocol << "/" << port;
  }
}

TEST(Validate, TiersAndCandidates) {
  expect_refused({
      {"16385 records", [](Table& t) { t.tiers.resize(16385); }},
      {"within candidates", [](Table& t) { t.tiers[1].candidate_count = 2; }},
      {"within candidates", [](Table& t) { t.tiers[1].first_candidate = 0xffffffffU; }},
      {"within candidates",
       [](Table& t) { t.candidates.resize(99, t.candidates[0]), t.tiers[0].candidate_count = 65; }},
      {"unknown action", [](Table& t) { t.candidates[0].action = 2; }},
      {"unknown action", [](Table& t) { t.candidates[2].action = 0; }},
      {"no index of an endpoint", [](Table& t) { t.candidates[0].endpoint = 2; }},
      {"over no link", [](Table& t) { t.candidates[2].link = 0; }},
      {"none of its endpoint's links", [](Table& t) { t.candidates[0].link = kNone; }},
      {"more equal links", [](Table& t) { t.endpoints[0].equal_links = 3; }},
      {"more equal links", [](Table& t) { t.endpoints[1].equal_links = 1; }},
      {"none of its endpoint's links", [](Table& t) { t.endpoints[0].link_count = 1; }},
  });
}

TEST(Validate, SnatAddresses) {
  expect_refused({
      {"17 records", [](Table& t) { t.snat_addresses.resize(17, t.snat_addresses[0]); }},
      {"not a unicast", [](Table& t) { t.snat_addresses[0] = IpAddress{}; }},
      {"listed twice", [](Table& t) { t.snat_addresses.push_back(t.snat_addresses[0]); }},
      {"also a VIP", [](Table& t) { t.snat_addresses[0] = t.services[0].vip; }},
      {"also a VIP", [](Table& t) { t.snat_addresses[0] = t.interfaces[0].local; }},
      {"also a VIP", [](Table& t) { t.snat_addresses[0] = t.links[1].local; }},
  });
}

}  // namespace
}  // namespace perigee::table
