#include "router/response_ids.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace perigee::router {
namespace {

using Place = ResponseIds::Place;
constexpr Instant kNow{1'000'000'000};

TEST(ResponseIds, OnlyItsKeyKnowsAnId) {
  ResponseIds ids;
  const Place place{EndpointId{7}, 9};
  ids.learn("a", "resp_1", place, kNow);
  EXPECT_EQ(ids.find("a", "resp_1", kNow), place);
  EXPECT_EQ(ids.find("b", "resp_1", kNow), std::nullopt);
  EXPECT_EQ(ids.find("", "resp_1", kNow), std::nullopt);
  EXPECT_EQ(ids.find("a", "resp_2", kNow), std::nullopt);
  EXPECT_EQ(ids.find("aresp_1", "", kNow), std::nullopt);
  ids.learn("a", "resp_1", {EndpointId{8}, 9}, kNow);
  EXPECT_EQ(ids.find("a", "resp_1", kNow)->endpoint, EndpointId{8});
}

TEST(ResponseIds, NoKeyTakesOverAnotherOnesId) {
  ResponseIds ids;
  ids.learn("a", "resp_1", {EndpointId{7}, 9}, kNow);
  ids.learn("b", "resp_1", {EndpointId{8}, 9}, kNow);  // an engine that lets its client choose the id
  EXPECT_EQ(ids.find("b", "resp_1", kNow), std::nullopt);
  EXPECT_EQ(ids.find("a", "resp_1", kNow)->endpoint, EndpointId{7});
  ids.learn("b", "resp_1", {EndpointId{8}, 9}, kNow + ResponseIds::kLife);
  EXPECT_TRUE(ids.find("b", "resp_1", kNow + ResponseIds::kLife));
}

TEST(ResponseIds, AnIdExpires) {
  ResponseIds ids;
  ids.learn("a", "r", {}, kNow);
  EXPECT_TRUE(ids.find("a", "r", kNow + ResponseIds::kLife - Nanos(1)));
  EXPECT_FALSE(ids.find("a", "r", kNow + ResponseIds::kLife));
}

TEST(ResponseIds, WhatIsNoPlainIdIsNotLearned) {
  ResponseIds ids;
  for (const std::string& id : {std::string(), std::string("a b"), std::string("\xc3\xa9"),
                                std::string("a\\u0041"), std::string(ResponseIds::kMaxOctets + 1, 'x')}) {
    ids.learn("a", id, {}, kNow);
    EXPECT_FALSE(ids.find("a", id, kNow)) << id;
  }
}

TEST(ResponseIds, TheOldestOnesMakeRoom) {
  ResponseIds ids;
  constexpr std::size_t kIds = 2 * ResponseIds::kSets * ResponseIds::kWays;
  for (std::size_t i = 0; i < kIds; ++i)
    ids.learn("a", std::to_string(i), {}, kNow + Nanos(static_cast<std::int64_t>(i)));
  std::size_t known = 0;
  for (std::size_t i = 0; i < kIds; ++i) known += ids.find("a", std::to_string(i), kNow) ? 1 : 0;
  EXPECT_LE(known, ResponseIds::kSets * ResponseIds::kWays);
  EXPECT_GT(known, ResponseIds::kSets * ResponseIds::kWays * 9 / 10);
  EXPECT_FALSE(ids.find("a", "0", kNow));
  EXPECT_TRUE(ids.find("a", std::to_string(kIds - 1), kNow));
}

TEST(ResponseIds, AKeyThatIsGivenManyLosesItsOwn) {
  ResponseIds ids;
  constexpr std::size_t kFew = 100, kMany = 2 * ResponseIds::kSets * ResponseIds::kWays;
  for (std::size_t i = 0; i < kFew; ++i) ids.learn("few", "few" + std::to_string(i), {}, kNow);
  for (std::size_t i = 0; i < kMany; ++i)
    ids.learn("many", std::to_string(i), {}, kNow + Nanos(static_cast<std::int64_t>(i + 1)));
  for (std::size_t i = 0; i < kFew; ++i) EXPECT_TRUE(ids.find("few", "few" + std::to_string(i), kNow)) << i;
  EXPECT_TRUE(ids.find("many", std::to_string(kMany - 1), kNow));
  const Instant later = kNow + Nanos(static_cast<std::int64_t>(kMany + 1));
  ids.learn("few", "new", {}, later);
  EXPECT_TRUE(ids.find("few", "new", later)) << "from the one that has many";
}

TEST(ResponseIds, ThreadsNeverSeeHalfAnEntry) {
  ResponseIds ids;
  std::vector<std::thread> threads;
  for (std::uint32_t thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&, thread] {
      for (std::uint32_t i = 0; i < 2000; ++i) {
        ids.learn("a", "same", {EndpointId{thread}, thread}, kNow);
        const auto place = ids.find("a", "same", kNow);
        ASSERT_TRUE(place);
        ASSERT_EQ(place->endpoint.value, place->pool);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace perigee::router
