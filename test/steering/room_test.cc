// An engine whose queue stays takes no new forwarded flows while others have none, and comes back slowly.
#include "steering/room.h"

#include <gtest/gtest.h>

#include "test/steering/routed_world.h"
#include "test/steering/world.h"

namespace perigee {
namespace {

using namespace std::chrono_literals;

// The engine of one endpoint is read once before each evaluation.
void read(World& world, std::size_t endpoint, std::uint32_t waiting, std::uint32_t running,
          double kv_use = 0.5) {
  EngineLoad load;
  load.taken = world.now;
  load.engine = Engine::vllm;
  load.waiting = waiting;
  load.running = running;
  load.kv_use = kv_use;
  world.conditions.endpoints[endpoint].load = load;
  world.tick();
}
const EngineQueue& queue_of(const World& world, const char* name = "mel-1") {
  return world.route.endpoint(world.policy.endpoint(name)->id)->queue;
}

TEST(EngineQueue, ThatStaysSendsFlowsElsewhere) {
  World world;
  world.settle();
  for (int i = 0; i < 2; ++i) read(world, 0, 8, 16);
  EXPECT_EQ(world.tier(0), "mel-1/a mel-2/a") << "not by less readings than the dwell";
  world.ticks(10);
  EXPECT_EQ(world.tier(0), "mel-1/a mel-2/a") << "nor by one reading again and again";
  read(world, 0, 8, 16);
  EXPECT_EQ(world.tier(0), "mel-2/a");
  for (int i = 0; i < 3; ++i) read(world, 1, 8, 16);
  EXPECT_EQ(world.tier(0), "per-1/p") << "nobody near has room";
  EXPECT_EQ(world.history(), "capacity:a->p");
  for (int i = 0; i < 3; ++i) read(world, 2, 8, 16);
  world.run(32s);  // what comes back waits for the hold
  EXPECT_EQ(world.tier(0), "mel-1/a mel-2/a") << "all queue: the nearest serve";
}

TEST(EngineQueue, IsOverAfterAsManyReadingsWithout) {
  World world;
  world.settle();
  for (int i = 0; i < 9; ++i) read(world, 0, 8, 16);
  for (int i = 0; i < 2; ++i) read(world, 0, 0, 16);
  read(world, 0, 1, 16);  // neither
  EXPECT_TRUE(queue_of(world).stays);
  read(world, 0, 0, 16);
  EXPECT_FALSE(queue_of(world).stays);
  EXPECT_EQ(queue_of(world).share, 500U);
  for (int i = 0; i < 290; ++i) read(world, 0, 0, 16);
  EXPECT_EQ(queue_of(world).share, 500U) << "until the hold is over";
  for (int i = 0; i < 20; ++i) read(world, 0, 0, 16);
  EXPECT_EQ(queue_of(world).share, 1000U);
}

TEST(EngineQueue, ARefilledBatchIsNone) {
  World world;
  world.settle();
  for (int i = 0; i < 50; ++i) read(world, 0, 15, 64);
  EXPECT_FALSE(queue_of(world).stays) << "less than a quarter of what runs";
  for (int i = 0; i < 50; ++i) read(world, 0, i % 2 == 0 ? 30 : 0, 64);
  EXPECT_FALSE(queue_of(world).stays) << "every other reading";
  for (int i = 0; i < 3; ++i) read(world, 0, 1, 64, 0.97);
  EXPECT_TRUE(queue_of(world).stays) << "a full cache";
}

TEST(EngineQueue, WhatIsNotKnownIsNone) {
  World world;
  world.settle();
  for (int i = 0; i < 3; ++i) read(world, 0, 8, 16);
  ASSERT_TRUE(queue_of(world).stays);
  world.conditions.endpoints[0].load.reset();
  world.tick();
  EXPECT_FALSE(queue_of(world).stays);
  EXPECT_EQ(world.tier(0), "mel-1/a mel-2/a");
}

TEST(EngineQueue, KeepsNoRequestsOff) {
  World world(kRoutedPolicy);
  world.settle();
  ASSERT_FALSE(world.route.pools.empty());
  const std::vector<Tier> before = world.route.pools[0].tiers;
  const EndpointId id = before.at(0).at(0).endpoint;
  std::size_t index = 0;
  while (world.policy.endpoints[index].id != id) ++index;
  for (int i = 0; i < 5; ++i) read(world, index, 8, 16);
  ASSERT_TRUE(world.route.endpoint(id)->queue.stays);
  EXPECT_EQ(world.route.pools[0].tiers, before);
}

}  // namespace
}  // namespace perigee
