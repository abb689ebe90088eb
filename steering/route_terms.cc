#include "steering/route_terms.h"

#include <algorithm>
#include <set>

#include "steering/constraints_in_force.h"
#include "steering/damping.h"
#include "steering/room.h"

namespace perigee {
namespace {

constexpr int kStaleWindows = 3;  // an older window is no measurement any more

}  // namespace

bool reachable(const Policy& policy, const Conditions& conditions, const Policy::Endpoint& endpoint) {
  if (!conditions.dataplane_alive) return false;
  if (endpoint.pop == policy.own_pop) return true;
  for (std::size_t i = 0; i < policy.links.size(); ++i)
    if (!link_is_down(conditions, Way{i, {}}) && policy.onward(policy.links[i], endpoint.pop)) return true;
  return false;
}

std::vector<Way> ways_to(const Policy& policy, std::size_t pop) {
  if (pop == policy.own_pop) return {Way{}};
  std::vector<Way> ways;
  for (std::size_t i = 0; i < policy.links.size(); ++i)
    if (const auto declared = policy.onward(policy.links[i], pop)) ways.push_back({i, *declared});
  return ways;
}

Path path_of(const Policy& policy, std::size_t pop, const Way& way) {
  return {policy.pops[pop].id, way.link ? policy.links[*way.link].id : LinkId{}};
}

Cost fixed_cost(const Policy& policy, const Way& way) {
  Cost cost;
  cost.declared = way.declared;
  if (way.link) cost.policy = policy.links[*way.link].cost;
  return cost;
}

Cost cost_of(const Policy& policy, const Conditions& conditions, const Way& way, Instant now) {
  Cost cost = fixed_cost(policy, way);
  if (!way.link) {
    cost.rtt = Nanos(0);  // within this PoP nothing is measured; it is the nearest there is
    return cost;
  }
  const Conditions::Link link = conditions.link(*way.link);
  const bool measured =
      conditions.dataplane_alive && link.window &&
      (link.state == telemetry::LinkState::up || link.state == telemetry::LinkState::degraded);
  if (!measured || link.window->samples < policy.steering.min_samples ||
      now - link.window->taken > kStaleWindows * policy.steering.window)
    return cost;
  cost.rtt = std::max(link.window->p50, policy.links[*way.link].probe.rtt_floor);
  const double loss = std::clamp(link.window->loss.value_or(0), 0.0, 1.0) - policy.steering.loss_ignored;
  if (loss > 0)
    cost.loss = Nanos(
        static_cast<std::int64_t>(loss * 100 * static_cast<double>(policy.steering.loss_penalty.count())));
  return cost;
}

std::optional<Nanos> connection_rtt(const Policy& policy, const Conditions& conditions, std::size_t pop) {
  std::optional<Nanos> least;
  for (std::size_t i = 0; i < policy.endpoints.size(); ++i) {
    const auto rtt = policy.endpoints[i].pop == pop ? conditions.endpoint(i).connection_rtt : std::nullopt;
    if (rtt && (!least || *rtt < *least)) least = rtt;
  }
  return least;
}

Cost request_cost(const Policy& policy, const Conditions& conditions, std::size_t pop, const Way& way,
                  Instant now) {
  Cost cost = cost_of(policy, conditions, way, now);
  if (cost.known() || conditions.dataplane_alive) return cost;
  const auto least = connection_rtt(policy, conditions, pop);
  if (!least) return cost;
  cost.rtt = std::max(*least - cost.declared, Nanos(0));
  cost.of_connections = true;
  return cost;
}

bool disagree(Nanos probes, Nanos connections) {
  constexpr Nanos kLeast = std::chrono::milliseconds(1);
  const Nanos apart = probes > connections ? probes - connections : connections - probes;
  return apart > std::max(kLeast, probes / 5);
}

std::optional<bool> witnesses_disagree(const Policy& policy, const Conditions& conditions, std::size_t link,
                                       Instant now) {
  const Cost cost = cost_of(policy, conditions, Way{link, Nanos(0)}, now);
  const auto flows = conditions.link(link).flow_rtt;
  if (!cost.known() || !flows || flows->samples < policy.steering.min_samples) return std::nullopt;
  return disagree(*cost.rtt, flows->p50);
}

bool link_is_down(const Conditions& conditions, const Way& way) {
  return way.link && conditions.dataplane_alive &&
         conditions.link(*way.link).state == telemetry::LinkState::down;
}

bool in_maintenance(const Policy& policy, const Conditions& conditions, const Way& way) {
  return way.link && maintenance_of(policy, policy.links[*way.link], conditions.wall) != nullptr;
}

std::vector<std::size_t> pops_of(const Policy& policy, const std::vector<std::size_t>& endpoints) {
  std::vector<std::size_t> pops;
  for (const std::size_t endpoint : endpoints) {
    const std::size_t pop = policy.endpoints[endpoint].pop;
    if (std::find(pops.begin(), pops.end(), pop) == pops.end()) pops.push_back(pop);
  }
  return pops;
}

EndpointRoute judge_endpoint(const Policy& policy, const Conditions& conditions, std::size_t index,
                             const EndpointRoute& old, Trust trust, Instant now) {
  const Policy::Endpoint& endpoint = policy.endpoints[index];
  const Conditions::Endpoint measured = conditions.endpoint(index);
  EndpointRoute next = old;
  next.id = endpoint.id;

  if (trust.frozen || !reachable(policy, conditions, endpoint))
    next.reachable_since = {};
  else if (old.reachable_since.never())
    next.reachable_since = now;
  const Policy::Health& law = endpoint.health;
  const Nanos patience = std::max(law.fall, law.rise) * law.interval + law.timeout;
  const bool counts = (!trust.dataplane_seen && !trust.frozen) ||
                      (!next.reachable_since.never() && now - next.reachable_since >= patience);
  if (law.type == Policy::Health::Type::none || measured.health == Health::healthy) {
    next.healthy = true;
    next.dead = false;
  } else if (measured.health != Health::unknown && counts) {
    next.healthy = false;
    next.dead = measured.health == Health::dead;
  }

  if (!endpoint.drain)
    next.draining_since = {};
  else if (old.draining_since.never())
    next.draining_since = now;
  const bool drain_over =
      !next.draining_since.never() && now - next.draining_since >= policy.flows.drain_deadline;
  next.maintenance = maintenance_of(policy, endpoint, conditions.wall) != nullptr;
  next.accepts_new = next.healthy && !endpoint.drain && !next.maintenance;
  next.reset_established = next.dead || drain_over;

  judge_flows(next, old, endpoint, measured.flows, policy.steering);
  next.queue = judge_queue(old.queue, measured.load, policy.steering, now);
  return next;
}

std::optional<Exclusion> exclusion_of(const Policy::Endpoint& endpoint, const EndpointRoute& state) {
  if (endpoint.drain) return Exclusion::drained;
  if (state.maintenance) return Exclusion::maintenance;
  if (!state.healthy) return Exclusion::unhealthy;
  return std::nullopt;
}

ServiceRoute of_requests(const Policy& policy, const Route& route, const ServiceRoute& pool) {
  ServiceRoute out{pool.id, {}, {}, pool.ranking, pool.healthy, pool.panic};
  std::set<EndpointId> seen;
  const auto transit_link = [&](EndpointId id) {
    const Policy::Endpoint* endpoint = policy.endpoint(id);
    const PopRoute* pop = endpoint == nullptr ? nullptr : route.pop(policy.pop_of(*endpoint).id);
    return pop == nullptr || pop->ranking.paths.empty() ? LinkId{} : pop->ranking.paths.front().path.link;
  };
  for (const Tier& tier : pool.tiers) {
    Tier kept;
    for (const Candidate& candidate : tier)
      if (seen.insert(candidate.endpoint).second)
        kept.push_back({candidate.endpoint, transit_link(candidate.endpoint), candidate.weight});
    if (!kept.empty()) out.tiers.push_back(std::move(kept));
  }
  for (const Excluded& excluded : pool.excluded)
    if (seen.insert(excluded.endpoint).second)
      out.excluded.push_back({excluded.endpoint, transit_link(excluded.endpoint), excluded.reason});
  return out;
}

}  // namespace perigee
