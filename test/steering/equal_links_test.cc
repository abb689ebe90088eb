// Links that are as good as the one in use share flows, and noise does not make them come and go.
#include "steering/equal_links.h"

#include <gtest/gtest.h>

#include <random>

#include "contract/table_file.h"
#include "steering/explain.h"
#include "steering/table_compiler.h"
#include "test/steering/world.h"

namespace perigee {
namespace {

using namespace std::chrono_literals;

World spreading() {
  World world(replaced(kWorldPolicy, "version: 1\n", "version: 1\nsteering: {maximum_paths: 4}\n"));
  world.settle();
  return world;
}

std::string text_of(const World& world, const LinkOrder& order) {
  std::string out;
  for (std::size_t i = 0; i < order.links.size(); ++i)
    out += std::string(i == 0 ? "" : i < order.equal ? "=" : " ") + world.policy.link(order.links[i])->name;
  return out;
}
// "a=b p": what flows of an endpoint take, and of a PoP what is sent there besides.
std::string links_of(const World& world, std::string_view endpoint = "mel-1") {
  return text_of(world,
                 links_of_endpoints(world.policy, world.route).at(world.policy.endpoint(endpoint)->id));
}
std::string links_to_pop(const World& world, std::string_view pop = "mel") {
  return text_of(world, links_to(*world.route.pop(id_from_name<PopId>(pop)), world.policy.steering));
}

TEST(EqualLinks, ShareOnceTheyCostTheSame) {
  World world = spreading();
  EXPECT_EQ(links_of(world), "a b");
  world.rtt("b", 10.1);
  world.ticks(2);
  EXPECT_EQ(links_of(world), "a b") << "not before its dwell";
  world.tick();
  EXPECT_EQ(links_of(world), "a=b");
  EXPECT_EQ(links_of(world, "mel-2"), "a=b");
  EXPECT_EQ(links_to_pop(world), "a=b");
  EXPECT_TRUE(world.switches.empty()) << "nothing of the services' first choice changes";
}

TEST(EqualLinks, OnlyAsManyAsThePolicyAllows) {
  World world;
  world.rtt("b", 10);
  world.settle();
  world.rtt("b", 10);
  world.run(1min);
  EXPECT_EQ(links_of(world), "a b") << "none, when it says nothing";
}

TEST(EqualLinks, StayThroughNoise) {
  World world = spreading();
  world.rtt("b", 10);
  world.ticks(3);
  std::mt19937 random(7);
  std::uniform_real_distribution<double> noise(0.95, 1.05);
  for (int tick = 0; tick < 6'000; ++tick) {
    world.rtt("a", 10 * noise(random));
    world.rtt("b", 10 * noise(random));
    world.tick();
    ASSERT_EQ(links_of(world), "a=b") << tick;
  }
}

TEST(EqualLinks, LeaveByCostAfterTheirDwell) {
  World world = spreading();
  world.rtt("b", 10);
  world.ticks(3);
  world.rtt("b", 10.9);
  world.run(1min);
  EXPECT_EQ(links_of(world), "a=b") << "less than five bands";
  world.rtt("b", 11.2);
  world.ticks(2);
  EXPECT_EQ(links_of(world), "a=b");
  world.tick();
  EXPECT_EQ(links_of(world), "a b");
}

TEST(EqualLinks, LeaveAtOnceWhenTheyDieAndComeBackAfterTheHold) {
  World world = spreading();
  world.rtt("b", 10);
  world.ticks(3);
  world.down("b");
  world.tick();
  EXPECT_EQ(links_of(world), "a b");
  world.rtt("b", 10);
  world.run(29s);
  EXPECT_EQ(links_of(world), "a b");
  world.run(2s);
  EXPECT_EQ(links_of(world), "a=b");
}

TEST(EqualLinks, StayWhileNothingIsKnownAndOverARestart) {
  World world = spreading();
  world.rtt("b", 10);
  world.ticks(3);
  const table::Table table = compile(world.policy, world.route, {1, 1, 0});
  ASSERT_TRUE(table::validate(table));
  EXPECT_EQ(table.endpoints[0].equal_links, 2);
  World after = world;
  after.route = rebuild(world.policy, table, world.now);
  EXPECT_EQ(links_of(after), "a=b");
  for (const char* link : {"a", "b"}) after.unknown(link);
  after.run(1min);
  EXPECT_EQ(links_of(after), "a=b");
}

TEST(EqualLinks, StayWhenTheOtherOneIsInUse) {
  World world = spreading();
  world.rtt("b", 10);
  world.ticks(3);
  world.down("a");
  world.tick();
  ASSERT_EQ(world.links_to("mel").front(), 'b');
  EXPECT_EQ(links_of(world), "b a");
  world.rtt("a", 10);
  world.run(31s);
  EXPECT_EQ(links_of(world), "b=a");
}

TEST(EqualLinks, ALinkBeyondTheServicesMaxRttTakesNoFlowOfIt) {
  World world(replaced(replaced(kWorldPolicy, "version: 1\n", "version: 1\nsteering: {maximum_paths: 2}\n"),
                       "chat: {vip: 203.0.113.10:8000,", "chat: {max_rtt: 12ms, vip: 203.0.113.10:8000,"));
  world.settle();
  world.rtt("a", 11.95);
  world.rtt("b", 12.1);
  world.run(10s);
  EXPECT_EQ(links_to_pop(world), "a=b");
  EXPECT_EQ(links_of(world), "a b");
}

TEST(EqualLinks, ExplainNamesThem) {
  World world = spreading();
  world.rtt("b", 10);
  world.ticks(3);
  const auto explained =
      explain(world.policy, world.route, "chat", IpAddress::v4(0xc6336407), std::nullopt, world.now);
  ASSERT_TRUE(explained);
  EXPECT_NE(explained->candidates.front().verdict.find("they are spread over a and b"), std::string::npos)
      << explained->candidates.front().verdict;
}

}  // namespace
}  // namespace perigee
