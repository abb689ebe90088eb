// Tiers from a ranking: capacity, what spills when part of a tier is gone, panic, weights.
#include "steering/placement.h"

#include <gtest/gtest.h>

#include "steering/table_compiler.h"
#include "test/steering/world.h"

namespace perigee {
namespace {

using namespace std::chrono_literals;

// Four near, two farther, one far.
const std::string kPolicy = replaced(
    replaced(kWorldPolicy, "  mel-2: {pop: mel, address: 10.2.1.2:8000, weight: 50}\n",
             "  mel-2: {pop: mel, address: 10.2.1.2:8000}\n  mel-3: {pop: mel, address: 10.2.1.3:8000}\n"
             "  mel-4: {pop: mel, address: 10.2.1.4:8000}\n  per-2: {pop: per, address: 10.3.1.2:8000}\n"),
    "[mel-1, mel-2, per-1]", "[mel-1, mel-2, mel-3, mel-4, per-1, per-2]");

// "mel-1=100 per-1=20": the first tier.
std::string weights(const World& world) {
  std::string out;
  for (const Candidate& candidate : world.route.services[0].tiers.at(0))
    out += (out.empty() ? "" : " ") + world.policy.endpoint(candidate.endpoint)->name + "=" +
           std::to_string(candidate.weight);
  return out;
}

TEST(Placement, ATierSpillsOnlyWhatItCannotCarry) {
  World world(kPolicy);
  world.settle();
  EXPECT_EQ(weights(world), "mel-1=100 mel-2=100 mel-3=100 mel-4=100");
  world.health("mel-1", Health::unhealthy);
  world.tick();
  EXPECT_EQ(weights(world), "mel-2=100 mel-3=100 mel-4=100") << "three quarters carry all";
  world.health("mel-2", Health::unhealthy);
  world.tick();
  EXPECT_EQ(weights(world), "mel-3=100 mel-4=100 per-1=43 per-2=43") << "half carries 70 %";
  EXPECT_FALSE(world.route.services[0].panic);
  EXPECT_TRUE(world.switches.empty()) << "the paths in use are the same";
  world.health("mel-2", Health::healthy);
  world.tick();
  EXPECT_EQ(weights(world), "mel-2=100 mel-3=100 mel-4=100");
}

TEST(Placement, UnderHalfEverythingThatMayServeDoes) {
  World world(kPolicy);
  world.settle();
  for (const char* name : {"mel-1", "mel-2", "mel-3"}) world.health(name, Health::dead);
  world.tick();
  EXPECT_EQ(weights(world), "mel-4=100 per-1=100 per-2=100");
  EXPECT_TRUE(world.route.services[0].panic);
  EXPECT_DOUBLE_EQ(world.route.services[0].healthy, 0.25);
  world.health("per-2", Health::unhealthy);
  world.tick();
  EXPECT_EQ(weights(world), "mel-4=100 per-1=100") << "never what is unhealthy";
}

TEST(Placement, FartherEndpointsThatDieMoveNothing) {
  World world(kPolicy);
  world.settle();
  for (const char* name : {"per-1", "per-2"}) world.health(name, Health::dead);
  world.tick();
  EXPECT_EQ(weights(world), "mel-1=100 mel-2=100 mel-3=100 mel-4=100");
  EXPECT_DOUBLE_EQ(world.route.services[0].healthy, 1);
}

// What is left of a PoP that is gone counts as long as it is gone, however long that is.
TEST(Placement, APopThatIsGoneIsMissedUntilItIsTakenUpAgain) {
  World world(kPolicy);
  world.settle();
  world.down("a");
  world.down("b");
  world.tick();
  EXPECT_EQ(weights(world), "per-1=100 per-2=100");
  EXPECT_TRUE(world.route.services[0].panic) << "a third of what was nearer or as near";
  world.run(10min);
  EXPECT_TRUE(world.route.services[0].panic);
  world.rtt("a", 10);
  world.run(20s);
  EXPECT_TRUE(world.route.services[0].panic) << "not taken up yet";
  world.run(20s);
  EXPECT_EQ(weights(world), "mel-1=100 mel-2=100 mel-3=100 mel-4=100");
  EXPECT_FALSE(world.route.services[0].panic);
}

TEST(Placement, WhatTheOperatorTookOutIsNotMissed) {
  World world(replaced(replaced(replaced(kPolicy, "10.2.1.1:8000", "10.2.1.1:8000, drain: true"),
                                "10.2.1.2:8000", "10.2.1.2:8000, drain: true"),
                       "10.2.1.3:8000", "10.2.1.3:8000, drain: true"));
  world.settle();
  EXPECT_EQ(weights(world), "mel-4=100");
  EXPECT_DOUBLE_EQ(world.route.services[0].healthy, 1);
}

TEST(Placement, SharesBecomeWeights) {
  World world(replaced(kPolicy, "10.2.1.2:8000", "10.2.1.2:8000, weight: 3"));
  world.settle();
  world.rtt("p", 11.5);
  world.run(2min);
  EXPECT_EQ(weights(world), "mel-1=100 mel-2=3 mel-3=100 mel-4=100 per-1=90 per-2=90");
}

TEST(Placement, WeightsThatAreTooSmallForASharesStepAreScaled) {
  World world(replaced(replaced(kPolicy, "10.3.1.1:8000", "10.3.1.1:8000, weight: 1"), "10.3.1.2:8000",
                       "10.3.1.2:8000, weight: 2"));
  world.settle();
  world.rtt("p", 11.5);
  world.run(2min);
  EXPECT_EQ(weights(world), "mel-1=1000 mel-2=1000 mel-3=1000 mel-4=1000 per-1=9 per-2=18");
}

TEST(Placement, AnEndpointThatWasFullComesBackByHalf) {
  World world(replaced(kPolicy, "10.2.1.1:8000", "10.2.1.1:8000, capacity: 100"));
  world.settle();
  const auto flows = [&](std::uint64_t count) {
    world.conditions.endpoints[0].flows = count;
    world.tick();
    return weights(world);
  };
  EXPECT_EQ(flows(79), "mel-1=100 mel-2=100 mel-3=100 mel-4=100");
  EXPECT_EQ(flows(80), "mel-2=100 mel-3=100 mel-4=100") << "full, yet it carries its load: nothing spills";
  EXPECT_EQ(flows(64), "mel-2=100 mel-3=100 mel-4=100");
  EXPECT_EQ(flows(63), "mel-1=50 mel-2=100 mel-3=100 mel-4=100");
  EXPECT_EQ(flows(49), "mel-1=50 mel-2=100 mel-3=100 mel-4=100");
  EXPECT_EQ(flows(47), "mel-1=60 mel-2=100 mel-3=100 mel-4=100") << "then by a fifth each tick";
  EXPECT_EQ(flows(47), "mel-1=72 mel-2=100 mel-3=100 mel-4=100");
  flows(47);
  EXPECT_EQ(flows(47), "mel-1=100 mel-2=100 mel-3=100 mel-4=100");
}

TEST(Placement, AFullTierFillsTheNext) {
  World world;
  for (Policy::Endpoint& endpoint : world.policy.endpoints) endpoint.capacity = 100;
  world.settle();
  for (Conditions::Endpoint& endpoint : world.conditions.endpoints) endpoint.flows = 0;
  world.conditions.endpoints[0].flows = world.conditions.endpoints[1].flows = 90;
  world.tick();
  EXPECT_EQ(weights(world), "per-1=100");
  EXPECT_EQ(world.history(), "capacity:a->p");
  EXPECT_DOUBLE_EQ(world.route.services[0].healthy, 1);
  world.conditions.endpoints[2].flows = 85;
  world.tick();
  EXPECT_EQ(world.tier(1), "mel-1/a mel-2/a") << "all are: again by distance, once the hold is over";
  world.run(31s);
  EXPECT_EQ(world.tier(0), "mel-1/a mel-2/a");
}

TEST(Placement, TheTableHasTheTiersOfTheRoute) {
  World world(kPolicy);
  world.settle();
  world.health("mel-1", Health::unhealthy);
  world.health("mel-2", Health::unhealthy);
  world.tick();
  const table::Table table = compile(world.policy, world.route, {1, 1, 0});
  const table::Tier& first = table.tiers[table.services[0].first_tier];
  ASSERT_EQ(first.candidate_count, 4U);
  EXPECT_EQ(table.candidates[first.first_candidate + 2].weight, 43U);
}

}  // namespace
}  // namespace perigee
