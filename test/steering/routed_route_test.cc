// Tiers of a routed service: as a forwarded one's, but each endpoint once, over the link that transit uses.
#include <gmock/gmock.h>

#include "steering/explain.h"
#include "steering/route_terms.h"
#include "test/steering/routed_world.h"

namespace perigee {
namespace {

using namespace std::chrono_literals;

const IpAddress kClient = IpAddress::v4(198, 51, 100, 10);

std::string text_of(const World& world, const Tier& tier) {
  std::string out;
  for (const Candidate& candidate : tier) {
    const Policy::Link* link = world.policy.link(candidate.link);
    out += (out.empty() ? "" : " ") + world.policy.endpoint(candidate.endpoint)->name + "/" +
           (link == nullptr ? "-" : link->name) + "=" + std::to_string(candidate.weight);
  }
  return out;
}

const Policy::Model& model_of(const World& world, std::string_view name = "llama") {
  return *world.policy.routed_service("ai")->model(name);
}

ServiceRoute requests(const World& world, const Policy::Pool& pool) {
  const ServiceRoute* ranked = world.route.pool(pool.id);
  EXPECT_NE(ranked, nullptr);
  return ranked == nullptr ? ServiceRoute{} : of_requests(world.policy, world.route, *ranked);
}

// The same endpoints as forwarded and as routed: one ranking, so one first tier, whatever happens.
TEST(RoutedRoute, ForwardedAndRoutedPickTheSameEndpoints) {
  World world(kRoutedPolicy +
              "  chat: {vip: 203.0.113.10:8000, endpoints: [mel-1, mel-2, per-1], max_rtt: 200ms}\n");
  const auto expect_same = [&](const char* when) {
    const Tier& forwarded = world.route.service(world.policy.service("chat")->id)->tiers.at(0);
    const Tier& routed = world.route.pool(model_of(world).pool.id)->tiers.at(0);
    ASSERT_EQ(forwarded.size(), routed.size()) << when;
    for (std::size_t i = 0; i < routed.size(); ++i)
      EXPECT_EQ(forwarded[i].endpoint, routed[i].endpoint) << when;
  };
  world.settle();
  expect_same("settled");
  world.rtt("p", 5);
  for (int i = 0; i < 400; ++i) {
    world.tick();
    expect_same("while per becomes the nearest");
  }
  EXPECT_EQ(text_of(world, requests(world, model_of(world).pool).tiers.at(0)), "per-1/p=20");
  world.down("p");
  world.tick();
  expect_same("a link cut");
  EXPECT_EQ(text_of(world, requests(world, model_of(world).pool).tiers.at(0)), "mel-1/a=100 mel-2/a=50");
}

TEST(RoutedRoute, AnEndpointIsOnceOverTheLinkOfTransit) {
  World world(kRoutedPolicy);
  world.settle();
  const ServiceRoute settled = requests(world, model_of(world).pool);
  ASSERT_EQ(settled.tiers.size(), 2U);
  EXPECT_EQ(text_of(world, settled.tiers[0]), "mel-1/a=100 mel-2/a=50");
  EXPECT_EQ(text_of(world, settled.tiers[1]), "per-1/p=20") << "with the model's weight";
  world.down("a");
  world.tick();
  EXPECT_EQ(text_of(world, requests(world, model_of(world).pool).tiers.at(0)), "mel-1/b=100 mel-2/b=50");
}

TEST(RoutedRoute, AModelThatAnEndpointDoesNotListIsAbsentThere) {
  World world(kRoutedPolicy);
  world.settle();
  for (const char* name : {"mel-1", "mel-2"})
    world.conditions
        .endpoints[static_cast<std::size_t>(world.policy.endpoint(name) - world.policy.endpoints.data())]
        .absent_models = {"meta/llama"};
  world.tick();
  const ServiceRoute route = requests(world, model_of(world).pool);
  ASSERT_EQ(route.tiers.size(), 1U);
  EXPECT_EQ(text_of(world, route.tiers[0]), "per-1/p=20");
  ASSERT_EQ(route.excluded.size(), 2U);
  EXPECT_EQ(route.excluded[0].reason, Exclusion::model_absent);
  EXPECT_EQ(text_of(world, requests(world, model_of(world, "phi").pool).tiers.at(0)), "mel-2/a=50");
  const auto explained = explain(world.policy, world.route, "ai", kClient, {}, world.now, "llama");
  ASSERT_TRUE(explained);
  EXPECT_EQ(explained->candidates.back().verdict,
            "excluded: the model is absent: not listed by the endpoint");
}

TEST(RoutedRoute, WhatNoTierHasIsExcludedOnce) {
  World world(kRoutedPolicy);
  world.settle();
  world.health("per-1", Health::unhealthy);
  world.run(5s);
  const ServiceRoute route = requests(world, model_of(world).pool);
  ASSERT_EQ(route.tiers.size(), 1U);
  ASSERT_EQ(route.excluded.size(), 1U);
  EXPECT_EQ(route.excluded[0].endpoint, world.policy.endpoint("per-1")->id);
  EXPECT_EQ(route.excluded[0].reason, Exclusion::unhealthy);
}

TEST(RoutedRoute, MaxRttHoldsForItsModels) {
  World world(replaced(kRoutedPolicy, "max_rtt: 200ms", "max_rtt: 30ms"));
  world.settle();
  EXPECT_TRUE(requests(world, model_of(world).canary->pool).tiers.empty());
  EXPECT_EQ(requests(world, model_of(world).pool).tiers.size(), 1U);
}

TEST(RoutedRoute, ASwitchNamesThePool) {
  World world(kRoutedPolicy);
  world.settle();
  world.down("a");
  world.tick();
  std::size_t of_llama = 0;
  for (const Switch& event : world.switches)
    if (event.service == model_of(world).pool.id) ++of_llama;
  EXPECT_EQ(of_llama, 1U);
}

TEST(RoutedRoute, ExplainTellsOfTheCanaryAndTheModel) {
  World world(kRoutedPolicy);
  world.settle();
  const auto explanation = explain(world.policy, world.route, "ai", kClient, {}, world.now, "llama");
  ASSERT_TRUE(explanation);
  EXPECT_EQ(explanation->model, "llama-3.1") << "asked by an alias";
  EXPECT_EQ(explanation->summary,
            "5% of requests, by key and session, of 198.51.100.10 go to per-1 over p; other requests of "
            "198.51.100.10 go to mel-1 over a or mel-2 over a");
  ASSERT_EQ(explanation->candidates.size(), 4U);
  EXPECT_TRUE(explanation->candidates[0].canary);
  EXPECT_EQ(explanation->candidates[0].endpoint, "per-1");
  EXPECT_FALSE(explanation->candidates[1].canary);
  EXPECT_EQ(explanation->candidates[1].verdict, "serves other requests: 10.00 ms (rtt 10.00 ms)");
  EXPECT_EQ(explanation->candidates[3].verdict,
            "stands by: 40.00 ms (rtt 40.00 ms); 30.00 ms more than the path in use");
}

TEST(RoutedRoute, ExplainNamesTheClass) {
  World world(replaced(kRoutedPolicy, "phi: {}", "phi: {class: batch}") +
              "router: {classes: {batch: {spill_margin: 9ms}}}\n");
  world.settle();
  const auto phi = explain(world.policy, world.route, "ai", kClient, {}, world.now, "phi");
  ASSERT_TRUE(phi);
  EXPECT_EQ(phi->request_class, "batch");
  EXPECT_THAT(phi->summary, testing::EndsWith("; by the constants of class batch"));
  EXPECT_EQ(explain(world.policy, world.route, "ai", kClient, {}, world.now, "llama")->request_class, "");
}

TEST(RoutedRoute, ExplainSaysWhichModelsThereAre) {
  World world(kRoutedPolicy);
  world.settle();
  const auto wrong = explain(world.policy, world.route, "ai", kClient, {}, world.now, "pi");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().what, "no model is named \"pi\"; did you mean \"phi\"?");
  EXPECT_FALSE(explain(world.policy, world.route, "ai", kClient, {}, world.now)) << "there are two";
  const auto forwarded = explain(world.policy, world.route, "web", kClient, {}, world.now, "phi");
  ASSERT_FALSE(forwarded);
  EXPECT_EQ(forwarded.error().what, "service web is not routed; it has no models");
}

// Without a data plane requests are priced by what connections see; nothing else is.
TEST(RoutedRoute, WithoutADataPlaneConnectionsPriceRequests) {
  World world(kRoutedPolicy + "  chat: {vip: 203.0.113.10:8000, endpoints: [mel-1, mel-2, per-1]}\n");
  world.conditions.dataplane_alive = false;
  const auto see = [&](double mel_1, double mel_2, double per) {
    world.conditions.endpoints[0].connection_rtt = ms(mel_1);
    world.conditions.endpoints[1].connection_rtt = ms(mel_2);
    world.conditions.endpoints[2].connection_rtt = ms(per);
  };
  world.run(60s);
  EXPECT_EQ(text_of(world, requests(world, model_of(world).pool).tiers.at(0)), "mel-1/a=100 mel-2/a=50")
      << "the policy's order, while nothing is known";
  const std::string forwarded = world.tier(0);
  see(20, 25, 5);
  world.run(60s);
  EXPECT_EQ(text_of(world, requests(world, model_of(world).pool).tiers.at(0)), "per-1/p=20");
  EXPECT_EQ(world.tier(0), forwarded) << "the table stays";
  const auto explained =
      explain(world.policy, world.route, "ai", kClient, std::nullopt, world.now, "llama").value();
  for (const ExplainedCandidate& candidate : explained.candidates) {
    EXPECT_TRUE(candidate.cost.of_connections) << candidate.endpoint;
    EXPECT_EQ(candidate.cost.rtt.value() + candidate.cost.declared, candidate.pop == "per" ? ms(5) : ms(20))
        << "the least of its PoP";
  }
  EXPECT_NE(explained.candidates.back().verdict.find("by connections"), std::string::npos);
  world.conditions.dataplane_alive = true;
  world.all_measured();
  world.run(90s);
  EXPECT_EQ(text_of(world, requests(world, model_of(world).pool).tiers.at(0)), "mel-1/a=100 mel-2/a=50")
      << "probes come first";
}

TEST(RoutedRoute, TwoMeasurementsDisagreeBeyondBothBounds) {
  EXPECT_FALSE(disagree(ms(2), ms(3)));
  EXPECT_TRUE(disagree(ms(2), ms(3.1)));
  EXPECT_TRUE(disagree(ms(3.1), ms(2)));
  EXPECT_FALSE(disagree(ms(100), ms(119)));
  EXPECT_TRUE(disagree(ms(100), ms(121)));
}

}  // namespace
}  // namespace perigee
