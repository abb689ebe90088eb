// Many runs: scenarios by rules by seeds, over threads; and the search for a rule's constants.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "simulator/report.h"
#include "simulator/rules.h"
#include "simulator/situation.h"

namespace perigee::simulator {

inline constexpr std::uint64_t kFirstSeed = 1;           // of the table
inline constexpr std::uint64_t kFirstTuningSeed = 1001;  // never those of the table
inline constexpr std::uint32_t kMaxSeeds = 1000;
inline constexpr std::uint32_t kMaxRequests = 10'000'000;  // of one run: some 400 MB of memory
inline constexpr std::uint32_t kMaxThreads = 256;

struct Sweep {
  std::vector<Scenario> scenarios;
  std::vector<RuleKind> rules;
  std::uint32_t seeds = 20;
  std::uint32_t requests = 20'000;  // counted, of one run
  std::uint32_t threads = 1;
};

// The same whatever the threads. `progress`, when there is one, is told of each run that ended, from any
// thread, one at a time.
using Progress = std::function<void(std::size_t done, std::size_t of)>;
[[nodiscard]] std::vector<ScenarioResult> sweep(const Sweep& what, const Progress& progress = {});

[[nodiscard]] RunResult run_once(const Situation& situation, RuleKind rule, const Tuning& tuning);

// Every point of the grid of each rule over the scenarios on the tuning seeds; least score first.
struct TuningResult {
  RuleKind rule = RuleKind::oracle;
  struct Point {
    Tuning tuning;
    double score = 0;  // geometric mean of p95 over scenarios and seeds, ms
  };
  std::vector<Point> points;
};
[[nodiscard]] std::vector<TuningResult> tune(const Sweep& what, const Progress& progress = {});

}  // namespace perigee::simulator
