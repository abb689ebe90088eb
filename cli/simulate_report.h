// What a simulation found, for people, for the documentation and for programs.
#pragma once

#include <ostream>
#include <vector>

#include "simulator/report.h"
#include "simulator/sweep.h"

namespace perigee::cli {

using ScenarioResults = std::vector<simulator::ScenarioResult>;

void print_simulation(const ScenarioResults& results, std::ostream& out);
// Two tables: every time, and every ratio.
void print_simulation_markdown(const ScenarioResults& results, std::ostream& out);
void print_simulation_json(const ScenarioResults& results, std::ostream& out);
void print_tuning(const std::vector<simulator::TuningResult>& results, std::ostream& out);

}  // namespace perigee::cli
