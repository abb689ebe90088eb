#include "simulator/sweep.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "simulator/world.h"

namespace perigee::simulator {
namespace {

// job(0) .. job(count - 1), each once, by `threads`; what they do must not depend on the order.
template <class Job>
void for_each_job(std::size_t count, std::uint32_t threads, const Progress& progress, Job job) {
  std::atomic<std::size_t> next{0};
  std::mutex telling;
  std::size_t done = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < count; i = next++) {
      job(i);
      if (!progress) continue;
      const std::lock_guard lock(telling);
      progress(++done, count);
    }
  };
  std::vector<std::thread> others;
  for (std::uint32_t t = 1; t < threads; ++t) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
}

}  // namespace

RunResult run_once(const Situation& situation, RuleKind rule, const Tuning& tuning) {
  World world(situation, rule, tuning);
  Outcome outcome = world.run();
  RunResult result;
  result.requests = outcome.ttft.size();
  result.refused = outcome.refused;
  result.timed_out = outcome.timed_out;
  result.preemptions = outcome.preemptions;
  result.ttft = percentiles_of(std::move(outcome.ttft));
  return result;
}

std::vector<ScenarioResult> sweep(const Sweep& what, const Progress& progress) {
  std::vector<ScenarioResult> results(what.scenarios.size());
  std::vector<std::vector<Percentiles>> floors(results.size(), std::vector<Percentiles>(what.seeds));
  for (std::size_t s = 0; s < results.size(); ++s) {
    results[s].name = what.scenarios[s].name;
    results[s].summary = what.scenarios[s].summary;
    results[s].requests = what.requests;
    results[s].first_tier_changes.resize(what.seeds);
    for (const RuleKind rule : what.rules) {
      results[s].rules.push_back({});
      results[s].rules.back().rule = rule;
      results[s].rules.back().runs.resize(what.seeds);
    }
  }
  // One job is one scenario with one seed: its arrivals are the same for all rules.
  for_each_job(results.size() * what.seeds, what.threads, progress, [&](std::size_t job) {
    const std::size_t s = job / what.seeds;
    const std::size_t n = job % what.seeds;
    const Situation situation = make_situation(what.scenarios[s], what.requests, kFirstSeed + n);
    for (RuleResult& rule : results[s].rules) rule.runs[n] = run_once(situation, rule.rule, tuned(rule.rule));
    floors[s][n] = percentiles_of(floor_of(situation));
    for (const PlacementLog& log : situation.placements)
      results[s].first_tier_changes[n] += log.first_tier_changes;
  });
  for (std::size_t s = 0; s < results.size(); ++s) {
    std::vector<double> p50, p95, p99;
    for (const Percentiles& floor : floors[s]) {
      p50.push_back(floor.p50);
      p95.push_back(floor.p95);
      p99.push_back(floor.p99);
    }
    results[s].floor = {geometric_mean_of(p50), geometric_mean_of(p95), geometric_mean_of(p99)};
    conclude(results[s]);
  }
  return results;
}

std::vector<TuningResult> tune(const Sweep& what, const Progress& progress) {
  struct Job {
    std::size_t rule, point;
  };
  std::vector<TuningResult> results;
  std::vector<Job> points;
  for (const RuleKind rule : what.rules) {
    const Grid grid = grid_of(rule);
    if (grid.points.size() < 2) continue;  // nothing to choose
    results.push_back({rule, {}});
    for (const Tuning& tuning : grid.points) {
      points.push_back({results.size() - 1, results.back().points.size()});
      results.back().points.push_back({tuning, 0});
    }
  }
  const std::size_t situations = what.scenarios.size() * what.seeds;
  std::vector<std::vector<double>> scores(points.size(), std::vector<double>(situations));
  for_each_job(situations, what.threads, progress, [&](std::size_t job) {
    const Situation situation =
        make_situation(what.scenarios[job / what.seeds], what.requests, kFirstTuningSeed + job % what.seeds);
    for (std::size_t p = 0; p < points.size(); ++p) {
      const TuningResult& result = results[points[p].rule];
      scores[p][job] = run_once(situation, result.rule, result.points[points[p].point].tuning).ttft.p95;
    }
  });
  for (std::size_t p = 0; p < points.size(); ++p)
    results[points[p].rule].points[points[p].point].score = geometric_mean_of(scores[p]);
  for (TuningResult& result : results)
    std::stable_sort(result.points.begin(), result.points.end(),
                     [](const auto& a, const auto& b) { return a.score < b.score; });
  return results;
}

}  // namespace perigee::simulator
