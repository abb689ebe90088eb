#include "dataplane/snat.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace perigee {
namespace {

constexpr FlowTick kMinute = 60'000'000'000U >> 20U;

TEST(SnatPorts, HighBitsNameTheOwner) {
  for (const std::uint32_t workers : {1U, 2U, 3U, 4U, 16U}) {
    std::set<std::uint32_t> all;
    for (std::uint32_t worker = 0; worker < workers; ++worker) {
      const SnatPorts ports(worker, workers);
      for (std::uint32_t port = ports.first(); port < ports.first() + ports.count(); ++port) {
        ASSERT_GE(port, 1024U);
        ASSERT_LE(port, 65535U);
        ASSERT_EQ(SnatPorts::owner_of(static_cast<std::uint16_t>(port), workers), worker);
        ASSERT_TRUE(all.insert(port).second);
      }
    }
    EXPECT_LT(SnatPorts::owner_of(65535, workers), workers);
  }
}

TEST(SnatLine, EveryPortOnceThenNone) {
  const SnatPorts ports(0, 1);
  SnatRests rests(10);
  SnatLine line(ports, 777);
  std::set<std::uint16_t> seen;
  for (std::uint32_t i = 0; i < ports.count(); ++i) {
    const auto taken = line.take(rests, 0);
    ASSERT_TRUE(taken);
    ASSERT_FALSE(taken->early);
    ASSERT_TRUE(ports.contains(taken->port));
    ASSERT_TRUE(seen.insert(taken->port).second);
  }
  EXPECT_EQ(line.used(), ports.count());
  EXPECT_FALSE(line.take(rests, 0));
}

TEST(SnatLine, AFreedPortRestsAMinute) {
  const SnatPorts ports(0, 1);
  SnatRests rests(100);
  SnatLine line(ports, 0);
  const std::uint16_t first = line.take(rests, 0)->port;
  line.give(rests, first, 1000);
  EXPECT_NE(line.take(rests, 1000 + kMinute - 2)->port, first);
  EXPECT_EQ(line.take(rests, 1000 + kMinute + 2)->port, first);
}

TEST(SnatLine, OldestFreedFirst) {
  const SnatPorts ports(0, 1);
  SnatRests rests(100);
  SnatLine line(ports, 0);
  std::vector<std::uint16_t> order;
  for (int i = 0; i < 5; ++i) order.push_back(line.take(rests, 0)->port);
  std::swap(order[0], order[3]);
  for (std::size_t i = 0; i < order.size(); ++i) line.give(rests, order[i], static_cast<FlowTick>(i));
  for (const std::uint16_t port : order) EXPECT_EQ(line.take(rests, 2 * kMinute)->port, port);
}

TEST(SnatLine, EarlyReuseOnlyWhenNothingElseIsLeftAndSaidSo) {
  const SnatPorts ports(15, 16);
  SnatRests rests(1000);
  SnatLine line(ports, 0);
  std::vector<std::uint16_t> all;
  for (std::uint32_t i = 0; i < ports.count(); ++i) all.push_back(line.take(rests, 0)->port);
  line.give(rests, all[7], 10);
  line.give(rests, all[3], 11);
  const auto taken = line.take(rests, 20);
  ASSERT_TRUE(taken);
  EXPECT_TRUE(taken->early);
  EXPECT_EQ(taken->port, all[7]);
}

TEST(SnatLine, FullRestsFreeAtOnce) {
  const SnatPorts ports(15, 16);
  SnatRests rests(1);
  SnatLine line(ports, 0);
  const std::uint16_t a = line.take(rests, 0)->port;
  const std::uint16_t b = line.take(rests, 0)->port;
  line.give(rests, a, 0);
  line.give(rests, b, 0);  // no room to rest
  std::set<std::uint16_t> seen;
  for (std::uint32_t i = 0; i < ports.count(); ++i) seen.insert(line.take(rests, 0)->port);
  EXPECT_EQ(seen.size(), ports.count());
  EXPECT_FALSE(line.take(rests, 0));
}

TEST(SnatLine, ClaimedPortsAreNotGivenOut) {
  const SnatPorts ports(15, 16);
  SnatRests rests(10);
  SnatLine line(ports, 0);
  const auto port = static_cast<std::uint16_t>(ports.first());
  EXPECT_TRUE(line.claim(port));
  EXPECT_FALSE(line.claim(port));
  EXPECT_FALSE(line.claim(1024));  // another worker's
  for (std::uint32_t i = 1; i < ports.count(); ++i) ASSERT_NE(line.take(rests, 0)->port, port);
  EXPECT_FALSE(line.take(rests, 0));
}

TEST(SnatLine, ClearGivesTheRestsBack) {
  const SnatPorts ports(0, 1);
  SnatRests rests(2);
  SnatLine line(ports, 0);
  const std::uint16_t a = line.take(rests, 0)->port;
  const std::uint16_t b = line.take(rests, 0)->port;
  line.give(rests, a, 0);
  line.give(rests, b, 0);
  EXPECT_EQ(rests.take(), SnatRests::kNone);
  line.clear(rests);
  EXPECT_NE(rests.take(), SnatRests::kNone);
  EXPECT_NE(rests.take(), SnatRests::kNone);
}

TEST(ClientShare, CountsByPrefix) {
  ClientShare share({1, 2});
  share.set_limit(2);
  share.add(client_words(0x0a000001U));
  EXPECT_FALSE(share.at_limit(client_words(0x0a000001U)));
  share.add(client_words(0x0a0000feU));
  EXPECT_TRUE(share.at_limit(client_words(0x0a000077U)));
  EXPECT_FALSE(share.at_limit(client_words(0x0a000101U)));
  share.remove(client_words(0x0a000001U));
  EXPECT_FALSE(share.at_limit(client_words(0x0a000077U)));
}

TEST(ClientShare, Ipv6By64) {
  ClientShare share({1, 2});
  share.set_limit(1);
  share.add(client_words(*IpAddress::parse("2001:db8:0:1::1")));
  EXPECT_TRUE(share.at_limit(client_words(*IpAddress::parse("2001:db8:0:1:ffff::9"))));
  EXPECT_FALSE(share.at_limit(client_words(*IpAddress::parse("2001:db8:0:2::1"))));
}

}  // namespace
}  // namespace perigee
