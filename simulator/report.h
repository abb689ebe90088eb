// From the times of runs to the figures of the table.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "simulator/rules.h"

namespace perigee::simulator {

// A ratio with its interval at 95 %.
struct Interval {
  double mean = 1, low = 1, high = 1;
};

// The geometric mean of ratios that belong to one seed each, with the interval of Student's t over their
// logarithms; of one ratio alone the interval is unknown: 0 to infinity. None: 1.
[[nodiscard]] Interval geometric_mean(std::span<const double> ratios);
[[nodiscard]] double geometric_mean_of(std::span<const double> values);

// The least of `times` that `share` of them do not exceed (nearest rank). Reorders them. Not of none.
[[nodiscard]] std::int64_t percentile(std::vector<std::int64_t>& times, double share);

struct Percentiles {
  double p50 = 0, p95 = 0, p99 = 0;  // ms
};
[[nodiscard]] Percentiles percentiles_of(std::vector<std::int64_t> times);

// One rule in one scenario with one seed.
struct RunResult {
  Percentiles ttft;
  std::uint64_t requests = 0, refused = 0, timed_out = 0, preemptions = 0;
};

// Over its seeds.
struct RuleResult {
  RuleKind rule = RuleKind::oracle;
  std::vector<RunResult> runs;        // by seed
  Percentiles ttft;                   // geometric means over the seeds
  std::uint64_t failed = 0;           // refused or timed out, of all seeds
  std::optional<Interval> to_oracle;  // p95, paired by seed; absent: there was no oracle
  std::optional<Interval> to_best;    // p95 to the best simple rule's; absent: there is none but itself
};

struct ScenarioResult {
  std::string name, summary;
  std::uint64_t requests = 0;  // counted, of one run
  Percentiles floor;
  // In which the slow loops of all gateways changed who is in the first tier, or the order in it, by seed.
  std::vector<std::uint64_t> first_tier_changes;
  std::vector<RuleResult> rules;
  std::optional<RuleKind> best_simple;  // of least p95
  [[nodiscard]] const RuleResult* rule(RuleKind kind) const;
};

// Fills what follows from the runs.
void conclude(ScenarioResult& scenario);

// Over all scenarios: for each seed the geometric mean of the rule's p95 ratios, then their mean and
// interval. Absent when a scenario lacks the rule or what it is compared with.
[[nodiscard]] std::optional<Interval> overall_to_best(const std::vector<ScenarioResult>& scenarios,
                                                      RuleKind rule);
[[nodiscard]] std::optional<Interval> overall_to_oracle(const std::vector<ScenarioResult>& scenarios,
                                                        RuleKind rule);

}  // namespace perigee::simulator
