#include "dataplane/serving_table.h"

#include <gtest/gtest.h>

#include "test/dataplane/lab_table.h"

namespace perigee::test {
namespace {

TEST(ServingTable, FindsTheSegmentByPortAndVlan) {
  const auto table = serving();
  EXPECT_EQ(table->segment(kLink0Port, 0), link_segment(kSydMelA));
  EXPECT_EQ(table->segment(kLink1Port, 20), link_segment(kSydMelB));
  EXPECT_EQ(table->segment(kLink1Port, 30), link_segment(kSydPer));
  EXPECT_EQ(table->segment(kEdgePort, 0), interface_segment(kEdge));
  EXPECT_TRUE(table->segment(kLink1Port, 0).none());
  EXPECT_TRUE(table->segment(kEdgePort, 20).none());
  EXPECT_EQ(table->port_of(link_segment(kSydPer)), kLink1Port);
  EXPECT_EQ(table->vlan_of(link_segment(kSydPer)), 30);
  EXPECT_EQ(table->address_of(interface_segment(kHost)), ip4("10.1.0.1"));
}

TEST(ServingTable, KnowsWhatAnAddressIs) {
  using Role = ServingTable::AddressRole;
  const auto table = serving();
  EXPECT_EQ(table->role(ip4("172.31.2.1")), Role::link);
  EXPECT_EQ(table->owner(ip4("172.31.2.1")), link_segment(kSydMelB));
  EXPECT_EQ(table->role(ip4("10.1.0.1")), Role::interface);
  EXPECT_TRUE(table->is_own(ip4("10.1.0.1")));
  EXPECT_FALSE(table->is_own(ip4("172.31.2.2")));
  EXPECT_TRUE(table->is_vip(ip4("203.0.113.11")));
  EXPECT_FALSE(table->is_own(ip4("203.0.113.11")));
  EXPECT_EQ(table->snat_index(ip4("10.1.255.1")), 0U);
  EXPECT_EQ(table->snat_index(ip4("10.1.0.1")), table::kNone);
  EXPECT_EQ(table->snat_index(ip4("10.1.255.2")), table::kNone);
  EXPECT_TRUE(table->owner(ip4("203.0.113.10")).none());
}

TEST(ServingTable, FindsServicesByPortThenByEveryPortThenByAddress) {
  table::Table records = lab_table();
  records.services.push_back(lab_service("all", "203.0.113.12", 0, 0, table::Deliver::host));
  const auto table = serving(records);
  EXPECT_EQ(table->service(ip4("203.0.113.10"), 8000, kTcp), 0U);
  EXPECT_EQ(table->service(ip4("203.0.113.10"), 8001, kTcp), table::kNone);
  EXPECT_EQ(table->service(ip4("203.0.113.10"), 8000, kUdp), table::kNone);
  EXPECT_EQ(table->service(ip4("203.0.113.11"), 22, kTcp), 1U);
  EXPECT_EQ(table->service(ip4("203.0.113.11"), 22, kUdp), table::kNone);
  EXPECT_EQ(table->service(ip4("203.0.113.12"), 22, kUdp), 2U);
  EXPECT_EQ(table->service(ip4("203.0.113.12"), 0, 50), 2U);
}

TEST(ServingTable, FindsRecordsByStableId) {
  const auto table = serving();
  EXPECT_EQ(table->endpoint_index(id_from_name<EndpointId>("per-1")), 2U);
  EXPECT_EQ(table->link_index(id_from_name<LinkId>("syd-mel-b")), kSydMelB);
  EXPECT_EQ(table->service_index(id_from_name<ServiceId>("web")), 1U);
  EXPECT_EQ(table->endpoint_index(EndpointId{12345}), table::kNone);
  EXPECT_EQ(table->endpoint(1).address, ip4("10.2.1.2"));
  EXPECT_EQ(table->link(kSydMelA).same_peer, 0b011U);
  EXPECT_EQ(table->link(kSydPer).same_peer, 0b100U);
}

TEST(ServingTable, RoutesByTheLongestPrefix) {
  table::Table records = lab_table();
  // Longest first, as validate() wants them; each nested in the next.
  records.prefixes = {lab_prefix("10.2.1.7", 32, 0, 1), lab_prefix("10.2.1.0", 24, 1, 1),
                      lab_prefix("10.2.0.0", 16, 2, 1), lab_prefix("0.0.0.0", 0, 3, 1)};
  const auto table = serving(records);
  const auto first_link = [&](const char* address) { return table->route(ip4(address))->first_link; };
  EXPECT_EQ(first_link("10.2.1.7"), 0U);
  EXPECT_EQ(first_link("10.2.1.6"), 1U);
  EXPECT_EQ(first_link("10.2.1.8"), 1U);
  EXPECT_EQ(first_link("10.2.1.255"), 1U);
  EXPECT_EQ(first_link("10.2.2.0"), 2U);
  EXPECT_EQ(first_link("10.2.0.255"), 2U);
  EXPECT_EQ(first_link("10.1.255.255"), 3U);
  EXPECT_EQ(first_link("10.3.0.0"), 3U);
  EXPECT_EQ(first_link("255.255.255.255"), 3U);
  EXPECT_EQ(first_link("0.0.0.1"), 3U);
  EXPECT_EQ(table->route(ip4("198.51.100.7"))->interface, kEdge);  // on-link, without being told
}

TEST(ServingTable, AGatewayIsTheDefaultRouteUnlessTheTableSaysOtherwise) {
  EXPECT_EQ(serving()->route(ip4("8.8.8.8")), nullptr);
  table::Table records = lab_table();
  records.interfaces[kEdge].gateway = ip("198.51.100.254");
  records.interfaces[kHost].gateway = ip("10.1.0.2");
  const auto table = serving(records);
  EXPECT_EQ(table->route(ip4("8.8.8.8"))->interface, kEdge);
  EXPECT_EQ(table->over_interface(kEdge, ip4("8.8.8.8")),
            (Egress{interface_segment(kEdge), ip4("198.51.100.254")}));
  EXPECT_EQ(table->over_interface(kEdge, ip4("198.51.100.9")),
            (Egress{interface_segment(kEdge), ip4("198.51.100.9")}));
  records.prefixes.push_back(lab_prefix("0.0.0.0", 0, 0, 3));
  EXPECT_EQ(serving(records)->route(ip4("8.8.8.8"))->interface, table::kNone);
}

TEST(ServingTable, AnswersLeaveTheWayTheQuestionCame) {
  const auto table = serving();
  EXPECT_EQ(table->back_over(link_segment(kSydPer), ip4("10.3.1.1")),
            (Egress{link_segment(kSydPer), ip4("172.31.3.2")}));
  EXPECT_EQ(table->back_over(interface_segment(kEdge), ip4("198.51.100.10"))->next_hop, ip4("198.51.100.10"));
  EXPECT_FALSE(table->back_over(interface_segment(kEdge), ip4("192.0.2.1")));
  EXPECT_FALSE(table->back_over(Segment{}, ip4("192.0.2.1")));
}

TEST(ServingTable, TakesTheSmallerMtuOfTwoSegments) {
  table::Table records = lab_table();
  records.links[kSydMelA].mtu = 1400;
  const auto table = serving(records);
  EXPECT_EQ(table->path_mtu(interface_segment(kEdge), link_segment(kSydMelA)), 1400);
  EXPECT_EQ(table->path_mtu(link_segment(kSydMelA), interface_segment(kEdge)), 1400);
}

TEST(ServingTable, AnnouncesVipsTowardClientsOnly) {
  table::Table records = lab_table();
  records.snat_addresses.push_back(ip("198.51.100.77"));
  const auto table = serving(records);
  std::vector<std::pair<std::uint16_t, std::uint32_t>> found;
  for (const Announcement& each : table->announcements()) {
    EXPECT_TRUE(each.segment.is_interface());
    found.emplace_back(each.segment.index, each.address);
  }
  const std::vector<std::pair<std::uint16_t, std::uint32_t>> expected = {{kEdge, ip4("198.51.100.1")},
                                                                         {kEdge, ip4("198.51.100.77")},
                                                                         {kEdge, ip4("203.0.113.10")},
                                                                         {kEdge, ip4("203.0.113.11")},
                                                                         {kHost, ip4("10.1.0.1")}};
  EXPECT_EQ(found, expected);
}

TEST(FirstLiveLink, PrefersUpInOrderThenUnknown) {
  const std::vector<std::uint32_t> order = {2, 0, 1};
  EXPECT_EQ(first_live_link(order, {0b111, 0}), 2U);
  EXPECT_EQ(first_live_link(order, {0b011, 0b100}), 0U);  // unknown is ranked last
  EXPECT_EQ(first_live_link(order, {0, 0b110}), 2U);
  EXPECT_EQ(first_live_link(order, {0b111, 0}, 0b100), 0U);
  EXPECT_EQ(first_live_link(order, {0b100, 0}, 0b100), std::nullopt);
  EXPECT_EQ(first_live_link(order, {0b1000, 0}), std::nullopt);  // a link that is not in the order
  EXPECT_EQ(first_live_link({}, {0b111, 0b111}), std::nullopt);
  EXPECT_EQ(first_live_link(std::vector<std::uint32_t>{63}, {std::uint64_t{1} << 63U, 0}), 63U);
}

TEST(PlaceAmong, SharesAlsoPortsThatAreCloseTogether) {
  for (const std::uint32_t links : {2U, 3U, 4U}) {
    for (const std::uint32_t first : {1024U, 40000U, 65500U}) {
      std::array<int, 4> share{};
      for (std::uint32_t port = first; port < first + 36; ++port)
        ++share.at(place_among(links, static_cast<std::uint16_t>(port)));
      for (std::uint32_t i = 0; i < 4; ++i)
        EXPECT_EQ(share.at(i) > static_cast<int>(24 / links), i < links) << first << " of " << links;
    }
  }
}

struct Refusal {
  const char* part;  // of the reason
  void (*spoil)(table::Table&);
};

TEST(ServingTable, RefusesWhatThisDataPlaneCannotServe) {
  using table::Table;
  const IpAddress ipv6 = *IpAddress::parse("2001:db8::1");
  static IpAddress six;
  six = ipv6;
  const std::vector<Refusal> cases = {
      {"is not IPv4", [](Table& t) { t.interfaces[0].local = six, t.interfaces[0].prefix_length = 64; }},
      {"no port link9", [](Table& t) { t.links[0].port = table::Name::of("link9"); }},
      {"link syd-mel-a: port edge0 has role edge",
       [](Table& t) { t.links[0].port = table::Name::of("edge0"); }},
      {"link syd-mel-a: port host0 has role host",
       [](Table& t) { t.links[0].port = table::Name::of("host0"); }},
      {"no port edge7", [](Table& t) { t.interfaces[0].port = table::Name::of("edge7"); }},
      {"has role edge, not host", [](Table& t) { t.interfaces[0].is_host = 1; }},
      {"has role host, not edge", [](Table& t) { t.interfaces[1].is_host = 0; }},
      {"has role link, not edge", [](Table& t) { t.interfaces[0].port = table::Name::of("link0"); }},
      {"VLAN 30 is another record's", [](Table& t) { t.links[1].vlan = 30; }},
      {"address 172.31.1.1 is another", [](Table& t) { t.links[1].local = t.links[0].local; }},
      {"address 10.1.0.1 is another", [](Table& t) { t.snat_addresses[0] = ip("10.1.0.1"); }},
      {"address 198.51.100.1 is another", [](Table& t) { t.services[0].vip = ip("198.51.100.1"); }},
      {"is an address of this PoP", [](Table& t) { t.endpoints[0].address = ip("203.0.113.10"); }},
      {"gateway 192.0.2.1 is not a neighbour", [](Table& t) { t.interfaces[0].gateway = ip("192.0.2.1"); }},
      {"is no host's address", [](Table& t) { t.links[0].next_hop = ip("224.0.0.1"); }},
      {"only IPv4 is served", [](Table& t) { t.links[0].peer = six; }},
      {"only IPv4 is served", [](Table& t) { t.endpoints[1].address = six; }},
      {"only IPv4 is served", [](Table& t) { t.services[0].vip = six; }},
      {"only IPv4 is served", [](Table& t) { t.snat_addresses[0] = six; }},
      {"only IPv4 is served", [](Table& t) { t.prefixes[0].address = six; }},
      {"not on-link and its interface has no gateway",
       [](Table& t) {
         t.endpoints[0].link_count = 0;
         t.endpoints[0].interface = kEdge;
       }},
      {"not through an interface toward it", [](Table& t) { t.services[1].interface = kEdge; }},
      {"same VIP, port and protocol", [](Table& t) { t.services.push_back(t.services[0]); }},
  };
  for (const Refusal& one : cases) {
    table::Table table = lab_table();
    one.spoil(table);
    const auto built = ServingTable::build(table, lab_ports());
    ASSERT_FALSE(built) << one.part;
    EXPECT_NE(built.error().what.find(one.part), std::string::npos) << built.error().what;
  }
}

}  // namespace
}  // namespace perigee::test
