#include "contract/rendezvous.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace perigee {
namespace {

using Candidates = std::vector<std::pair<std::uint32_t, std::uint32_t>>;  // endpoint, weight

std::uint32_t winner(std::uint64_t key, const Candidates& candidates) {
  bool any = false;
  RendezvousRank best;
  for (const auto& [endpoint, weight] : candidates) {
    if (weight == 0) continue;
    const RendezvousRank rank = rendezvous_rank(key, EndpointId{endpoint}, weight);
    if (!any || rank < best) best = rank;
    any = true;
  }
  return best.id;
}

std::uint64_t key_of(std::uint32_t client, std::uint16_t port = 1) {
  return rendezvous_key(IpAddress::v4(client), port, ServiceId{42});
}

TEST(Rendezvous, EqualsTheOracleBitForBit) {
  std::ifstream file(PERIGEE_SOURCE_DIR "/test/vectors/rendezvous.txt");
  std::string line;
  int distances = 0;
  int choices = 0;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string kind;
    words >> kind;
    if (kind == "distance") {
      std::uint64_t hash = 0;
      std::uint64_t value = 0;
      words >> std::hex >> hash >> std::dec >> value;
      ASSERT_EQ(rendezvous_distance(hash), value) << line;
      ++distances;
    } else if (kind == "choice") {
      std::string client;
      std::uint32_t port = 0;
      std::uint32_t service = 0;
      std::uint32_t expected = 0;
      std::uint64_t key = 0;
      words >> client >> port >> std::hex >> service >> key >> expected;
      Candidates candidates;
      std::uint32_t endpoint = 0;
      std::uint32_t weight = 0;
      char colon = 0;
      while (words >> std::hex >> endpoint >> colon >> std::dec >> weight)
        candidates.emplace_back(endpoint, weight);
      ASSERT_FALSE(candidates.empty()) << line;
      const auto address = IpAddress::parse(client);
      ASSERT_TRUE(address) << line;
      ASSERT_EQ(rendezvous_key(*address, static_cast<std::uint16_t>(port), ServiceId{service}), key) << line;
      ASSERT_EQ(winner(key, candidates), expected) << line;
      ++choices;
    }
  }
  EXPECT_GE(distances, 200);
  EXPECT_GE(choices, 500);
}

TEST(Rendezvous, DistanceIsTheLogarithm) {
  std::mt19937_64 random(5);
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t hash = random() >> random() % 60;
    const double exact = 64 - std::log2(static_cast<double>(hash) + 1);
    const double ours = static_cast<double>(rendezvous_distance(hash)) / 4294967296.0;
    ASSERT_NEAR(ours, exact, 5e-6) << hash;
  }
  EXPECT_GT(rendezvous_distance(~std::uint64_t{0}), 0U);
}

TEST(Rendezvous, WinsInProportionToWeight) {
  const Candidates candidates = {{11, 100}, {22, 200}, {33, 700}, {44, 0}};
  std::vector<double> won(4);
  constexpr int kFlows = 100'000;
  for (std::uint32_t i = 0; i < kFlows; ++i) won[winner(key_of(i), candidates) / 11 - 1] += 1;
  const std::vector<double> expected = {0.1, 0.2, 0.7, 0.0};
  for (std::size_t i = 0; i < 4; ++i) {
    // Five standard deviations of a binomial.
    EXPECT_NEAR(won[i] / kFlows, expected[i], 5 * std::sqrt(0.25 / kFlows)) << i;
  }
}

TEST(Rendezvous, PortsOfOneClientSpread) {
  const Candidates candidates = {{11, 100}, {22, 100}};
  int first = 0;
  for (std::uint32_t port = 0; port < 10'000; ++port) {
    if (winner(key_of(0x0a000001, static_cast<std::uint16_t>(port)), candidates) == 11) ++first;
  }
  EXPECT_NEAR(first, 5000, 250);
}

TEST(Rendezvous, AChangeMovesOnlyWhatItMust) {
  const Candidates before = {{11, 100}, {22, 100}, {33, 100}, {55, 100}};
  const Candidates without = {{11, 100}, {22, 0}, {33, 100}, {55, 100}};
  const Candidates heavier = {{11, 150}, {22, 100}, {33, 100}, {55, 100}};
  int gained = 0;
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    const std::uint32_t was = winner(key_of(i), before);
    const std::uint32_t after = winner(key_of(i), without);
    ASSERT_TRUE(was == 22 || after == was);
    ASSERT_NE(after, 22U);
    const std::uint32_t then = winner(key_of(i), heavier);
    ASSERT_TRUE(then == was || then == 11);
    if (then != was) ++gained;
  }
  EXPECT_NEAR(gained / 20'000.0, 150.0 / 450 - 0.25, 0.02);
}

TEST(Rendezvous, NobodyWithoutWeight) { EXPECT_EQ(winner(key_of(1), {{11, 0}, {22, 0}}), 0U); }

TEST(Rendezvous, OrderOfCandidatesDoesNotMatter) {
  for (std::uint32_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(winner(key_of(i), {{11, 3}, {22, 5}, {33, 7}}), winner(key_of(i), {{33, 7}, {11, 3}, {22, 5}}));
  }
}

}  // namespace
}  // namespace perigee
