// The arithmetic of the table, against a case worked out by hand.
#include "simulator/report.h"

#include <gtest/gtest.h>

namespace perigee::simulator {
namespace {

TEST(Report, PercentilesAreNearestRanks) {
  std::vector<std::int64_t> times;
  for (int ms = 100; ms >= 1; --ms) times.push_back(ms * 1'000'000);
  const Percentiles all = percentiles_of(times);
  EXPECT_EQ(all.p50, 50);
  EXPECT_EQ(all.p95, 95);
  EXPECT_EQ(all.p99, 99);
  EXPECT_EQ(percentiles_of({7'000'000}).p99, 7);
}

// Ratios 1/2, 1 and 2: mean 1; logarithms deviate by ln 2, so the error is ln 2 / sqrt 3 and t(2) is 4.303.
TEST(Report, TheIntervalIsStudentsOfTheLogarithms) {
  const Interval interval = geometric_mean(std::vector<double>{0.5, 1, 2});
  EXPECT_NEAR(interval.mean, 1, 1e-12);
  EXPECT_NEAR(interval.high, 5.5964, 1e-3);
  EXPECT_NEAR(interval.low, 1 / 5.5964, 1e-4);
  EXPECT_NEAR(geometric_mean(std::vector<double>{3}).mean, 3, 1e-12);
  EXPECT_EQ(geometric_mean(std::vector<double>{3}).low, 0);
}

RuleResult rule_of_p95(RuleKind rule, double first, double second) {
  RuleResult result;
  result.rule = rule;
  for (const double p95 : {first, second}) {
    RunResult run;
    run.ttft = {p95 / 2, p95, p95 * 2};
    run.refused = 1;
    run.timed_out = 2;
    result.runs.push_back(run);
  }
  return result;
}

TEST(Report, RatiosArePairedBySeed) {
  ScenarioResult scenario;
  scenario.rules = {rule_of_p95(RuleKind::nearest, 10, 40), rule_of_p95(RuleKind::round_robin, 20, 45),
                    rule_of_p95(RuleKind::ours, 5, 20), rule_of_p95(RuleKind::oracle, 4, 16)};
  conclude(scenario);
  EXPECT_EQ(scenario.best_simple, RuleKind::nearest) << "a geometric mean of 20 against 30";
  const RuleResult& ours = *scenario.rule(RuleKind::ours);
  EXPECT_NEAR(ours.ttft.p95, 10, 1e-9);
  EXPECT_NEAR(ours.ttft.p50, 5, 1e-9);
  EXPECT_EQ(ours.failed, 6U);
  EXPECT_NEAR(ours.to_best->mean, 0.5, 1e-9);
  EXPECT_NEAR(ours.to_best->high, 0.5, 1e-9) << "both seeds say the same";
  EXPECT_NEAR(ours.to_oracle->mean, 1.25, 1e-9);

  ScenarioResult other = scenario;
  other.rules[2] = rule_of_p95(RuleKind::ours, 20, 80);
  conclude(other);
  EXPECT_NEAR(overall_to_best({scenario, other}, RuleKind::ours)->mean, 1, 1e-9) << "0.5 and 2";
  EXPECT_NEAR(overall_to_oracle({scenario, other}, RuleKind::ours)->mean, 2.5, 1e-9) << "1.25 and 5";
  EXPECT_FALSE(overall_to_best({scenario}, RuleKind::peak_ewma)) << "it was not run";
}

}  // namespace
}  // namespace perigee::simulator
