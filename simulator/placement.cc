#include "simulator/placement.h"

#include <algorithm>
#include <utility>

#include "simulator/random.h"

namespace perigee::simulator {
namespace {

constexpr std::int64_t kLost = -1;
constexpr std::uint32_t kDownAfter = 15;  // lost probes: three intervals of each of the ports
constexpr std::uint32_t kUpAfter = 10;    // Policy::Probe::up_count

const Tier* first_tier(const ServiceRoute* pool) {
  return pool == nullptr || pool->tiers.empty() ? nullptr : &pool->tiers.front();
}

// Weights may follow load; who is there and in which order may not.
bool same_members(const Tier* a, const Tier* b) {
  if (a == nullptr || b == nullptr) return a == b;
  return std::equal(a->begin(), a->end(), b->begin(), b->end(), [](const Candidate& x, const Candidate& y) {
    return x.endpoint == y.endpoint && x.link == y.link;
  });
}

std::vector<Placed> placed_by(const Policy& policy, const ServiceRoute& pool) {
  std::vector<Placed> placed(policy.endpoints.size());
  for (std::size_t e = 0; e < placed.size(); ++e) {
    const std::size_t pop = policy.endpoints[e].pop;
    const RankedPath* path = pool.ranking.find({policy.pops[pop].id, policy.links[pop - 1].id});
    if (path != nullptr) placed[e].path = path->cost;
  }
  for (std::size_t tier = 0; tier < pool.tiers.size(); ++tier) {
    for (const Candidate& candidate : pool.tiers[tier]) {
      const Policy::Endpoint* endpoint = policy.endpoint(candidate.endpoint);
      Placed& here = placed[static_cast<std::size_t>(endpoint - policy.endpoints.data())];
      here.usable = true;
      here.tier = static_cast<std::uint32_t>(tier);
      here.weight = candidate.weight;
    }
  }
  return placed;
}

}  // namespace

ProbedLink::ProbedLink(const LinkProcess& link, Nanos window, std::uint64_t seed)
    : link_(&link), seed_(seed), capacity_(static_cast<std::size_t>(window / kProbeInterval)) {
  ring_.reserve(capacity_);
  sorted_.reserve(capacity_ + 1);
}

void ProbedLink::update(Instant now) {
  while (next_ + link_->rtt(next_) <= now) {
    take(next_);
    next_ = next_ + kProbeInterval;
  }
}

void ProbedLink::take(Instant sent) {
  const double loss = link_->loss(sent);
  const bool lost = loss > 0 && unit(mix(seed_, static_cast<std::uint64_t>(sent.ns), 0)) < loss;
  const std::int64_t sample = lost ? kLost : link_->rtt(sent).count();
  lost_in_a_row_ = lost ? lost_in_a_row_ + 1 : 0;
  good_in_a_row_ = lost ? 0 : good_in_a_row_ + 1;
  if (lost_in_a_row_ >= kDownAfter) down_ = true;
  if (good_in_a_row_ >= kUpAfter) down_ = false;
  std::int64_t gone = kLost;
  if (ring_.size() < capacity_) {
    ring_.push_back(sample);
  } else {
    gone = std::exchange(ring_[oldest_], sample);
    oldest_ = (oldest_ + 1) % capacity_;
  }
  if (gone == sample) return;
  if (gone != kLost) sorted_.erase(std::lower_bound(sorted_.begin(), sorted_.end(), gone));
  if (sample != kLost) sorted_.insert(std::upper_bound(sorted_.begin(), sorted_.end(), sample), sample);
}

Conditions::Link ProbedLink::read(Instant now) const {
  if (ring_.empty()) return {};
  Conditions::Link link{down_ ? telemetry::LinkState::down : telemetry::LinkState::up, std::nullopt};
  if (sorted_.empty()) return link;
  const auto rank = [&](double share) {
    return Nanos(sorted_[static_cast<std::size_t>(share * static_cast<double>(sorted_.size() - 1))]);
  };
  const double lost = static_cast<double>(ring_.size() - sorted_.size()) / static_cast<double>(ring_.size());
  link.window = Conditions::Window{rank(0), rank(0.5), rank(0.99), sorted_.size(), now, lost};
  return link;
}

PlacementLog place(const Scenario& scenario, std::uint16_t gateway, const std::vector<LinkProcess>& links,
                   Instant until, std::uint64_t seed) {
  const Policy policy = policy_of(scenario, gateway);
  const ServiceId pool = policy.routed.front().models.front().pool.id;
  Conditions conditions;
  conditions.dataplane_alive = true;
  conditions.links.resize(links.size());
  conditions.endpoints.resize(policy.endpoints.size());
  std::vector<ProbedLink> probed;
  probed.reserve(links.size());
  for (const LinkProcess& link : links)
    probed.emplace_back(link, policy.steering.window, mix(seed, gateway, probed.size()));

  PlacementLog log;
  const double phase = unit(mix(seed, gateway, 1000)) * static_cast<double>(policy.steering.tick.count());
  log.first_tick = kStart + Nanos(static_cast<std::int64_t>(phase));
  Route route;
  std::vector<Placed> last;
  for (Instant now = log.first_tick; now <= until; now = now + policy.steering.tick) {
    for (std::size_t i = 0; i < probed.size(); ++i) {
      probed[i].update(now);
      conditions.links[i] = probed[i].read(now);
    }
    Route next = perigee::route(policy, conditions, route, now);
    if (now >= kCountedFrom && !same_members(first_tier(route.pool(pool)), first_tier(next.pool(pool))))
      ++log.first_tier_changes;
    route = std::move(next);
    std::vector<Placed> placed = placed_by(policy, *route.pool(pool));
    if (placed == last) continue;
    log.at.push_back(now);
    log.placed.insert(log.placed.end(), placed.begin(), placed.end());
    last = std::move(placed);
  }
  return log;
}

Policy policy_of(const Scenario& scenario, std::uint16_t gateway) {
  Policy policy;
  const auto add_pop = [&](const std::string& name) {
    Policy::Pop pop;
    pop.name = name;
    pop.id = id_from_name<PopId>(name);
    policy.pops.push_back(pop);
  };
  add_pop("gateway-" + std::to_string(gateway));
  for (std::size_t p = 0; p < scenario.pops; ++p) {
    const std::string name = "pop-" + std::to_string(p);
    add_pop(name);
    Policy::Link link;
    link.name = name;
    link.id = id_from_name<LinkId>(name);
    link.pop = p + 1;
    policy.links.push_back(link);
  }
  Policy::Model model;
  model.name = "model";
  model.pool.id = id_from_name<ServiceId>("service/model");
  for (std::size_t e = 0; e < scenario.engines.size(); ++e) {
    Policy::Endpoint endpoint;
    endpoint.name = "engine-" + std::to_string(e);
    endpoint.id = id_from_name<EndpointId>(endpoint.name);
    endpoint.pop = scenario.engines[e].pop + 1U;
    endpoint.health.type = Policy::Health::Type::none;  // engines do not fail on their own here
    policy.endpoints.push_back(endpoint);
    model.pool.endpoints.push_back(e);
    model.pool.weights.push_back(endpoint.weight);
  }
  Policy::RoutedService service;
  service.name = "service";
  service.id = id_from_name<ServiceId>("service");
  service.models.push_back(model);
  policy.routed.push_back(service);
  return policy;
}

}  // namespace perigee::simulator
