#include "cli/simulate_report.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_from.hpp>
#include <cmath>
#include <iomanip>
#include <sstream>

#include "cli/text_table.h"

namespace perigee::cli {
namespace {

using simulator::Interval;
using simulator::Percentiles;
using simulator::RuleKind;
using simulator::RuleResult;
using simulator::ScenarioResult;

std::string number(double value, int digits) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(digits) << value;
  return out.str();
}

std::string text_of_interval(const std::optional<Interval>& interval) {
  if (!interval) return "-";
  if (!std::isfinite(interval->high)) return number(interval->mean, 3);  // of one seed
  return number(interval->mean, 3) + " [" + number(interval->low, 3) + ", " + number(interval->high, 3) + "]";
}

std::string times(const Percentiles& ttft) {
  return number(ttft.p50, 0) + " / " + number(ttft.p95, 0) + " / " + number(ttft.p99, 0);
}

const char* name_of_best(const ScenarioResult& scenario) {
  return scenario.best_simple ? name_of(*scenario.best_simple) : "none";
}

// On average over the seeds.
std::string changes_of(const ScenarioResult& scenario) {
  double sum = 0;
  for (const std::uint64_t changes : scenario.first_tier_changes) sum += static_cast<double>(changes);
  return number(sum / static_cast<double>(std::max<std::size_t>(scenario.first_tier_changes.size(), 1)), 1);
}

// Each rule over all scenarios: "ours: ...".
void print_overall(const ScenarioResults& results, const char* bullet, std::ostream& out) {
  if (results.empty()) return;
  for (const RuleResult& rule : results.front().rules) {
    const auto best = simulator::overall_to_best(results, rule.rule);
    const auto oracle = simulator::overall_to_oracle(results, rule.rule);
    out << bullet << name_of(rule.rule) << ": p95 to the best simple rule of each scenario "
        << text_of_interval(best) << ", to the oracle " << text_of_interval(oracle) << "\n";
  }
}

boost::json::object json_of(const Percentiles& ttft) {
  return {{"p50_ms", ttft.p50}, {"p95_ms", ttft.p95}, {"p99_ms", ttft.p99}};
}

boost::json::value json_of(const std::optional<Interval>& interval) {
  if (!interval) return nullptr;
  boost::json::object out{{"mean", interval->mean}, {"low", nullptr}, {"high", nullptr}};
  if (std::isfinite(interval->high)) {
    out["low"] = interval->low;
    out["high"] = interval->high;
  }
  return out;
}

}  // namespace

void print_simulation(const ScenarioResults& results, std::ostream& out) {
  for (const ScenarioResult& scenario : results) {
    out << scenario.name << ": " << scenario.summary << "\n"
        << "floor " << times(scenario.floor)
        << " ms (p50 / p95 / p99); best simple rule: " << name_of_best(scenario)
        << "; changes of first tiers: " << changes_of(scenario) << " a run\n";
    TextTable table({{"RULE"},
                     {"P50 MS", true},
                     {"P95 MS", true},
                     {"P99 MS", true},
                     {"P95 TO ORACLE"},
                     {"P95 TO BEST"},
                     {"FAILED", true}});
    for (const RuleResult& rule : scenario.rules)
      table.add({name_of(rule.rule), number(rule.ttft.p50, 1), number(rule.ttft.p95, 1),
                 number(rule.ttft.p99, 1), text_of_interval(rule.to_oracle), text_of_interval(rule.to_best),
                 std::to_string(rule.failed)});
    table.print(out, "no rule");
    out << "\n";
  }
  print_overall(results, "", out);
}

