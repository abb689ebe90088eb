// Maintenance windows, pins, allowed PoPs and cost tiers: what they keep new flows from, and for how long.
#include "steering/constraints.h"

#include <gtest/gtest.h>

#include "steering/explain.h"
#include "steering/table_compiler.h"
#include "test/steering/routed_world.h"
#include "test/steering/table_text.h"

namespace perigee {
namespace {

using namespace std::chrono_literals;

const std::string kWindow =
    "maintenance: [{from: 2026-12-01T02:00:00Z, to: 2026-12-01T04:00:00Z, note: fans}]";

WallTime at(const char* time) { return parse_wall_time(time).value(); }
const WallTime kBefore = at("2026-12-01T01:59:59Z");
const WallTime kFirst = at("2026-12-01T02:00:00Z");
const WallTime kLast = at("2026-12-01T03:59:59Z");
const WallTime kAfter = at("2026-12-01T04:00:00Z");

std::string with(const std::string& before, const std::string& added) {
  return replaced(kWorldPolicy, before, before + ", " + added);
}
std::string chat(const std::string& added) { return with("chat: {vip: 203.0.113.10:8000", added); }

// "drained", or "tier" when it is in one.
std::string fate(const World& world, std::string_view endpoint, std::string_view link) {
  const ServiceRoute& route = world.route.services.at(0);
  for (const Excluded& excluded : route.excluded)
    if (world.policy.endpoint(excluded.endpoint)->name == endpoint &&
        world.policy.link(excluded.link)->name == link)
      return name_of(excluded.reason);
  return "tier";
}
std::string verdict(const World& world, std::string_view endpoint, std::string_view link) {
  const auto said =
      explain(world.policy, world.route, "chat", IpAddress::v4(1, 2, 3, 4), {}, world.now).value();
  for (const ExplainedCandidate& candidate : said.candidates)
    if (candidate.endpoint == endpoint && candidate.link == link) return candidate.verdict;
  return "not there";
}

TEST(Maintenance, AnEndpointIsAvoidedInItsWindowOnly) {
  World world(with("10.2.1.1:8000", kWindow));
  world.conditions.wall = kBefore;
  world.settle();
  EXPECT_EQ(world.tier(0), "mel-1/a mel-2/a");
  for (const WallTime time : {kFirst, kLast}) {
    world.conditions.wall = time;
    world.tick();
    EXPECT_EQ(world.tier(0), "mel-2/a");
    EXPECT_EQ(fate(world, "mel-1", "a"), "maintenance");
    EXPECT_EQ(verdict(world, "mel-1", "a"),
              "excluded: endpoint mel-1 is in maintenance until 2026-12-01T04:00:00Z: fans");
    ASSERT_EQ(world.route.maintenance.size(), 1U);
    EXPECT_EQ(world.route.maintenance[0], (UnderMaintenance{"endpoint", "mel-1", kAfter, "fans"}));
  }
  const std::string table = text_of(compile(world.policy, world.route, {1, 1, 0}));
  EXPECT_NE(table.find("endpoint mel-1 10.2.1.1:8000 closed a b\n"), std::string::npos) << "flows stay\n"
                                                                                        << table;
  world.conditions.wall = kAfter;
  world.tick();
  EXPECT_EQ(world.tier(0), "mel-1/a mel-2/a");
  EXPECT_TRUE(world.route.maintenance.empty());
}

TEST(Maintenance, WithoutATimeNothingBegins) {
  World world(with("10.2.1.1:8000", kWindow));
  world.settle();
  EXPECT_EQ(world.tier(0), "mel-1/a mel-2/a");
  World pinned(chat("pin: {to: [per], until: 2026-12-01T04:00:00Z}"));
  pinned.settle();
  EXPECT_EQ(pinned.tier(0), "mel-1/a mel-2/a");
}

TEST(Maintenance, APopSwitchesAtOnceByPolicyAndBack) {
  World world(with("mel: {prefixes: [10.2.0.0/16]", kWindow));
  world.settle();
  world.conditions.wall = kFirst;
  world.tick();
  EXPECT_EQ(world.history(), "policy:a->p");
  EXPECT_EQ(verdict(world, "mel-2", "a"),
            "excluded: PoP mel is in maintenance until 2026-12-01T04:00:00Z: fans");
  EXPECT_EQ(fate(world, "per-1", "b"), "maintenance") << "the way leads through mel";
  world.ticks(20);
  EXPECT_EQ(world.history(), "policy:a->p");
  world.conditions.wall = kAfter;
  world.tick();
  EXPECT_EQ(world.history(), "policy:a->p policy:p->a") << "without a hold";
}

TEST(Maintenance, ALinkIsAvoidedAndLeftByEstablishedFlowsIfTheyCan) {
  World world(with("peer: 172.31.1.2", kWindow));
  world.settle();
  world.conditions.wall = kFirst;
  world.tick();
  EXPECT_EQ(world.history(), "policy:a->b");
  EXPECT_EQ(fate(world, "mel-1", "a"), "maintenance");
  EXPECT_EQ(world.links_to("mel"), "b a");
  EXPECT_EQ(verdict(world, "mel-1", "a"),
            "excluded: link a is in maintenance until 2026-12-01T04:00:00Z: fans");
  world.down("b");
  world.tick();
  EXPECT_EQ(world.tier(0), "per-1/p") << "new flows do not take it for want of another";
  const std::string table = text_of(compile(world.policy, world.route, {1, 1, 0}));
  EXPECT_NE(table.find("endpoint mel-1 10.2.1.1:8000 new "), std::string::npos) << table;
  EXPECT_NE(table.find(" a"), std::string::npos) << "established ones still have it";
}

TEST(Maintenance, ARestartInTheWindowTakesNobodyForUnhealthy) {
  World world(with("10.2.1.1:8000", kWindow));
  world.settle();
  world.conditions.wall = kFirst;
  world.tick();
  world.route = rebuild(world.policy, compile(world.policy, world.route, {1, 1, 0}), world.now);
  world.tick();
  EXPECT_EQ(fate(world, "mel-1", "a"), "maintenance");
  EXPECT_TRUE(world.route.endpoint(id_from_name<EndpointId>("mel-1"))->healthy);
  world.conditions.wall = kAfter;
  world.tick();
  EXPECT_EQ(world.tier(0), "mel-1/a mel-2/a");
}

TEST(Pins, OnlyThoseAreUsedUntilItExpires) {
  World world(chat("pin: {to: [per], until: 2026-12-01T04:00:00Z}"));
  world.conditions.wall = kBefore;
  world.settle();
  EXPECT_EQ(world.tier(0), "per-1/p");
  EXPECT_EQ(fate(world, "mel-1", "a"), "not_pinned");
  EXPECT_EQ(verdict(world, "mel-1", "a"),
            "excluded: the service is pinned to others until 2026-12-01T04:00:00Z");
  world.conditions.wall = kAfter;
  world.tick();
  EXPECT_EQ(world.tier(0), "mel-1/a mel-2/a");
  EXPECT_EQ(world.history(), "policy:p->a");
}

TEST(Pins, DoNotOverrideHealth) {
  World world(chat("pin: {to: [per-1], until: 2026-12-01T04:00:00Z}"));
  world.conditions.wall = kBefore;
  world.settle();
  world.health("per-1", Health::unhealthy);
  world.run(10s);
  EXPECT_EQ(world.tier(0), "none");
  EXPECT_EQ(fate(world, "per-1", "p"), "unhealthy");
  EXPECT_EQ(fate(world, "mel-1", "a"), "not_pinned");
  EXPECT_EQ(text_of(compile(world.policy, world.route, {1, 1, 0})).find("tier mel"), std::string::npos);
}

TEST(AllowedPops, OthersAreNeverUsed) {
  World world(chat("pops: [per]"));
  world.settle();
  EXPECT_EQ(world.tier(0), "per-1/p");
  EXPECT_EQ(fate(world, "mel-1", "a"), "pop_not_allowed");
  world.route = rebuild(world.policy, compile(world.policy, world.route, {1, 1, 0}), world.now);
  world.tick();
  EXPECT_TRUE(world.route.switches.empty());
  world.down("p");
  world.down("b");
  world.tick();
  EXPECT_EQ(world.tier(0), "none");
}

TEST(CostTiers, AHigherOneServesOnlyWhileNoLowerOneIsUsable) {
  World world(with("10.2.1.1:8000", "cost_tier: 2, weight: 7"));
  world.settle();
  EXPECT_EQ(world.tier(0), "mel-2/a");
  EXPECT_EQ(fate(world, "mel-1", "a"), "cost_tier");
  EXPECT_EQ(verdict(world, "mel-1", "a"), "excluded: cost tier 2, and an endpoint of a lower one is usable");
  world.health("mel-2", Health::unhealthy);
  world.run(10s);
  EXPECT_EQ(world.tier(0), "per-1/p") << "farther, and cheaper";
  world.health("per-1", Health::unhealthy);
  world.run(10s);
  EXPECT_EQ(world.tier(0), "mel-1/a");
}

TEST(CostTiers, WhatCameBackWaitsForTheHoldAndStandsByMeanwhile) {
  World world(replaced(with("10.2.1.1:8000", "cost_tier: 1"), "weight: 50", "weight: 50, cost_tier: 1"));
  world.settle();
  EXPECT_EQ(world.tier(0), "per-1/p");
  const auto table = [&] { return text_of(compile(world.policy, world.route, {1, 1, 0})); };
  EXPECT_NE(table().find("  tier per-1/p=100\n  tier per-1/b=100\n  tier mel-1/a=100 mel-2/a=50\n"),
            std::string::npos)
      << "for the data plane alone, when all links to per are down\n"
      << table();
  world.down("p");
  world.down("b");
  world.tick();
  EXPECT_EQ(world.tier(0), "mel-1/a mel-2/a");
  EXPECT_EQ(world.history(), "failure:p->a");
  world.rtt("p", 40);
  world.run(29s);
  EXPECT_EQ(world.tier(0), "mel-1/a mel-2/a");
  EXPECT_EQ(fate(world, "per-1", "p"), "tier");
  world.run(2s);
  EXPECT_EQ(world.tier(0), "per-1/p");
  EXPECT_EQ(world.history(), "failure:p->a recovery:a->p");
  world.down("p");
  world.tick();
  world.rtt("p", 40);
  world.tick();
  world.down("a");
  world.tick();
  EXPECT_EQ(world.tier(0), "per-1/p") << "there is nothing else";
}

TEST(CostTiers, OneThatIsFullMakesRoomForTheNext) {
  World world(with("10.3.1.1:8000", "cost_tier: 1"));
  for (Policy::Endpoint& endpoint : world.policy.endpoints) endpoint.capacity = 10;
  world.settle();
  for (auto& endpoint : world.conditions.endpoints) endpoint.flows = 0;
  world.conditions.endpoints[0].flows = world.conditions.endpoints[1].flows = 10;
  world.tick();
  EXPECT_EQ(world.tier(0), "per-1/p");
  EXPECT_EQ(fate(world, "mel-1", "a"), "full");
}

TEST(RoutedConstraints, HoldForEveryModelAndItsCanary) {
  World world(replaced(kRoutedPolicy, "max_rtt: 200ms",
                       "pops: [mel, per]\n    pin: {to: [mel-2, per-1], until: 2026-12-01T04:00:00Z}"));
  world.conditions.wall = kBefore;
  world.settle();
  ASSERT_EQ(world.route.pools.size(), 3U);
  for (const ServiceRoute& pool : world.route.pools)
    for (const Tier& tier : pool.tiers)
      for (const Candidate& candidate : tier)
        EXPECT_NE(world.policy.endpoint(candidate.endpoint)->name, "mel-1");
  EXPECT_EQ(world.route.pools[0].excluded.at(0).reason, Exclusion::not_pinned);
  EXPECT_FALSE(world.route.pools[1].tiers.empty()) << "the canary's per-1";
  EXPECT_FALSE(world.route.pools[2].tiers.empty()) << "phi at mel-2";
}

}  // namespace
}  // namespace perigee
