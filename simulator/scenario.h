// A situation that rules are compared in: engines, links, load and what happens in between, all by value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "contract/units.h"
#include "simulator/engine.h"
#include "simulator/link_process.h"
#include "simulator/trace.h"

namespace perigee::simulator {

inline constexpr Instant kStart{1'000'000'000};  // the zero instant is "never"
inline constexpr Nanos kWarmUp{60'000'000'000};  // arrivals before its end are not counted
inline constexpr Instant kCountedFrom{kStart.ns + kWarmUp.count()};

struct Scenario {
  struct EngineAt {
    std::uint16_t pop = 0;
    EngineSpec engine;
  };
  struct SpeedChange {
    Instant at;
    std::uint16_t engine = 0;
    double speed = 1;
  };

  std::string name, summary;
  std::uint16_t pops = 3;
  std::vector<EngineAt> engines;
  std::vector<std::vector<LinkSpec>> links;  // [gateway][PoP]
  Workload workload;
  std::vector<SpeedChange> speeds;    // in order of time
  Instant frozen_from, frozen_until;  // polls get no answer in between
  Nanos poll_interval = std::chrono::milliseconds(250);
  Nanos timeout = std::chrono::seconds(30);  // until the first event; what a refused or lost request counts
  std::vector<TraceEntry> trace;             // replayed instead of the workload's lengths; empty: generated

  [[nodiscard]] std::uint16_t engine_count() const { return static_cast<std::uint16_t>(engines.size()); }
  [[nodiscard]] std::uint16_t gateways() const { return static_cast<std::uint16_t>(links.size()); }
};

// The names of all, in the order of the table.
[[nodiscard]] const std::vector<std::string>& scenario_names();
// `requests`: that are counted; what happens in a scenario happens at shares of the time they take. nullopt:
// no such name.
[[nodiscard]] std::optional<Scenario> make_scenario(std::string_view name, std::uint32_t requests);
// As steady-0.6-mixed-wan with 2 gateways, but for what is asked: the trace's.
[[nodiscard]] Scenario trace_scenario(std::vector<TraceEntry> trace, std::uint32_t requests);

// What comes in a run of it.
[[nodiscard]] std::vector<Arrival> arrivals_of(const Scenario& scenario, std::uint32_t requests,
                                               std::uint64_t seed);

// Requests a second that an engine of speed 1 completes while its queue is never empty, found by running it
// on what such requests ask.
[[nodiscard]] double capacity_of(const EngineSpec& spec, const std::vector<Arrival>& asked);

}  // namespace perigee::simulator
