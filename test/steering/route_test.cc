// route(): hard constraints, costs, endpoints, and the events that follow.
#include "steering/route.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "test/steering/world.h"

namespace perigee {
namespace {

using namespace std::chrono_literals;

std::string exclusions(const World& world) {
  std::string out;
  for (const Excluded& excluded : world.route.service(world.policy.service("chat")->id)->excluded) {
    const Policy::Link* link = world.policy.link(excluded.link);
    out += (out.empty() ? "" : " ") + world.policy.endpoint(excluded.endpoint)->name + "/" +
           (link == nullptr ? "-" : link->name) + "=" + name_of(excluded.reason);
  }
  return out;
}

const EndpointRoute& endpoint(const World& world, std::string_view name) {
  return *world.route.endpoint(world.policy.endpoint(name)->id);
}

TEST(Route, RanksPathsNotEndpoints) {
  World world;
  world.settle();
  EXPECT_EQ(world.tier(0), "mel-1/a mel-2/a");
  EXPECT_EQ(world.tier(1), "mel-1/b mel-2/b");
  EXPECT_EQ(world.tier(2), "per-1/p");
  EXPECT_EQ(world.tier(3), "per-1/b") << "14 ms measured and 30 ms declared";
  EXPECT_EQ(world.tier(4), "none");
  EXPECT_EQ(world.links_to("mel"), "a b");
  EXPECT_EQ(world.links_to("per"), "p b");
  EXPECT_EQ(exclusions(world), "");
}

TEST(Route, OnlyForwardedServicesAreRouted) {
  World world;
  world.settle();
  EXPECT_EQ(world.route.services.size(), 1U);
}

TEST(Route, StaticOrderWithNoConditionsAtAll) {
  const Policy policy = policy_from(kWorldPolicy);
  World world;
  world.route = route(policy, Conditions{}, Route{}, Instant{5});
  EXPECT_EQ(world.tier(0), "mel-1/a mel-2/a");
  EXPECT_EQ(world.tier(1), "mel-1/b mel-2/b");
  EXPECT_EQ(world.tier(2), "per-1/p");
  EXPECT_EQ(world.tier(3), "per-1/b") << "the declared cost comes before the policy's order";
}

TEST(Route, StartTransientSettlesOnTheNearest) {
  World world;
  world.rtt("p", 40);
  world.ticks(5);
  EXPECT_EQ(world.in_use(), "p");
  world.rtt("b", 14);
  world.ticks(5);
  world.rtt("a", 10);
  world.ticks(5);
  EXPECT_EQ(world.in_use(), "a");
  EXPECT_EQ(world.history(), "initial:->p initial:p->b initial:b->a");
  world.run(60s);
  EXPECT_EQ(world.switches.size(), 3U);
}

TEST(Route, ALinkDownIsLeftAtOnceAndTakenBackAfterTheHold) {
  World world;
  world.settle();
  world.down("a");
  world.tick();
  EXPECT_EQ(world.in_use(), "b");
  EXPECT_EQ(exclusions(world), "mel-1/a=link_down mel-2/a=link_down");
  EXPECT_EQ(world.links_to("mel"), "b a");
  world.run(5s);
  world.rtt("a", 10);
  world.run(29s);
  EXPECT_EQ(world.in_use(), "b");
  world.run(3s);
  EXPECT_EQ(world.in_use(), "a");
  EXPECT_EQ(world.history(), "failure:a->b recovery:b->a");
}

TEST(Route, AStepMovesServiceAndPopOrderOnce) {
  World world;
  world.settle();
  world.rtt("a", 80);
  world.run(90s);
  EXPECT_EQ(world.history(), "rtt:a->b");
  EXPECT_EQ(world.links_to("mel"), "b a");
}

TEST(Route, WindowsThatMayNotDecideAreUnknown) {
  World world;
  world.rtt("a", 10);
  world.rtt("b", 14);
  world.rtt("p", 40);
  world.conditions.links[0].window->samples = 2;
  world.tick();
  EXPECT_EQ(world.in_use(), "b") << "too few samples";
  world.conditions.links[0].window->samples = 3;
  world.tick();
  EXPECT_EQ(world.in_use(), "a");
  world.conditions.links[0].state = telemetry::LinkState::unknown;
  world.tick();
  const RankedPath& path = *world.route.service(world.policy.services[0].id)
                                ->ranking.find({world.policy.pops[1].id, world.policy.links[0].id});
  EXPECT_FALSE(path.cost.known());
}

TEST(Route, StaleWindowsAreUnknown) {
  World world;
  world.settle();
  world.fresh = false;
  world.run(29s);
  const auto known = [&] { return world.route.services[0].ranking.paths[0].cost.known(); };
  EXPECT_TRUE(known());
  world.run(2s);
  EXPECT_FALSE(known());
  EXPECT_EQ(world.in_use(), "a");
  EXPECT_TRUE(world.switches.empty());
}

TEST(Route, ADegradedLinkIsUsedByItsCost) {
  World world;
  world.settle();
  world.conditions.links[0].state = telemetry::LinkState::degraded;
  world.run(5s);
  EXPECT_EQ(world.in_use(), "a");
}

TEST(Route, LossCostsOnlyAboveWhatIsIgnored) {
  World world;
  world.settle();
  world.rtt("a", 10, 0.009);
  world.run(40s);
  EXPECT_EQ(world.in_use(), "a");
  world.rtt("a", 10, 0.03);  // 2 % above: 20 ms
  world.run(40s);
  EXPECT_EQ(world.in_use(), "b");
  const RankedPath& path =
      *world.route.services[0].ranking.find({world.policy.pops[1].id, world.policy.links[0].id});
  EXPECT_NEAR(static_cast<double>(path.cost.loss.count()), 20e6, 1e3);
}

TEST(Route, MaxRttExcludesWithHysteresis) {
  World world(replaced(kWorldPolicy, "endpoints: [mel-1", "max_rtt: 42ms, endpoints: [mel-1"));
  world.settle();
  EXPECT_EQ(exclusions(world), "per-1/b=over_max_rtt") << "14 ms + 30 ms declared";
  world.rtt("p", 43);
  world.tick();
  EXPECT_EQ(exclusions(world), "per-1/b=over_max_rtt per-1/p=over_max_rtt");
  world.rtt("p", 41);
  world.tick();
  EXPECT_EQ(exclusions(world), "per-1/b=over_max_rtt per-1/p=over_max_rtt") << "not yet 10 % below";
  world.rtt("p", 37);
  world.tick();
  EXPECT_EQ(exclusions(world), "per-1/b=over_max_rtt");
  world.rtt("a", 60);
  world.rtt("b", 60);
  world.rtt("p", 60);
  world.tick();
  EXPECT_EQ(world.tier(0), "none") << "a limit is a limit";
}

TEST(Route, UnhealthyEndpointsTakeNothingNewAndKeepWhatTheyHave) {
  World world;
  world.settle();
  world.health("mel-1", Health::unhealthy);
  world.tick();
  EXPECT_EQ(world.tier(0), "mel-2/a per-1/p") << "a third of mel is left: panic (placement_test.cc)";
  EXPECT_FALSE(endpoint(world, "mel-1").accepts_new);
  EXPECT_FALSE(endpoint(world, "mel-1").reset_established);
  EXPECT_EQ(exclusions(world), "mel-1/a=unhealthy mel-1/b=unhealthy");
  EXPECT_TRUE(world.switches.empty()) << "the same path serves";
  world.health("mel-2", Health::dead);
  world.tick();
  EXPECT_EQ(world.in_use(), "p");
  EXPECT_TRUE(endpoint(world, "mel-2").reset_established);
  EXPECT_EQ(world.history(), "failure:a->p");
  world.health("mel-2", Health::healthy);
  world.tick();
  EXPECT_FALSE(endpoint(world, "mel-2").reset_established);
}

TEST(Route, UnknownHealthKeepsTheLastVerdict) {
  World world;
  world.settle();
  world.health("mel-1", Health::dead);
  world.tick();
  world.health("mel-1", Health::unknown);
  world.tick();
  EXPECT_FALSE(endpoint(world, "mel-1").accepts_new);
  EXPECT_TRUE(endpoint(world, "mel-1").reset_established);
}

TEST(Route, WithoutHealthChecksAnEndpointIsHealthy) {
  World world(replaced(kWorldPolicy, "10.2.1.1:8000", "10.2.1.1:8000, health: {type: none}"));
  world.settle();
  world.health("mel-1", Health::dead);
  world.tick();
  EXPECT_TRUE(endpoint(world, "mel-1").accepts_new);
}

TEST(Route, ADeadDataPlaneSaysNothingAboutEndpoints) {
  World world;
  world.settle();
  world.conditions.dataplane_alive = false;
  for (const char* name : {"mel-1", "mel-2", "per-1"}) world.health(name, Health::dead);
  world.run(60s);
  EXPECT_TRUE(endpoint(world, "mel-1").accepts_new);
  EXPECT_EQ(world.in_use(), "a") << "the last order";
  world.conditions.dataplane_alive = true;
  world.run(2s);
  EXPECT_FALSE(endpoint(world, "mel-1").reset_established) << "the verdict is still that of the outage";
  for (const char* name : {"mel-1", "mel-2"}) world.health(name, Health::healthy);
  world.run(10s);
  EXPECT_EQ(world.in_use(), "a");
  EXPECT_TRUE(endpoint(world, "per-1").reset_established) << "this one had its time, and is dead";
  EXPECT_TRUE(world.switches.empty());
}

TEST(Route, DeadLinksSayNothingAboutEndpoints) {
  World world;
  world.settle();
  world.down("a");
  world.down("b");
  world.health("mel-1", Health::dead);
  world.run(10s);
  EXPECT_FALSE(endpoint(world, "mel-1").reset_established);
  world.rtt("b", 14);
  world.run(3s);
  EXPECT_TRUE(endpoint(world, "mel-1").accepts_new);
  world.run(1s);
  EXPECT_TRUE(endpoint(world, "mel-1").reset_established) << "reached for 3 intervals and a timeout";
}

TEST(Route, VerdictsCountWhereThereNeverWasADataPlane) {
  World world;
  world.conditions.dataplane_alive = false;
  world.health("mel-1", Health::unhealthy);
  world.tick();
  EXPECT_FALSE(endpoint(world, "mel-1").accepts_new);
}

TEST(Route, DrainMovesNewFlowsAtOnceAndOldOnesAtTheDeadline) {
  World world;
  world.settle();
  world.policy =
      policy_from(replaced(replaced(replaced(kWorldPolicy, "10.2.1.1:8000", "10.2.1.1:8000, drain: true"),
                                    "weight: 50", "weight: 50, drain: true"),
                           "services:", "flows: {drain_deadline: 5s}\nservices:"));
  world.tick();
  EXPECT_EQ(world.in_use(), "p");
  EXPECT_EQ(world.history(), "policy:a->p");
  EXPECT_FALSE(endpoint(world, "mel-1").accepts_new);
  EXPECT_FALSE(endpoint(world, "mel-1").reset_established);
  world.run(4800ms);
  EXPECT_FALSE(endpoint(world, "mel-1").reset_established);
  world.run(300ms);
  EXPECT_TRUE(endpoint(world, "mel-1").reset_established);
  world.policy = policy_from(kWorldPolicy);
  world.tick();
  EXPECT_FALSE(endpoint(world, "mel-1").reset_established);
  EXPECT_EQ(world.in_use(), "a");
}

TEST(Route, FullEndpointsSpill) {
  World world(replaced(kWorldPolicy, "weight: 50", "weight: 50, capacity: 100"));
  world.settle();
  const auto flows = [&](std::uint64_t count) {
    world.conditions.endpoints[1].flows = count;
    world.tick();
    return world.tier(0);
  };
  EXPECT_EQ(flows(79), "mel-1/a mel-2/a");
  EXPECT_EQ(flows(80), "mel-1/a") << "full at 80 % of the capacity";
  EXPECT_EQ(exclusions(world), "mel-2/a=full mel-2/b=full");
  EXPECT_EQ(flows(65), "mel-1/a");
  EXPECT_EQ(flows(63), "mel-1/a mel-2/a");
  EXPECT_TRUE(endpoint(world, "mel-2").halved);
  flows(100);
  world.health("mel-1", Health::unhealthy);
  world.health("per-1", Health::unhealthy);
  EXPECT_EQ(flows(100), "mel-2/a") << "full, but nobody else is left";
}

TEST(Route, LocalEndpointsAreNearest) {
  World world(
      replaced(replaced(kWorldPolicy, "  per-1:", "  syd-1: {pop: syd, address: 10.1.0.9:8000}\n  per-1:"),
               "mel-2, per-1]", "mel-2, per-1, syd-1]"));
  world.settle();
  EXPECT_EQ(world.tier(0), "syd-1/-");
  EXPECT_EQ(world.tier(1), "mel-1/a mel-2/a");
}

TEST(Route, TiersBeyondATableAreLeftOut) {
  std::string text(kWorldPolicy);
  std::string links;
  for (int i = 0; i < 20; ++i)
    links += "  x" + std::to_string(i) + ": {pop: mel, port: y" + std::to_string(i) + ", local: 172.30." +
             std::to_string(i) + ".1, peer: 172.30." + std::to_string(i) + ".2}\n";
  World world(replaced(text, "endpoints:\n", links + "endpoints:\n"));
  world.tick();
  const ServiceRoute& chosen = world.route.services[0];
  EXPECT_EQ(chosen.tiers.size(), table::kMaxTiersPerService);
  EXPECT_TRUE(std::any_of(chosen.excluded.begin(), chosen.excluded.end(),
                          [](const Excluded& e) { return e.reason == Exclusion::beyond_limit; }));
}

}  // namespace
}  // namespace perigee
