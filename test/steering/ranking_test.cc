// The law of steering on one set of paths, step by step.
#include "steering/ranking.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>

namespace perigee {
namespace {

using namespace std::chrono_literals;

Nanos ms(double value) { return Nanos(static_cast<std::int64_t>(value * 1e6)); }

// Paths are named "pop/link"; each has a cost in ms, or is unknown, or unusable.
class Line {
 public:
  PathInput& path(const std::string& name) {
    const std::string pop = name.substr(0, name.find('/'));
    const Path key{id_from_name<PopId>(pop), id_from_name<LinkId>(name)};
    for (std::size_t i = 0; i < inputs_.size(); ++i)
      if (inputs_[i].path == key) return inputs_[i];
    names_.push_back(name);
    return inputs_.emplace_back(PathInput{key, {}, Usable::yes});
  }
  void cost(const std::string& name, double value) { path(name).cost.rtt = ms(value); }
  void forget(const std::string& name) { path(name).cost.rtt.reset(); }
  void usable(const std::string& name, Usable usable) { path(name).usable = usable; }

  RankingChange tick() {
    now = now + law.tick;
    RankingStep step = advance(ranking, inputs_, law, now);
    ranking = std::move(step.ranking);
    changes += step.change != RankingChange::none ? 1 : 0;
    last = step.change != RankingChange::none ? step.change : last;
    return step.change;
  }
  void run(Nanos time) {
    for (Nanos t{0}; t < time; t += law.tick) tick();
  }
  void settle() {
    run(law.hold + 1s);
    changes = 0;
  }
  // "mel/a per/p | mel/b": tiers.
  [[nodiscard]] std::string order() const {
    std::string out;
    for (const auto& tier : ranking.tiers(law)) {
      out += out.empty() ? "" : " |";
      for (const Path& p : tier)
        for (std::size_t i = 0; i < inputs_.size(); ++i)
          if (inputs_[i].path == p) out += (out.empty() ? "" : " ") + names_[i];
    }
    return out;
  }

  Policy::Steering law;
  Ranking ranking;
  Instant now{1'000'000'000'000};
  int changes = 0;
  RankingChange last = RankingChange::none;

