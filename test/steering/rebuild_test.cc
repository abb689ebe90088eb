// A restarted gateway takes its previous decision from the table in force and moves no traffic.
#include <gtest/gtest.h>

#include "contract/table_file.h"
#include "steering/route.h"
#include "steering/table_compiler.h"
#include "test/steering/world.h"

namespace perigee {
namespace {

using namespace std::chrono_literals;

// The world as a new gateway finds it.
World restarted(const World& before, const Policy& policy) {
  World after = before;
  const table::Table table = compile(before.policy, before.route, {1, 1, 0});
  EXPECT_TRUE(table::validate(table));
  after.policy = policy;
  after.route = rebuild(policy, table, before.now);
  after.switches.clear();
  return after;
}

TEST(Rebuild, NothingMovesThoughAnotherOrderIsABitBetter) {
  World world;
  world.settle();
  world.rtt("a", 60);
  world.run(1s);
  world.rtt("a", 13);  // better again, within the hold and within the hysteresis
  world.run(1s);
  ASSERT_EQ(world.in_use(), "b");
  World after = restarted(world, world.policy);
  after.tick();
  EXPECT_EQ(after.in_use(), "b");
  EXPECT_EQ(after.links_to("mel").front(), 'b');
  after.run(2min);
  EXPECT_EQ(after.in_use(), "b");
  EXPECT_TRUE(after.switches.empty());
}

TEST(Rebuild, WhatIsClearlyBetterWaitsForDwellAndHold) {
  World world;
  world.settle();
  World after = restarted(world, world.policy);
  after.rtt("a", 60);
  after.run(29s);
  EXPECT_EQ(after.in_use(), "a");
  after.run(3s);
  EXPECT_EQ(after.history(), "rtt:a->b");
}

TEST(Rebuild, TheOrderStaysWhileNothingIsMeasured) {
  World world;
  world.settle();
  world.rtt("a", 60);
  world.run(1s);
  World after = restarted(world, world.policy);
  for (const char* link : {"a", "b", "p"}) after.unknown(link);
  after.run(5min);
  EXPECT_EQ(after.in_use(), "b");
  EXPECT_EQ(after.links_to("mel"), "b a");
  EXPECT_TRUE(after.switches.empty());
}

TEST(Rebuild, FailureStillActsAtOnce) {
  World world;
  world.settle();
  World after = restarted(world, world.policy);
  after.down("a");
  after.tick();
  EXPECT_EQ(after.history(), "failure:a->b");
}

TEST(Rebuild, EndpointsKeepTheirBitsUntilTheirHealthIsKnown) {
  World world;
  world.settle();
  world.health("mel-1", Health::dead);
  world.health("mel-2", Health::unhealthy);
  world.tick();
  World after = restarted(world, world.policy);
  for (const char* name : {"mel-1", "mel-2", "per-1"}) after.health(name, Health::unknown);
  after.run(1s);
  const auto& dead = *after.route.endpoint(after.policy.endpoint("mel-1")->id);
  const auto& out = *after.route.endpoint(after.policy.endpoint("mel-2")->id);
  EXPECT_TRUE(dead.reset_established);
  EXPECT_FALSE(dead.accepts_new);
  EXPECT_FALSE(out.reset_established);
  EXPECT_FALSE(out.accepts_new);
  EXPECT_EQ(after.in_use(), "p");
  after.health("mel-1", Health::healthy);
  after.tick();
  EXPECT_TRUE(after.route.endpoint(after.policy.endpoint("mel-1")->id)->accepts_new);
}

TEST(Rebuild, AnotherPolicyLeavesOutWhatItDoesNotHave) {
  World world;
  world.settle();
  const std::string text = replaced(
      replaced(kWorldPolicy, "  a: {pop: mel, port: link0, local: 172.31.1.1, peer: 172.31.1.2}\n", ""),
      "  mel-2: {pop: mel, address: 10.2.1.2:8000, weight: 50}\n", "");
  World after = restarted(world, policy_from(replaced(text, "mel-2, ", "")));
  after.conditions = {};
  after.tick();
  EXPECT_EQ(after.tier(0), "mel-1/b");
}

TEST(Rebuild, ATableOfAnotherWorldIsNoMemory) {
  World world;
  world.settle();
  const Route rebuilt = rebuild(world.policy, table::Table{}, world.now);
  EXPECT_TRUE(rebuilt.services.empty());
  EXPECT_TRUE(rebuilt.endpoints.empty());
}

TEST(Rebuild, CompilesToTheSameTiers) {
  World world;
  world.settle();
  const table::Table table = compile(world.policy, world.route, {1, 1, 0});
  const table::Table again = compile(world.policy, rebuild(world.policy, table, world.now), {1, 1, 0});
  EXPECT_EQ(table::encode(table), table::encode(again));
}

}  // namespace
}  // namespace perigee
