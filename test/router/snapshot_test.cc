#include "router/snapshot.h"

#include <gtest/gtest.h>

#include "test/steering/routed_world.h"

namespace perigee::router {
namespace {

using namespace std::chrono_literals;

std::string text_of(const RouterSnapshot& snapshot, const RouterSnapshot::Pool& pool) {
  std::string out;
  for (const RouterSnapshot::Candidate& candidate : pool.candidates)
    out += (out.empty() ? "" : " ") + std::to_string(candidate.tier) + ":" +
           snapshot.endpoints[candidate.endpoint].name + "=" + std::to_string(candidate.weight) +
           (candidate.excluded ? std::string("(") + name_of(*candidate.excluded) + ")" : "");
  return out;
}

class SnapshotTest : public ::testing::Test {
 protected:
  SnapshotTest() { world.settle(); }
  RouterSnapshot make(const RouterSnapshot* previous = nullptr) {
    return make_snapshot(world.policy, world.route, material, {}, previous, world.now);
  }

  World world{kRoutedPolicy};
  RouterMaterial material;
};

TEST_F(SnapshotTest, HasWhatARequestIsDecidedBy) {
  material.endpoints = {{nullptr, "Bearer secret"}};
  const RouterSnapshot snapshot = make();
  ASSERT_EQ(snapshot.listeners.size(), 1U);
  EXPECT_EQ(snapshot.listeners[0].policy.port, 443);
  const RouterSnapshot::Service& service = snapshot.services.at(snapshot.listeners[0].service);
  EXPECT_EQ(service.name, "ai");
  EXPECT_TRUE(service.require_key);
  EXPECT_EQ(service.residency, snapshot.region("au") | snapshot.region("eu"));
  EXPECT_EQ(snapshot.region("oz"), 0U);
  const RouterSnapshot::Model* model = service.model("llama");
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(service.model("llama-3.1"), model);
  EXPECT_EQ(service.model("llama-3"), nullptr);
  EXPECT_EQ(model->pool.served_name, "meta/llama");
  EXPECT_EQ(text_of(snapshot, model->pool), "0:mel-1=100 0:mel-2=50 1:per-1=20");
  EXPECT_EQ(model->canary_per_10000, 500U);
  EXPECT_EQ(text_of(snapshot, model->canary), "0:per-1=100");
  const RouterSnapshot::Endpoint& endpoint = snapshot.endpoints.at(0);
  EXPECT_EQ(endpoint.link, "a");
  EXPECT_EQ(endpoint.cost.rtt, Nanos(10ms));
  EXPECT_EQ(endpoint.region, snapshot.region("au"));
  EXPECT_EQ(endpoint.credential, "Bearer secret");
  EXPECT_EQ(endpoint.target.host, "10.2.1.1:8000");
  EXPECT_NE(endpoint.target.key, snapshot.endpoints[1].target.key);
}

TEST_F(SnapshotTest, WhatTheOperatorRulesOutIsNeverUsed) {
  const WallTime now{1h};
  world.conditions.wall = now;
  world.policy.endpoints[0].maintenance = {{now, now + 1s, ""}};
  world.policy.routed[0].confines = {std::vector<std::size_t>{1}, Pin{{0}, now + 1s}};
  world.tick();
  EXPECT_EQ(text_of(make(), make().services[0].models[0].pool),
            "0:mel-1=100(maintenance) 0:mel-2=50(not_pinned) 2:per-1=20(pop_not_allowed)");
  world.policy.routed[0].confines = {};
  world.policy.endpoints[2].cost_tier = 1;
  world.tick();
  const RouterSnapshot snapshot = make();
  const RouterSnapshot::Pool& pool = snapshot.services[0].models[0].pool;
  for (const RouterSnapshot::Candidate& candidate : pool.candidates)
    EXPECT_EQ(candidate.standing, candidate.endpoint == 1 ? Standing::usable : Standing::barred);
  EXPECT_EQ(text_of(snapshot, pool), "0:mel-2=50 1:mel-1=100(maintenance) 3:per-1=20(cost_tier)");
}

TEST_F(SnapshotTest, FollowsTheLinkOfTransit) {
  const std::string before = make().endpoints[0].target.key;
  world.down("a");
  world.tick();
  const RouterSnapshot after = make();
  EXPECT_EQ(after.endpoints[0].link, "b");
  EXPECT_NE(after.endpoints[0].target.key, before) << "a warm connection goes over the link it began on";
}

TEST_F(SnapshotTest, KeepsWhatIsExcludedWithTheReason) {
  world.health("mel-1", Health::unhealthy);
  world.run(5s);
  const RouterSnapshot snapshot = make();
  EXPECT_EQ(text_of(snapshot, snapshot.services[0].model("llama")->pool),
            "0:mel-2=50 1:per-1=20 2:mel-1=100(unhealthy)");
  EXPECT_EQ(snapshot.services[0].model("llama")->pool.candidates[2].standing, Standing::unhealthy);
}

TEST_F(SnapshotTest, CountersLiveOnAndWhatComesBackStartsSlowly) {
  const RouterSnapshot first = make();
  EXPECT_EQ(first.endpoints[0].counters->warming_since, 0) << "at the start of the process all are warm";
  world.health("mel-1", Health::unhealthy);
  world.run(5s);
  const RouterSnapshot second = make(&first);
  EXPECT_EQ(second.endpoints[0].counters, first.endpoints[0].counters);
  EXPECT_EQ(second.endpoints[0].counters->warming_since, 0);
  world.health("mel-1", Health::healthy);
  world.tick();
  const RouterSnapshot third = make(&second);
  EXPECT_EQ(third.endpoints[0].counters->warming_since, world.now.ns);
  EXPECT_EQ(third.endpoints[1].counters->warming_since, 0);
  const std::int64_t since = world.now.ns;
  world.tick();
  EXPECT_EQ(make(&third).endpoints[0].counters->warming_since, since) << "once";
}

TEST_F(SnapshotTest, AnotherAddressIsAnotherEndpoint) {
  const RouterSnapshot first = make();
  world.policy.endpoints[0].port = 8001;
  const RouterSnapshot second = make(&first);
  EXPECT_NE(second.endpoints[0].counters, first.endpoints[0].counters);
  EXPECT_EQ(second.endpoints[0].counters->warming_since, world.now.ns);
}

}  // namespace
}  // namespace perigee::router
