// What the law of steering promises over time: noise changes nothing, a step changes something once, and
// nothing that comes and goes at the loop's own pace makes the loop follow it.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <random>
#include <vector>

#include "test/steering/line.h"

namespace perigee {
namespace {

using namespace std::chrono_literals;

constexpr int kHour = 36'000;  // ticks

// Everything that noise must not change.
std::string standing(Line& line, const std::vector<std::string>& names) {
  std::string out = line.order();
  for (const std::string& name : names) out += " " + std::to_string(line.ranked(name).share);
  return out;
}

// Paths at the edges of each bound, near and far, each with noise of 5 % in every tick.
TEST(Stability, AnHourOfNoiseChangesNothing) {
  const std::vector<std::vector<double>> worlds = {
      {10, 10, 11, 12, 12.6, 15, 15.6}, {0.2, 0.2, 0.29, 0.31, 0.36, 0.4}, {1, 40, 47, 48, 50, 120}};
  for (std::size_t seed = 0; seed < worlds.size(); ++seed) {
    std::mt19937 random(static_cast<unsigned>(seed) + 7);
    std::uniform_real_distribution<double> noise(0.95, 1.05);
    Line line;
    if (worlds[seed][0] < 1) line.law.hysteresis_absolute = 100us;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < worlds[seed].size(); ++i)
      names.push_back("pop" + std::to_string(i / 2 * 2 + (i % 3 == 0 ? 1 : 0)) + "/" + std::to_string(i));
    const auto tick = [&] {
      for (std::size_t i = 0; i < names.size(); ++i) line.cost(names[i], worlds[seed][i] * noise(random));
      return line.tick();
    };
    for (int i = 0; i < 400; ++i) tick();  // until nothing is on hold
    const std::string before = standing(line, names);
    for (int i = 0; i < kHour; ++i)
      ASSERT_EQ(tick(), RankingChange::none) << "world " << seed << " tick " << i;
    EXPECT_EQ(standing(line, names), before);
  }
}

TEST(Stability, AStepChangesTheFirstTierOnce) {
  for (const double to : {0.5, 8.0, 11.5, 13.0, 15.5, 20.0, 39.0, 45.0, 60.0, 500.0}) {
    for (const char* path : {"mel/a", "mel/b", "per/p", "bne/n"}) {
      Line line = settled();
      line.cost("bne/n", 11);
      line.settle();
      line.cost(path, to);
      line.run(100s);
      EXPECT_LE(line.changes, 1) << path << " to " << to << ": " << line.order();
    }
  }
}

// One link of a PoP for the other, or one PoP for another: joined, then alone.
TEST(Stability, ARampChangesTheFirstTierOncePerBound) {
  for (const bool same_pop : {true, false}) {
    Line line = settled();
    if (!same_pop) line.usable("mel/b", Usable::link_down);
    line.tick();
    line.changes = 0;
    for (int i = 0; i < 6000; ++i) {
      line.cost("mel/a", 10 + i * 0.02);
      line.tick();
    }
    EXPECT_EQ(line.changes, same_pop ? 1 : 2) << line.order();
    EXPECT_EQ(line.order().substr(0, 5), same_pop ? "mel/b" : "per/p");
  }
}

// Twice the hold, the window, the dwell, and others: soon nothing follows any more.
TEST(Stability, ASineMakesNoLimitCycle) {
  for (const double period : {0.6, 10.0, 60.0, 75.0}) {
    for (const char* other : {"mel/b", "per/p"}) {
      Line line = settled();
      line.cost(other, 12);
      line.settle();
      int late = 0;
      for (int i = 0; i < kHour / 3; ++i) {
        line.cost("mel/a", 12 + 10 * std::sin(i / 10.0 * 2 * std::numbers::pi / period));
        if (line.tick() != RankingChange::none && i > kHour / 5) ++late;
      }
      EXPECT_LE(line.changes, 12) << other << " period " << period;
      EXPECT_EQ(late, 0) << other << " period " << period;
    }
  }
}

}  // namespace
}  // namespace perigee