void print_simulation_markdown(const ScenarioResults& results, std::ostream& out) {
  if (results.empty()) return;
  const std::vector<RuleResult>& rules = results.front().rules;
  const auto head = [&](const std::string& first) {
    out << "| scenario | " << first << " |";
    for (const RuleResult& rule : rules) out << " " << name_of(rule.rule) << " |";
    out << "\n|---|---|";
    for (std::size_t i = 0; i < rules.size(); ++i) out << "---|";
    out << "\n";
  };
  out << "Time to the first event in ms, p50 / p95 / p99, geometric means over seeds; in brackets what was "
         "refused or timed out, of all seeds.\n\n";
  head("floor");
  for (const ScenarioResult& scenario : results) {
    out << "| " << scenario.name << " | " << times(scenario.floor) << " |";
    for (const RuleResult& rule : scenario.rules) {
      out << " " << times(rule.ttft);
      if (rule.failed > 0) out << " (" << rule.failed << ")";
      out << " |";
    }
    out << "\n";
  }
  out << "\np95 to that of the best simple rule, paired by seed, with the interval at 95 %.\n\n";
  head("best simple rule");
  for (const ScenarioResult& scenario : results) {
    out << "| " << scenario.name << " | " << name_of_best(scenario) << " |";
    for (const RuleResult& rule : scenario.rules) out << " " << text_of_interval(rule.to_best) << " |";
    out << "\n";
  }
  out << "\nWhat the slow loop did, and the p95 of Perigee's decision to the oracle's.\n\n"
         "| scenario | changes of the first tier, a run | p95 to the oracle |\n|---|---|---|\n";
  for (const ScenarioResult& scenario : results)
    if (const RuleResult* ours = scenario.rule(RuleKind::ours))
      out << "| " << scenario.name << " | " << changes_of(scenario) << " | "
          << text_of_interval(ours->to_oracle) << " |\n";
  out << "\nOver all scenarios, geometric means:\n\n";
  print_overall(results, "- ", out);
}

void print_simulation_json(const ScenarioResults& results, std::ostream& out) {
  boost::json::array scenarios;
  for (const ScenarioResult& scenario : results) {
    boost::json::array rules;
    for (const RuleResult& rule : scenario.rules) {
      boost::json::array runs;
      for (const simulator::RunResult& run : rule.runs) {
        boost::json::object one = json_of(run.ttft);
        one["refused"] = run.refused;
        one["timed_out"] = run.timed_out;
        one["preemptions"] = run.preemptions;
        runs.push_back(one);
      }
      rules.push_back({{"rule", name_of(rule.rule)},
                       {"ttft", json_of(rule.ttft)},
                       {"failed", rule.failed},
                       {"p95_to_oracle", json_of(rule.to_oracle)},
                       {"p95_to_best_simple", json_of(rule.to_best)},
                       {"runs", runs}});
    }
    scenarios.push_back({{"scenario", scenario.name},
                         {"summary", scenario.summary},
                         {"requests", scenario.requests},
                         {"floor", json_of(scenario.floor)},
                         {"best_simple", name_of_best(scenario)},
                         {"first_tier_changes", boost::json::value_from(scenario.first_tier_changes)},
                         {"rules", rules}});
  }
  boost::json::array overall;
  if (!results.empty())
    for (const RuleResult& rule : results.front().rules)
      overall.push_back({{"rule", name_of(rule.rule)},
                         {"p95_to_best_simple", json_of(simulator::overall_to_best(results, rule.rule))},
                         {"p95_to_oracle", json_of(simulator::overall_to_oracle(results, rule.rule))}});
  out << boost::json::serialize(boost::json::object{{"scenarios", scenarios}, {"overall", overall}}) << "\n";
}

void print_tuning(const std::vector<simulator::TuningResult>& results, std::ostream& out) {
  for (const simulator::TuningResult& result : results) {
    const simulator::Grid grid = simulator::grid_of(result.rule);
    const auto name = [&](const simulator::Tuning& tuning) {
      std::string text = std::string(grid.first_name) + " " + number(tuning.first, 2);
      if (!grid.second_name.empty())
        text += ", " + std::string(grid.second_name) + " " + number(tuning.second, 2);
      return text;
    };
    out << name_of(result.rule) << ": " << name(result.points.front().tuning) << "\n";
    TextTable table({{"CONSTANTS"}, {"P95 MS", true}});
    for (const auto& point : result.points) table.add({name(point.tuning), number(point.score, 2)});
    table.print(out, "none");
    out << "\n";
  }
}

}  // namespace perigee::cli
