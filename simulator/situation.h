// All of a run that no rule has a part in: what is asked and when, what the links do, and what the slow loops
// of the gateways decide. Found once for a scenario and a seed, and the same for every rule.
#pragma once

#include <cstdint>
#include <vector>

#include "simulator/link_process.h"
#include "simulator/placement.h"
#include "simulator/scenario.h"

namespace perigee::simulator {

struct Situation {
  const Scenario* scenario = nullptr;
  std::uint64_t seed = 0;
  std::vector<Arrival> arrivals;
  std::vector<std::vector<LinkProcess>> links;  // [gateway][PoP]
  std::vector<PlacementLog> placements;         // by gateway
};

// `requests`: counted ones, at least 1. `scenario` outlives it.
[[nodiscard]] Situation make_situation(const Scenario& scenario, std::uint32_t requests, std::uint64_t seed);

// For each counted arrival, in their order and in ns: the least of round trips and prefill over all engines
// with nothing before it and its shared beginning cached.
[[nodiscard]] std::vector<std::int64_t> floor_of(const Situation& situation);

}  // namespace perigee::simulator
