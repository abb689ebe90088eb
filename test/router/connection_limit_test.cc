#include "router/connection_limit.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace perigee::router {
namespace {

const IpAddress kOne = IpAddress::v4(203, 0, 113, 1);
const IpAddress kTwo = IpAddress::v4(203, 0, 113, 2);

TEST(ConnectionLimit, CountsAllAndGivesBack) {
  const auto limit = std::make_shared<ConnectionLimit>(2, 2);
  ConnectionPermit first = limit->take();
  {
    const ConnectionPermit second = limit->take();
    EXPECT_TRUE(second);
    EXPECT_FALSE(limit->take());
    EXPECT_EQ(limit->open(), 2U);
  }
  EXPECT_EQ(limit->open(), 1U);
  ConnectionPermit moved = std::move(first);
  EXPECT_EQ(limit->open(), 1U);
  moved = ConnectionPermit();
  EXPECT_EQ(limit->open(), 0U);
}

TEST(ConnectionLimit, CountsEachSource) {
  const auto limit = std::make_shared<ConnectionLimit>(10, 1);
  ConnectionPermit first = limit->take();
  ConnectionPermit second = limit->take();
  ConnectionPermit third = limit->take();
  EXPECT_TRUE(limit->assign(first, kOne));
  EXPECT_FALSE(limit->assign(second, kOne));
  EXPECT_TRUE(limit->assign(third, kTwo));
  first = ConnectionPermit();
  EXPECT_TRUE(limit->assign(second, kOne));
}

TEST(ConnectionLimit, AHostOverIpv6IsItsWholeNetwork) {
  const auto limit = std::make_shared<ConnectionLimit>(10, 1);
  ConnectionPermit first = limit->take();
  ConnectionPermit second = limit->take();
  EXPECT_TRUE(limit->assign(first, *IpAddress::parse("2001:db8:0:1::5")));
  EXPECT_FALSE(limit->assign(second, *IpAddress::parse("2001:db8:0:1:ffff::6")));
  EXPECT_TRUE(limit->assign(second, *IpAddress::parse("2001:db8:0:2::5")));
}

TEST(ConnectionLimit, AChangeLeavesThoseThatAreOpen) {
  const auto limit = std::make_shared<ConnectionLimit>(3, 3);
  const ConnectionPermit first = limit->take();
  const ConnectionPermit second = limit->take();
  limit->change(1, 1);
  EXPECT_FALSE(limit->take());
  EXPECT_EQ(limit->open(), 2U);
  limit->change(3, 3);
  EXPECT_TRUE(limit->take());
}

TEST(ConnectionLimit, ASourceWhoseNetworkIsAllZeroGivesItsPlaceBack) {
  const auto limit = std::make_shared<ConnectionLimit>(10, 1);
  const IpAddress localhost = *IpAddress::parse("::1");
  for (int i = 0; i < 3; ++i) {
    ConnectionPermit permit = limit->take();
    EXPECT_TRUE(limit->assign(permit, localhost));
  }
}

TEST(ConnectionLimit, APermitOutlivesItsListener) {
  auto limit = std::make_shared<ConnectionLimit>(1, 1);
  ConnectionPermit permit = limit->take();
  EXPECT_TRUE(limit->assign(permit, kOne));
  limit.reset();
}

TEST(ConnectionLimit, IsExactOverThreads) {
  const auto limit = std::make_shared<ConnectionLimit>(100, 50);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      std::vector<ConnectionPermit> held;
      for (int round = 0; round < 2000; ++round) {
        ConnectionPermit permit = limit->take();
        if (!permit || !limit->assign(permit, round % 2 == 0 ? kOne : kTwo)) {
          held.clear();
        } else {
          held.push_back(std::move(permit));
        }
        EXPECT_LE(limit->open(), 100U + 4U);  // a refused one is counted for a moment
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(limit->open(), 0U);
  std::vector<ConnectionPermit> all(50);
  for (ConnectionPermit& permit : all) {
    permit = limit->take();
    EXPECT_TRUE(limit->assign(permit, kOne));
  }
}

}  // namespace
}  // namespace perigee::router
