#include "steering/explain.h"

#include <gtest/gtest.h>

#include "test/steering/world.h"

namespace perigee {
namespace {

using namespace std::chrono_literals;

const IpAddress kClient = IpAddress::v4(198, 51, 100, 10);

Explanation explained(const World& world) {
  const auto result = explain(world.policy, world.route, "chat", kClient, 40000, world.now);
  EXPECT_TRUE(result);
  return result ? *result : Explanation{};
}

std::string verdict(const Explanation& explanation, std::string_view endpoint, std::string_view link) {
  for (const ExplainedCandidate& candidate : explanation.candidates)
    if (candidate.endpoint == endpoint && candidate.link == link) return candidate.verdict;
  return "not there";
}

TEST(Explain, NamesEveryCandidateWithItsTermsAndShare) {
  World world;
  world.settle();
  const Explanation explanation = explained(world);
  EXPECT_EQ(
      explanation.summary,
      "new flows of 198.51.100.10 go to mel-1 over a or mel-2 over a; each is a fresh draw by weight, and "
      "one from port 40000 gets " +
          explanation.drawn);
  ASSERT_EQ(explanation.candidates.size(), 6U);
  EXPECT_EQ(explanation.candidates[0].tier, 0U);
  EXPECT_DOUBLE_EQ(explanation.candidates[0].share, 100.0 / 150);
  EXPECT_DOUBLE_EQ(explanation.candidates[1].share, 50.0 / 150);
  EXPECT_EQ(explanation.candidates[0].pop, "mel");
  EXPECT_EQ(verdict(explanation, "mel-1", "a"), "serves new flows: 10.00 ms (rtt 10.00 ms)");
  EXPECT_EQ(verdict(explanation, "mel-1", "b"),
            "stands by: 14.00 ms (rtt 14.00 ms); 4.00 ms more than the path in use");
  EXPECT_EQ(verdict(explanation, "per-1", "b"),
            "stands by: 44.00 ms (rtt 14.00 ms + declared 30.00 ms); 34.00 ms more than the path in use");
}

TEST(Explain, GivesTheOddsAndWhatThisClientAndPortGet) {
  World world;
  world.settle();
  double total = 0;
  for (const ExplainedCandidate& candidate : explained(world).candidates) {
    EXPECT_EQ(candidate.probability, candidate.tier == 0U ? candidate.share : 0);
    total += candidate.probability.value_or(1000);
  }
  EXPECT_DOUBLE_EQ(total, 1);
  int first = 0;
  for (std::uint16_t port = 1; port <= 3000; ++port)
    first += explain(world.policy, world.route, "chat", kClient, port, world.now)->drawn == "mel-1" ? 1 : 0;
  EXPECT_NEAR(first, 2000, 100) << "the odds hold over the ports of one client";
  const auto any = explain(world.policy, world.route, "chat", kClient, std::nullopt, world.now);
  EXPECT_EQ(any->drawn, "");
  EXPECT_TRUE(any->summary.ends_with("mel-2 over a; each is a fresh draw by weight")) << any->summary;
}

TEST(Explain, SaysWhatABetterPathWaitsFor) {
  World world;
  world.settle();
  world.rtt("b", 9.5);
  world.run(5s);
  EXPECT_EQ(
      verdict(explained(world), "mel-1", "b"),
      "stands by: 9.50 ms (rtt 9.50 ms); 0.50 ms less than the path in use, but to switch it must be 1.00 ms "
      "less");
  world.rtt("b", 4);
  world.run(1s);
  EXPECT_EQ(
      verdict(explained(world), "mel-1", "b"),
      "stands by: 4.00 ms (rtt 4.00 ms); 6.00 ms less than the path in use, but counts as 11.75 ms until "
      "that has lasted (half of the way each 4s)");
  world.run(5s);
  ASSERT_EQ(world.in_use(), "b");
  world.rtt("a", 1);
  world.run(24s);
  EXPECT_NE(verdict(explained(world), "mel-1", "a")
                .find("3.00 ms less than the path in use, but the last switch was"),
            std::string::npos)
      << verdict(explained(world), "mel-1", "a");
  world.down("a");
  world.run(60s);
  world.rtt("a", 1);
  world.ticks(11);
  EXPECT_NE(verdict(explained(world), "mel-1", "a").find("it came back only 1000.00 ms ago (hold 30s, and 1"),
            std::string::npos)
      << verdict(explained(world), "mel-1", "a");
}

TEST(Explain, SaysWhoHelpsOutAndWhatWaitsForTheTier) {
  World world;
  world.settle();
  world.rtt("p", 11);
  world.ticks(1);
  EXPECT_EQ(verdict(explained(world), "per-1", "p"),
            "stands by: 11.00 ms (rtt 11.00 ms); near enough to the path in use to share with it, but counts "
            "as 40.00 "
            "ms until that has lasted (half of the way each 4s)");
  world.rtt("p", 40);
  world.health("mel-1", Health::unhealthy);
  world.tick();
  EXPECT_EQ(
      verdict(explained(world), "per-1", "p"),
      "serves new flows: 40.00 ms (rtt 40.00 ms); it helps out, as only 33% of what is nearer is healthy: "
      "panic");
}

TEST(Explain, SaysWhyCandidatesAreExcluded) {
  World world(replaced(replaced(kWorldPolicy, "endpoints: [mel-1", "max_rtt: 30ms, endpoints: [mel-1"),
                       "weight: 50", "weight: 50, drain: true"));
  world.settle();
  world.down("b");
  world.health("mel-1", Health::dead);
  world.tick();
  const Explanation explanation = explained(world);
  EXPECT_EQ(explanation.summary, "new flows of 198.51.100.10 are refused: no candidate is usable");
  EXPECT_EQ(verdict(explanation, "mel-1", "a"), "excluded: the endpoint is dead: connecting to it fails");
  EXPECT_EQ(verdict(explanation, "mel-2", "a"), "excluded: the endpoint is drained by the policy");
  EXPECT_EQ(verdict(explanation, "per-1", "p"), "excluded: rtt 40.00 ms is over the service's max_rtt 30ms");
  EXPECT_EQ(verdict(explanation, "per-1", "b"), "excluded: the link is down");
}

TEST(Explain, SaysWhereAnEstablishedFlowGoesIfThatIsAnotherLink) {
  World world(replaced(replaced(kWorldPolicy, "endpoints: [mel-1", "max_rtt: 12ms, endpoints: [mel-1"),
                       "  chat:", "  before: {vip: 203.0.113.12:8000, endpoints: [mel-1]}\n  chat:"));
  world.rtt("b", 5);
  world.rtt("a", 10);
  world.rtt("p", 40);
  world.run(40s);
  EXPECT_EQ(verdict(explained(world), "mel-1", "b"), "serves new flows: 5.00 ms (rtt 5.00 ms)");
  world.rtt("b", 13);  // too long for chat, and not yet for long enough for the service before it
  world.tick();
  EXPECT_EQ(
      verdict(explained(world), "mel-1", "a"),
      "serves new flows: 10.00 ms (rtt 10.00 ms); once established they go over b, which a service before "
      "this one prefers");
  EXPECT_EQ(verdict(explained(world), "mel-2", "a"), "serves new flows: 10.00 ms (rtt 10.00 ms)");
}

TEST(Explain, UnknownCostsAreSaidToBe) {
  World world;
  world.rtt("p", 40);
  world.tick();
  EXPECT_EQ(verdict(explained(world), "mel-1", "a"),
            "stands by: unknown cost (rtt unknown); unknown costs come last");
}

TEST(Explain, RefusesWhatIsNoForwardedService) {
  World world;
  world.settle();
  const auto wrong = explain(world.policy, world.route, "chta", kClient, std::nullopt, world.now);
  EXPECT_EQ(wrong.error().what, "no service is named \"chta\"; did you mean \"chat\"?");
  const auto host = explain(world.policy, world.route, "web", kClient, std::nullopt, world.now);
  EXPECT_EQ(host.error().what, "service web is delivered to this host; nothing is chosen for it");
}

}  // namespace
}  // namespace perigee
