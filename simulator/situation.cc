#include "simulator/situation.h"

#include <algorithm>

#include "simulator/random.h"

namespace perigee::simulator {

Situation make_situation(const Scenario& scenario, std::uint32_t requests, std::uint64_t seed) {
  Situation situation{&scenario, seed, arrivals_of(scenario, requests, seed), {}, {}};
  const Instant until = situation.arrivals.back().at + scenario.timeout;
  for (std::uint16_t g = 0; g < scenario.gateways(); ++g) {
    std::vector<LinkProcess> links;
    for (std::size_t p = 0; p < scenario.links[g].size(); ++p)
      links.emplace_back(scenario.links[g][p], mix(seed, 100 + g, p));
    situation.placements.push_back(place(scenario, g, links, until, mix(seed, 200, g)));
    situation.links.push_back(std::move(links));
  }
  return situation;
}

std::vector<std::int64_t> floor_of(const Situation& situation) {
  const Scenario& scenario = *situation.scenario;
  std::vector<std::int64_t> floor;
  for (const Arrival& arrival : situation.arrivals) {
    if (arrival.at < kCountedFrom) continue;
    std::int64_t least = scenario.timeout.count();
    for (const Scenario::EngineAt& placed : scenario.engines) {
      const LinkProcess& link = situation.links[arrival.gateway][placed.pop];
      if (link.loss(arrival.at) >= 1) continue;
      const Nanos all = link.rtt(arrival.at) * (1 + further_round_trips(arrival.octets)) +
                        idle_prefill(placed.engine, arrival.prompt, arrival.prefix_tokens);
      least = std::min<std::int64_t>(least, all.count());
    }
    floor.push_back(least);
  }
  return floor;
}

}  // namespace perigee::simulator
