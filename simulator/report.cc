#include "simulator/report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace perigee::simulator {
namespace {

// Student's t at 97.5 %, by degrees of freedom from 1; beyond them the normal distribution's.
constexpr std::array kStudent = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
                                 2.201,  2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
                                 2.080,  2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042};

std::vector<double> paired(const RuleResult& rule, const RuleResult& other) {
  std::vector<double> ratios;
  for (std::size_t seed = 0; seed < std::min(rule.runs.size(), other.runs.size()); ++seed)
    ratios.push_back(rule.runs[seed].ttft.p95 / other.runs[seed].ttft.p95);
  return ratios;
}

template <class Other>
std::optional<Interval> overall(const std::vector<ScenarioResult>& scenarios, RuleKind kind, Other other) {
  std::vector<std::vector<double>> of_seeds;
  for (const ScenarioResult& scenario : scenarios) {
    const RuleResult* rule = scenario.rule(kind);
    const RuleResult* against = other(scenario);
    if (rule == nullptr || against == nullptr) return std::nullopt;
    const std::vector<double> ratios = paired(*rule, *against);
    of_seeds.resize(std::max(of_seeds.size(), ratios.size()));
    for (std::size_t seed = 0; seed < ratios.size(); ++seed) of_seeds[seed].push_back(ratios[seed]);
  }
  std::vector<double> means;
  means.reserve(of_seeds.size());
  for (const std::vector<double>& ratios : of_seeds) means.push_back(geometric_mean_of(ratios));
  if (means.empty()) return std::nullopt;
  return geometric_mean(means);
}

}  // namespace

double geometric_mean_of(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += std::log(value);
  return values.empty() ? 1 : std::exp(sum / static_cast<double>(values.size()));
}

Interval geometric_mean(std::span<const double> ratios) {
  const std::size_t n = ratios.size();
  const double mean = geometric_mean_of(ratios);
  if (n == 0) return {};
  if (n == 1) return {mean, 0, std::numeric_limits<double>::infinity()};
  double squares = 0;
  for (const double ratio : ratios) squares += std::pow(std::log(ratio / mean), 2);
  const double error = std::sqrt(squares / static_cast<double>(n - 1) / static_cast<double>(n));
  const double t = n - 2 < kStudent.size() ? kStudent[n - 2] : 1.96;
  return {mean, mean * std::exp(-t * error), mean * std::exp(t * error)};
}

std::int64_t percentile(std::vector<std::int64_t>& times, double share) {
  const auto rank = static_cast<std::ptrdiff_t>(std::ceil(share * static_cast<double>(times.size())));
  const auto place = times.begin() + std::max<std::ptrdiff_t>(rank - 1, 0);
  std::nth_element(times.begin(), place, times.end());
  return *place;
}

Percentiles percentiles_of(std::vector<std::int64_t> times) {
  if (times.empty()) return {};
  const auto ms = [&](double share) { return static_cast<double>(percentile(times, share)) / 1e6; };
  return {ms(0.5), ms(0.95), ms(0.99)};
}

const RuleResult* ScenarioResult::rule(RuleKind kind) const {
  const auto found =
      std::find_if(rules.begin(), rules.end(), [kind](const RuleResult& r) { return r.rule == kind; });
  return found == rules.end() ? nullptr : &*found;
}

void conclude(ScenarioResult& scenario) {
  for (RuleResult& rule : scenario.rules) {
    std::vector<double> p50, p95, p99;
    rule.failed = 0;
    for (const RunResult& run : rule.runs) {
      p50.push_back(run.ttft.p50);
      p95.push_back(run.ttft.p95);
      p99.push_back(run.ttft.p99);
      rule.failed += run.refused + run.timed_out;
    }
    rule.ttft = {geometric_mean_of(p50), geometric_mean_of(p95), geometric_mean_of(p99)};
  }
  const RuleResult* best = nullptr;
  for (const RuleResult& rule : scenario.rules)
    if (is_simple(rule.rule) && (best == nullptr || rule.ttft.p95 < best->ttft.p95)) best = &rule;
  if (best != nullptr) scenario.best_simple = best->rule;
  const RuleResult* oracle = scenario.rule(RuleKind::oracle);
  for (RuleResult& rule : scenario.rules) {
    if (oracle != nullptr) rule.to_oracle = geometric_mean(paired(rule, *oracle));
    if (best != nullptr) rule.to_best = geometric_mean(paired(rule, *best));
  }
}

std::optional<Interval> overall_to_best(const std::vector<ScenarioResult>& scenarios, RuleKind rule) {
  return overall(scenarios, rule, [](const ScenarioResult& scenario) {
    return scenario.best_simple ? scenario.rule(*scenario.best_simple) : nullptr;
  });
}

std::optional<Interval> overall_to_oracle(const std::vector<ScenarioResult>& scenarios, RuleKind rule) {
  return overall(scenarios, rule,
                 [](const ScenarioResult& scenario) { return scenario.rule(RuleKind::oracle); });
}

}  // namespace perigee::simulator