 private:
  std::vector<PathInput> inputs_;
  std::vector<std::string> names_;
};

Line settled() {
  Line line;
  line.cost("mel/a", 10);
  line.cost("mel/b", 14);
  line.cost("per/p", 40);
  line.settle();
  return line;
}

TEST(Ranking, OrdersByCost) {
  const Line line = settled();
  EXPECT_EQ(line.order(), "mel/a | mel/b | per/p");
}

TEST(Ranking, NoiseNeitherSwitchesNorReorders) {
  Line line = settled();
  line.cost("per/p", 14.8);  // beside mel/b, within what noise can turn around
  line.settle();
  const std::string before = line.order();
  std::mt19937 random(7);
  std::normal_distribution<double> noise(0, 0.02);  // a p50 of a window is steadier than this
  for (int i = 0; i < 36'000; ++i) {                // an hour
    line.cost("mel/a", 10 * (1 + noise(random)));
    line.cost("mel/b", 10.3 * (1 + noise(random)));
    line.cost("per/p", 10.9 * (1 + noise(random)));
    line.tick();
  }
  EXPECT_EQ(line.changes, 0) << before << " became " << line.order();
}

TEST(Ranking, AStepSwitchesOnceAfterTheDwell) {
  Line line = settled();
  line.cost("mel/a", 60);
  EXPECT_EQ(line.tick(), RankingChange::none);
  EXPECT_EQ(line.tick(), RankingChange::none);
  EXPECT_EQ(line.tick(), RankingChange::rtt);
  EXPECT_EQ(line.order(), "mel/b | per/p | mel/a");
  line.run(2min);
  EXPECT_EQ(line.changes, 1);
}

TEST(Ranking, ASpikeShorterThanTheDwellDoesNothing) {
  Line line = settled();
  for (int i = 0; i < 100; ++i) {
    line.cost("mel/a", 60);
    line.tick();
    line.tick();
    line.cost("mel/a", 10);
    line.tick();
  }
  EXPECT_EQ(line.changes, 0);
  EXPECT_EQ(line.order().substr(0, 5), "mel/a");
}

TEST(Ranking, BothThresholdsMustBePassed) {
  Line line = settled();
  line.cost("mel/b", 9.05);  // 9.5 % and 0.95 ms better
  line.run(10s);
  EXPECT_EQ(line.changes, 0);
  line.cost("mel/a", 5);
  line.cost("mel/b", 4.2);  // 16 %, but only 0.8 ms
  line.run(10s);
  EXPECT_EQ(line.changes, 0);
  line.cost("mel/b", 3.9);  // both
  line.run(10s);
  EXPECT_EQ(line.changes, 1);
}

TEST(Ranking, HoldKeepsASwitchFromBeingUndone) {
  Line line = settled();
  line.cost("mel/a", 60);
  line.run(1s);
  ASSERT_EQ(line.changes, 1);
  line.cost("mel/a", 5);
  line.run(28s);
  EXPECT_EQ(line.changes, 1) << "within the hold";
  line.run(3s);
  EXPECT_EQ(line.changes, 2);
  EXPECT_EQ(line.order().substr(0, 5), "mel/a");
}

TEST(Ranking, ASineAtTheLoopsOwnPeriodIsBoundedByTheHold) {
  Line line = settled();
  for (int i = 0; i < 36'000; ++i) {
    line.cost("mel/a", 12 + 8 * std::sin(i * 2 * 3.14159265 / 300));
    line.tick();
  }
  EXPECT_LE(line.changes, 3600 / 30);
}

TEST(Ranking, FailureSwitchesAtOnceAndTwice) {
  Line line = settled();
  line.usable("mel/a", Usable::link_down);
  EXPECT_EQ(line.tick(), RankingChange::failure);
  EXPECT_EQ(line.order(), "mel/b | per/p");
  line.usable("mel/b", Usable::unhealthy);
  EXPECT_EQ(line.tick(), RankingChange::failure) << "the hold does not keep a dead path";
  EXPECT_EQ(line.order(), "per/p");
  line.usable("per/p", Usable::link_down);
  EXPECT_EQ(line.tick(), RankingChange::failure);
  EXPECT_EQ(line.order(), "");
  line.usable("per/p", Usable::yes);
  EXPECT_EQ(line.tick(), RankingChange::recovery) << "better than nothing, at once";
}

TEST(Ranking, RecoveryWaitsForTheHold) {
  Line line = settled();
  line.usable("mel/a", Usable::link_down);
  line.run(100s);
  line.usable("mel/a", Usable::yes);
  line.tick();
  EXPECT_EQ(line.order(), "mel/b | mel/a | per/p") << "next in line already";
  line.run(29s);
  EXPECT_EQ(line.changes, 1);
  line.run(2s);
  EXPECT_EQ(line.changes, 2);
  EXPECT_EQ(line.last, RankingChange::recovery);
  EXPECT_EQ(line.order(), "mel/a | mel/b | per/p");
}

TEST(Ranking, AFlappingPathIsNotTakenUp) {
  Line line = settled();
  for (int i = 0; i < 100; ++i) {
    line.usable("mel/a", Usable::link_down);
    line.run(10s);
    line.usable("mel/a", Usable::yes);
    line.run(20s);
  }
  EXPECT_EQ(line.changes, 1);
}

TEST(Ranking, TheStartSettlesRightWithoutAHold) {
  Line line;
  line.path("per/p");  // the operator's order begins with the farthest
  line.path("mel/b");
  line.path("mel/a");
  line.tick();
  EXPECT_EQ(line.order(), "per/p | mel/b | mel/a");
  line.cost("per/p", 40);
  line.run(500ms);
  line.cost("mel/b", 14);
  line.run(500ms);
  EXPECT_EQ(line.order().substr(0, 5), "mel/b");
  line.cost("mel/a", 10);
  line.run(500ms);
  EXPECT_EQ(line.order(), "mel/a | mel/b | per/p");
  EXPECT_TRUE(line.ranking.settled);
  EXPECT_EQ(line.last, RankingChange::initial);
}

TEST(Ranking, APathThatIsNeverMeasuredDelaysTheHoldByThreeWindows) {
  Line line;
  line.cost("mel/a", 10);
  line.path("mel/b");
  line.run(29s);
  EXPECT_FALSE(line.ranking.settled);
  line.run(2s);
  EXPECT_TRUE(line.ranking.settled);
  EXPECT_EQ(line.order(), "mel/a | mel/b") << "unknown comes last";
}

TEST(Ranking, UnknownIsNeverZero) {
  Line line;
  line.path("mel/a");
  line.cost("per/p", 400);
  line.tick();
  EXPECT_EQ(line.order(), "per/p | mel/a");
}

TEST(Ranking, UnknownKeepsItsPlaceForThreeWindowsThenIsLast) {
  Line line = settled();
  line.forget("mel/a");
  line.run(29s);
  EXPECT_EQ(line.changes, 0);
  line.run(2s);
  EXPECT_EQ(line.changes, 1);
  EXPECT_EQ(line.order(), "mel/b | per/p | mel/a");
}

TEST(Ranking, WithNothingMeasuredTheLastOrderStays) {
  Line line = settled();
  for (const char* name : {"mel/a", "mel/b", "per/p"}) line.forget(name);
  line.run(10min);
  EXPECT_EQ(line.order(), "mel/a | mel/b | per/p");
  // The data plane is back, and the farthest link answers first.
  line.cost("per/p", 40);
  line.run(2s);
  line.cost("mel/b", 14);
  line.run(2s);
  line.cost("mel/a", 10);
  line.run(1min);
  EXPECT_EQ(line.changes, 0);
}

TEST(Ranking, EqualPathsOfTwoPopsShareATier) {
  Line line;
  line.cost("mel/a", 10);
  line.cost("mel/b", 10.05);
  line.cost("per/p", 10.1);
  line.settle();
  EXPECT_EQ(line.order(), "mel/a per/p | mel/b") << "a PoP is once in a tier";
  line.cost("per/p", 10.9);  // 9 %: apart, but not enough to part
  line.run(1min);
  EXPECT_EQ(line.order(), "mel/a per/p | mel/b");
  line.cost("per/p", 12);
  line.run(1min);
  EXPECT_EQ(line.order(), "mel/a | mel/b | per/p");
  line.cost("per/p", 10.5);  // nearer, but beyond the band
  line.run(1min);
  EXPECT_EQ(line.order().substr(0, 7), "mel/a |");
  line.cost("per/p", 10.1);
  line.run(1min);
  EXPECT_EQ(line.order().substr(0, 11), "mel/a per/p");
}

TEST(Ranking, TheOperatorsWordActsAtOnce) {
  Line line = settled();
  line.path("mel/a").cost.policy = ms(20);
  EXPECT_EQ(line.tick(), RankingChange::policy);
  EXPECT_EQ(line.order(), "mel/b | mel/a | per/p");
  line.usable("mel/b", Usable::drained);
  EXPECT_EQ(line.tick(), RankingChange::policy);
  line.usable("mel/b", Usable::yes);
  EXPECT_EQ(line.tick(), RankingChange::policy) << "no hold for what the operator gives back";
  line.cost("bne/n", 3);
  EXPECT_EQ(line.tick(), RankingChange::policy) << "a new path";
  EXPECT_EQ(line.order().substr(0, 5), "bne/n");
}

TEST(Ranking, CapacitySpillsAtOnce) {
  Line line = settled();
  line.usable("mel/a", Usable::full);
  line.usable("mel/b", Usable::full);
  EXPECT_EQ(line.tick(), RankingChange::capacity);
  EXPECT_EQ(line.order(), "per/p");
}

}  // namespace
}  // namespace perigee
