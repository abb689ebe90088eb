// Endpoint dead, PoP dead, path dead, or we: what each looks like.
#include "steering/stall.h"

#include <gtest/gtest.h>

#include "steering/health.h"
#include "test/steering/world.h"

namespace perigee {
namespace {

using namespace std::chrono_literals;

const std::string kPolicy =
    replaced(replaced(kWorldPolicy, "  per-1:", "  syd-1: {pop: syd, address: 10.1.0.9:8000}\n  per-1:"),
             "mel-2, per-1]", "mel-2, per-1, syd-1]");

// Each endpoint is checked once a second, and what the checks find is fed as the health checker does.
class Checked : public World {
 public:
  explicit Checked(std::string_view text = kPolicy) : World(text) {
    states_.resize(policy.endpoints.size());
    broken.resize(policy.endpoints.size());
    settle();
    go(40s);
    switches.clear();
  }
  void go(Nanos time) {
    for (Nanos t{0}; t < time; t += policy.steering.tick, ++turn_) {
      for (std::size_t i = 0; i < states_.size(); ++i) {
        if (turn_ % 10 != static_cast<int>(2 * i)) continue;
        states_[i] = observe(states_[i], broken[i] ? CheckOutcome::connect_refused : CheckOutcome::passed,
                             policy.endpoints[i].health, now);
        Conditions::Endpoint& measured = conditions.endpoints[i];
        measured.health = states_[i].verdict;
        measured.passed_at = states_[i].passed_at;
        measured.failing_since = states_[i].failing_since;
      }
      tick();
      any_frozen = any_frozen || route.frozen != Frozen::no;
    }
  }
  void fail(std::initializer_list<const char*> names, bool fails = true) {
    for (const char* name : names)
      broken[static_cast<std::size_t>(policy.endpoint(name) - policy.endpoints.data())] = fails;
  }
  [[nodiscard]] std::string dead() const {
    std::string out;
    for (const EndpointRoute& endpoint : route.endpoints)
      if (endpoint.dead) out += (out.empty() ? "" : " ") + policy.endpoint(endpoint.id)->name;
    return out;
  }

  std::vector<bool> broken;
  bool any_frozen = false;

 private:
  std::vector<HealthState> states_;
  int turn_ = 0;
};

TEST(Stall, EverythingFailingAtOnceIsUs) {
  Checked world;
  world.fail({"mel-1", "mel-2", "per-1", "syd-1"});
  world.go(10min);
  EXPECT_EQ(world.route.frozen, Frozen::checks);
  EXPECT_EQ(world.dead(), "") << "nothing is reset";
  EXPECT_TRUE(world.switches.empty());
  // Links and the operator are heard all the same.
  world.policy.endpoints[2].drain = true;
  world.go(1s);
  EXPECT_EQ(world.tier(0), "mel-1/a mel-2/a");
  world.down("a");
  world.go(1s);
  EXPECT_EQ(world.tier(0), "mel-1/b mel-2/b");
  // It is over: no verdict of that time counts, and what is dead indeed is found so.
  world.fail({"mel-1", "mel-2", "syd-1"}, false);
  world.go(3s);
  EXPECT_EQ(world.route.frozen, Frozen::no);
  EXPECT_EQ(world.dead(), "");
  world.go(5s);
  EXPECT_EQ(world.dead(), "per-1");
}

TEST(Stall, ASingleEndpointDies) {
  Checked world(replaced(replaced(kWorldPolicy,
                                  "  mel-2: {pop: mel, address: 10.2.1.2:8000, weight: 50}\n"
                                  "  per-1: {pop: per, address: 10.3.1.1:8000}\n",
                                  ""),
                         "[mel-1, mel-2, per-1]", "[mel-1]"));
  world.fail({"mel-1"});
  world.go(5s);
  EXPECT_FALSE(world.any_frozen);
  EXPECT_EQ(world.dead(), "mel-1");
}

TEST(Stall, TwoOfTwoPopsDie) {
  Checked world(
      replaced(replaced(kWorldPolicy, "  mel-2: {pop: mel, address: 10.2.1.2:8000, weight: 50}\n", ""),
               "[mel-1, mel-2, per-1]", "[mel-1, per-1]"));
  world.fail({"mel-1", "per-1"});
  world.go(5s);
  EXPECT_FALSE(world.any_frozen);
  EXPECT_EQ(world.dead(), "mel-1 per-1");
}

TEST(Stall, APopDies) {
  Checked world;
  world.fail({"mel-1", "mel-2"});
  world.go(5s);
  EXPECT_FALSE(world.any_frozen);
  EXPECT_EQ(world.dead(), "mel-1 mel-2");
}

TEST(Stall, OneThatPassesIsEnoughToBelieveTheOthers) {
  Checked world;
  world.fail({"mel-1", "mel-2", "per-1"});
  world.go(5s);
  EXPECT_FALSE(world.any_frozen);
  EXPECT_EQ(world.dead(), "mel-1 mel-2 per-1");
}

TEST(Stall, WhatFailedBeforeIsNoWitness) {
  Checked world;
  world.fail({"mel-2", "per-1"});
  world.go(10s);
  world.fail({"mel-1", "syd-1"});
  world.go(5s);
  EXPECT_FALSE(world.any_frozen) << "two died now, two did long ago";
  EXPECT_EQ(world.dead(), "mel-1 mel-2 syd-1 per-1");
}

TEST(Stall, EndpointsBehindDeadLinksAreNoWitnesses) {
  Checked world;
  for (const char* link : {"a", "b", "p"}) world.down(link);
  world.fail({"mel-1", "mel-2", "per-1", "syd-1"});
  world.go(5s);
  EXPECT_FALSE(world.any_frozen);
  EXPECT_EQ(world.dead(), "syd-1");
  EXPECT_EQ(world.tier(0), "none");
}

TEST(Stall, WhatAStalledDataPlaneMeasuredDecidesNothing) {
  Checked world;
  world.fail({"syd-1"});
  world.go(5s);
  world.switches.clear();
  ASSERT_EQ(world.in_use("chat").substr(0, 1), "p") << "helps out";
  ASSERT_EQ(world.tier(0).substr(0, 15), "mel-1/a mel-2/a");
  world.conditions.dataplane_stalled = true;
  world.rtt("a", 500);
  world.go(1min);
  EXPECT_EQ(world.route.frozen, Frozen::dataplane);
  EXPECT_TRUE(world.switches.empty());
  world.down("a");  // what it says of links it says knowing of its stall
  world.go(1s);
  EXPECT_EQ(world.tier(0).substr(0, 15), "mel-1/b mel-2/b");
  world.conditions.dataplane_stalled = false;
  world.go(1s);
  EXPECT_EQ(world.route.frozen, Frozen::no);
}

}  // namespace
}  // namespace perigee
