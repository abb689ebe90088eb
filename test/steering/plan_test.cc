#include "steering/plan.h"

#include <gtest/gtest.h>

#include "test/steering/routed_world.h"

namespace perigee {
namespace {

using namespace std::chrono_literals;

// The plan of `world`, whose policy is `before`, for `after`.
Plan planned(const World& world, const std::string& before, const std::string& after) {
  const Policy next = policy_from(after);
  return plan({world.policy, before}, {next, after}, world.conditions, world.route, world.now);
}

std::string line_of(const PlannedService& service) {
  const auto choice = [](const std::optional<PlannedChoice>& c) {
    return c ? c->endpoint + "/" + (c->link.empty() ? "-" : c->link) : std::string("refused");
  };
  const auto rtt = [](const std::optional<Nanos>& r) { return r ? text_of(*r) : std::string("?"); };
  std::string out = service.name + " " + name_of(service.change) + " " + choice(service.before) + "->" +
                    choice(service.after) + " " +
                    std::to_string(static_cast<int>(service.moved * 100 + 0.5)) + "% " +
                    rtt(service.rtt_before) + "->" + rtt(service.rtt_after);
  for (const std::string& key : service.keys) out += " " + key;
  return out;
}
std::string services(const Plan& plan) {
  std::string out;
  for (const PlannedService& service : plan.services)
    if (!service.to_host) out += (out.empty() ? "" : "; ") + line_of(service);
  return out;
}
std::string ends(const Plan& plan) {
  std::string out;
  for (const PlannedEndpoint& end : plan.endpoints) {
    out += (out.empty() ? "" : " ") + end.name + ":" + name_of(end.what);
    if (end.flows) out += ":" + std::to_string(*end.flows);
  }
  return out;
}

const std::string kPolicy(kWorldPolicy);

TEST(Plan, TheSamePolicyIsNoChange) {
  World world;
  world.settle();
  const Plan same = planned(world, kPolicy, kPolicy);
  EXPECT_TRUE(same.same);
  EXPECT_TRUE(same.measured);
  EXPECT_EQ(services(same), "chat none mel-1/a->mel-1/a 0% 10ms->10ms");
  const Plan reworded = planned(world, kPolicy, "# a remark\n" + kPolicy);
  EXPECT_TRUE(reworded.same);
  EXPECT_TRUE(reworded.sections.empty());
}

TEST(Plan, NeitherDwellNorHoldHidesWhatWillMove) {
  World world;
  world.settle();
  world.rtt("b", 3);  // taken up by this policy too, three ticks from now: no difference
  world.tick();
  EXPECT_EQ(services(planned(world, kPolicy, replaced(kPolicy, "weight: 50", "weight: 100"))),
            "chat changed mel-1/b->mel-1/b 17% 3ms->3ms");
  world.run(20s);  // and on hold now
  const Plan costly = planned(world, kPolicy, replaced(kPolicy, "172.31.2.2,", "172.31.2.2, cost: 20ms,"));
  EXPECT_EQ(services(costly), "chat changed mel-1/b->mel-1/a 100% 3ms->10ms");
  EXPECT_EQ(costly.sections, std::vector<std::string>{"links"});
  EXPECT_EQ(world.in_use(), "b") << "nothing was changed";
}

TEST(Plan, WhatOnlyTheHoldKeepsBackIsNoDifferenceOrIsOne) {
  World world;
  world.settle();
  world.rtt("b", 3);
  world.run(20s);
  ASSERT_EQ(world.in_use(), "b");
  world.rtt("a", 1);  // and back, once the hold is over
  world.tick();
  EXPECT_EQ(services(planned(world, kPolicy, kPolicy + "flows: {tcp_idle: 2h}\n")),
            "chat none mel-1/a->mel-1/a 0% 1ms->1ms");
  world.rtt("a", 2.5);  // not better by enough, but for the new policy
  world.tick();
  EXPECT_EQ(services(planned(world, kPolicy, kPolicy + "steering: {hysteresis: {absolute: 100us}}\n")),
            "chat changed mel-1/b->mel-1/a 100% 3ms->2500us");
}

TEST(Plan, HysteresisStays) {
  World world;
  world.settle();
  EXPECT_EQ(services(planned(world, kPolicy, replaced(kPolicy, "172.31.1.2}", "172.31.1.2, cost: 4200us}"))),
            "chat none mel-1/a->mel-1/a 0% 10ms->10ms");
  EXPECT_EQ(services(planned(world, kPolicy, replaced(kPolicy, "172.31.1.2}", "172.31.1.2, cost: 7ms}"))),
            "chat changed mel-1/a->mel-1/b 100% 10ms->14ms");
}

TEST(Plan, ServicesComeAndGo) {
  World world;
  world.settle();
  const std::string more = replaced(
      kPolicy, "  chat: {", "  more: {vip: 203.0.113.12:80, endpoints: [per-1]}\n  chat: {refuse: drop, ");
  EXPECT_EQ(services(planned(world, kPolicy, more)),
            "more added refused->per-1/p 0% ?->40ms; chat changed mel-1/a->mel-1/a 0% 10ms->10ms refuse");
  World other(more);
  other.settle();
  EXPECT_EQ(services(planned(other, more, kPolicy)),
            "chat changed mel-1/a->mel-1/a 0% 10ms->10ms refuse; more removed per-1/p->refused 0% 40ms->?");
}

TEST(Plan, EndpointsAreAddedRemovedDrainedAndReset) {
  World world;
  world.settle();
  world.conditions.endpoints[0].flows = 7;
  world.tick();
  const Plan drained =
      planned(world, kPolicy, replaced(kPolicy, "10.2.1.1:8000", "10.2.1.1:8000, drain: true"));
  EXPECT_EQ(ends(drained), "mel-1:drained:7");
  EXPECT_EQ(services(drained), "chat changed mel-1/a->mel-2/a 67% 10ms->10ms");
  std::string gone = replaced(kPolicy, "  mel-1: {pop: mel, address: 10.2.1.1:8000}\n", "");
  gone = replaced(gone, "[mel-1, mel-2, per-1]", "[mel-2, per-1, per-2]");
  gone = replaced(gone, "  per-1: {", "  per-2: {pop: per, address: 10.3.1.2:8000}\n  per-1: {");
  const Plan plan = planned(world, kPolicy, gone);
  EXPECT_EQ(ends(plan), "per-2:added mel-1:removed:7");
  EXPECT_EQ(services(plan), "chat changed mel-1/a->mel-2/a 67% 10ms->10ms endpoints");
  EXPECT_EQ(plan.sections, std::vector<std::string>{"endpoints"});

  const std::string old = replaced(kPolicy, "10.2.1.1:8000", "10.2.1.1:8000, drain: true");
  World draining(old);
  draining.settle();
  const Plan sooner = planned(draining, old, old + "flows: {drain_deadline: 1s}\n");
  EXPECT_EQ(ends(sooner), "mel-1:reset");
  EXPECT_EQ(ends(planned(draining, old, kPolicy)), "mel-1:resumed");
}

TEST(Plan, MeasurementsFollowTheIdWhileTheAddressesStay) {
  World world;
  world.settle();
  std::string moved =
      replaced(kPolicy, "  a: {pop: mel, port: link0, local: 172.31.1.1, peer: 172.31.1.2}\n", "");
  moved =
      replaced(moved, "  p: {", "  c: {pop: mel, port: link0, local: 172.31.1.1, peer: 172.31.1.2}\n  p: {");
  EXPECT_EQ(services(planned(world, kPolicy, moved)), "chat changed mel-1/a->mel-1/b 100% 10ms->14ms")
      << "c is not measured yet";
  EXPECT_EQ(services(planned(world, kPolicy, replaced(kPolicy, "peer: 172.31.1.2", "peer: 172.31.1.3"))),
            "chat none mel-1/a->mel-1/a 0% 10ms->?")
      << "the path in use keeps its place for a while";
  world.health("mel-2", Health::unhealthy);
  world.run(5s);
  const std::string elsewhere = replaced(kPolicy, "10.2.1.2:8000", "10.2.1.9:8000");
  EXPECT_EQ(services(planned(world, kPolicy, elsewhere)), "chat none mel-1/a->mel-1/a 0% 11.963ms->11.963ms")
      << "a bad verdict stays until the first good one";
}

TEST(Plan, WhatIsRefusedMovesToo) {
  World world;
  world.settle();
  EXPECT_EQ(
      services(planned(world, kPolicy,
                       replaced(kPolicy, "8000, endpoints: [mel", "8000, max_rtt: 1ms, endpoints: [mel"))),
      "chat changed mel-1/a->refused 100% 10ms->? max_rtt");
}

TEST(Plan, RoutedModelsAndListeners) {
  World world(kRoutedPolicy);
  world.settle();
  std::string after = replaced(kRoutedPolicy, "percent: 5%", "percent: 10%");
  after = replaced(after, "203.0.113.20:443}", "203.0.113.20:8443}");
  after = replaced(after, "weights: {per-1: 20}", "weights: {mel-1: 50}");
  const Plan plan = planned(world, kRoutedPolicy, after);
  EXPECT_EQ(services(plan),
            "ai/llama-3.1 changed mel-1/a->mel-1/a 17% 10ms->10ms weights; "
            "ai/llama-3.1/canary changed per-1/p->per-1/p 0% 40ms->40ms percent; "
            "ai/phi none mel-2/a->mel-2/a 0% 10ms->10ms");
  ASSERT_EQ(plan.listeners.size(), 2U);
  EXPECT_EQ(plan.listeners[0].port, 8443);
  EXPECT_TRUE(plan.listeners[0].opened);
  EXPECT_EQ(plan.listeners[1].port, 443);
  EXPECT_FALSE(plan.listeners[1].opened);
}

TEST(Plan, WithNothingMeasuredByTheStaticOrder) {
  const Policy before = policy_from(kPolicy);
  const std::string text = replaced(kPolicy, "172.31.1.2}", "172.31.1.2, cost: 4ms}");
  const Policy after = policy_from(text);
  const Plan plan = perigee::plan({before, kPolicy}, {after, text}, std::nullopt);
  EXPECT_FALSE(plan.measured);
  EXPECT_FALSE(plan.same);
  EXPECT_EQ(services(plan), "chat changed mel-1/a->mel-1/b 100% ?->?");
  const std::string pinned =
      replaced(kPolicy, "chat: {", "chat: {pin: {to: [per], until: 2026-12-01T02:00:00Z}, ");
  const Policy pin = policy_from(pinned);
  const WallTime end = parse_wall_time("2026-12-01T02:00:00Z").value();
  EXPECT_EQ(services(perigee::plan({before, kPolicy}, {pin, pinned}, end - 1s)),
            "chat changed mel-1/a->per-1/p 100% ?->? pin");
  EXPECT_EQ(services(perigee::plan({before, kPolicy}, {pin, pinned}, end)),
            "chat changed mel-1/a->mel-1/a 0% ?->? pin")
      << "expired";
}

}  // namespace
}  // namespace perigee
