#include <algorithm>

#include "simulator/scenario.h"

namespace perigee::simulator {

double capacity_of(const EngineSpec& spec, const std::vector<Arrival>& asked) {
  constexpr std::uint32_t kRequests = 3000;
  constexpr std::uint32_t kFirst = 500;  // those that end before are of the start
  Engine engine(spec);
  std::vector<Emission> emissions;
  std::uint32_t sent = 0;
  std::uint32_t ended = 0;
  Instant now = kStart;
  Instant begin;
  while (ended < kRequests) {
    for (; sent - ended < 2 * spec.max_running; ++sent) {
      const Arrival& one = asked[sent % asked.size()];
      engine.arrive({sent, one.prompt, one.output, one.prefix, one.prefix_tokens, Engine::kIdle}, now);
    }
    now = engine.next();
    emissions.clear();
    engine.advance(emissions);
    for (const Emission& emission : emissions)
      if (emission.kind == Emission::Kind::ended && ++ended == kFirst) begin = now;
  }
  return static_cast<double>(ended - kFirst) * 1e9 / static_cast<double>((now - begin).count());
}

std::vector<Arrival> arrivals_of(const Scenario& scenario, std::uint32_t requests, std::uint64_t seed) {
  if (scenario.trace.empty()) return generate(scenario.workload, kStart, kCountedFrom, requests, seed);
  return replay(scenario.trace, scenario.workload, kStart, kCountedFrom, requests, seed);
}

}  // namespace perigee::simulator
