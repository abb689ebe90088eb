#include "steering/table_compiler.h"

#include <gtest/gtest.h>

#include "contract/table_file.h"
#include "test/steering/table_text.h"
#include "test/steering/world.h"

namespace perigee {
namespace {

using namespace std::chrono_literals;

std::string tiers_of(const World& world) {
  const std::string text = text_of(compile(world.policy, world.route, {1, 1, 0}));
  const std::size_t begin = text.find("service chat");
  return text.substr(begin, text.find("service web") - begin);
}

TEST(TableCompiler, EqualInputGivesEqualOctets) {
  World world;
  world.settle();
  const auto first = table::encode(compile(world.policy, world.route, {1, 1, 0}));
  // Other measurements, the same decision.
  world.rtt("a", 10.4);
  world.rtt("p", 39);
  world.run(10s);
  EXPECT_EQ(first, table::encode(compile(world.policy, world.route, {1, 1, 0})));
}

TEST(TableCompiler, TiersFollowTheRoute) {
  World world;
  world.settle();
  EXPECT_EQ(tiers_of(world),
            "service chat 203.0.113.10:8000 protocol 6 deliver 0 refuse 0\n"
            "  tier mel-1/a=100 mel-2/a=50\n"
            "  tier mel-1/b=100 mel-2/b=50\n"
            "  tier per-1/p=100\n"
            "  tier per-1/b=100\n");
}

TEST(TableCompiler, PathsOfADeadLinkStandByBehindAllOthers) {
  World world(replaced(kWorldPolicy, "weight: 50", "weight: 30"));
  world.settle();
  world.down("a");
  world.health("mel-2", Health::unhealthy);
  world.tick();
  EXPECT_EQ(tiers_of(world),
            "service chat 203.0.113.10:8000 protocol 6 deliver 0 refuse 0\n"
            "  tier mel-1/b=100\n"
            "  tier per-1/p=100\n"
            "  tier per-1/b=100\n"
            "  tier mel-1/a=100\n");
  EXPECT_TRUE(table::validate(compile(world.policy, world.route, {1, 1, 0})));
}

TEST(TableCompiler, EndpointsHaveTheirBitsAndTheirOwnLinks) {
  World world;
  world.settle();
  world.rtt("a", 90);
  world.run(1s);
  world.health("mel-1", Health::dead);
  world.health("mel-2", Health::unhealthy);
  world.tick();
  const std::string text = text_of(compile(world.policy, world.route, {1, 1, 0}));
  EXPECT_NE(text.find("endpoint mel-1 10.2.1.1:8000 closed reset b a\n"), std::string::npos) << text;
  EXPECT_NE(text.find("endpoint mel-2 10.2.1.2:8000 closed b a\n"), std::string::npos) << text;
  EXPECT_NE(text.find("endpoint per-1 10.3.1.1:8000 new p b\n"), std::string::npos) << text;
  EXPECT_NE(text.find("prefix 10.2.0.0/16 b a\n"), std::string::npos) << text;
  EXPECT_NE(text.find("prefix 0.0.0.0/0 interface 0\n"), std::string::npos) << text;
}

// Link b is the shorter one, but a costs less in all and is too long for chat.
std::string divided_policy() {
  return replaced(replaced(kWorldPolicy, "peer: 172.31.2.2,", "peer: 172.31.2.2, cost: 90ms,"),
                  "endpoints: [mel-1", "max_rtt: 30ms, endpoints: [mel-1");
}

TEST(TableCompiler, EstablishedFlowsTakeTheLinksThatNewOnesTake) {
  World world(divided_policy());
  world.settle();
  world.rtt("a", 60);
  world.run(1s);
  EXPECT_EQ(world.links_to("mel"), "a b");
  const std::string text = text_of(compile(world.policy, world.route, {1, 1, 0}));
  EXPECT_NE(text.find("  tier mel-1/b=100 mel-2/b=50\n"), std::string::npos) << text;
  EXPECT_NE(text.find("endpoint mel-1 10.2.1.1:8000 new b a\n"), std::string::npos) << text;
  EXPECT_NE(text.find("prefix 10.2.0.0/16 a b\n"), std::string::npos) << text;
}

TEST(TableCompiler, TheFirstServiceOfAnEndpointOrdersItsLinks) {
  World world(
      replaced(divided_policy(), "  web:", "  more: {vip: 203.0.113.12:8000, endpoints: [mel-1]}\n  web:"));
  world.settle();
  world.rtt("a", 60);
  world.run(1s);
  const std::string text = text_of(compile(world.policy, world.route, {1, 1, 0}));
  EXPECT_NE(text.find("endpoint mel-1 10.2.1.1:8000 new b a\n"), std::string::npos) << text;
  EXPECT_NE(text.find("  tier mel-1/a=100\n"), std::string::npos) << text;
}

TEST(TableCompiler, AServiceWithNothingLeftHasNoTiers) {
  World world;
  world.settle();
  for (const char* name : {"mel-1", "mel-2", "per-1"}) world.health(name, Health::unhealthy);
  world.tick();
  EXPECT_EQ(tiers_of(world), "service chat 203.0.113.10:8000 protocol 6 deliver 0 refuse 0\n");
  EXPECT_TRUE(table::validate(compile(world.policy, world.route, {1, 1, 0})));
}

}  // namespace
}  // namespace perigee
