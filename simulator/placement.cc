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

Placement::Placement(const Scenario& scenario, std::uint16_t gateway, const std::vector<LinkProcess>& links,
                     std::uint64_t seed)
    : policy_(policy_of(scenario, gateway)), pool_(policy_.routed.front().models.front().pool.id) {
  conditions_.dataplane_alive = true;
  conditions_.links.resize(links.size());
  conditions_.endpoints.resize(policy_.endpoints.size());
  for (const LinkProcess& link : links)
    probed_.emplace_back(link, policy_.steering.window, mix(seed, gateway, probed_.size()));
}

bool Placement::tick(Instant now, Knowledge& known) {
  for (std::size_t i = 0; i < probed_.size(); ++i) {
    probed_[i].update(now);
    conditions_.links[i] = probed_[i].read(now);
  }
  Route next = perigee::route(policy_, conditions_, route_, now);
  const ServiceRoute* before = route_.pool(pool_);
  const ServiceRoute* after = next.pool(pool_);
  const bool changed = before == nullptr || before->tiers != after->tiers;
  if (now >= kCountedFrom && !same_members(first_tier(before), first_tier(after))) ++changes_;
  route_ = std::move(next);
  for (std::size_t i = 0; i < known.endpoints.size(); ++i) {
    const auto& window = conditions_.links[policy_.endpoints[i].pop - 1].window;
    known.endpoints[i].rtt = window ? std::optional(window->p50) : std::nullopt;
  }
  if (changed) tell(known);
  return changed;
}

void Placement::tell(Knowledge& known) const {
  for (EndpointKnowledge& endpoint : known.endpoints) endpoint.usable = false;
  const std::vector<Tier>& tiers = route_.pool(pool_)->tiers;
  for (std::size_t tier = 0; tier < tiers.size(); ++tier) {
    for (const Candidate& candidate : tiers[tier]) {
      const Policy::Endpoint* named = policy_.endpoint(candidate.endpoint);
      EndpointKnowledge& endpoint =
          known.endpoints[static_cast<std::size_t>(named - policy_.endpoints.data())];
      endpoint.usable = true;
      endpoint.tier = static_cast<std::uint32_t>(tier);
      endpoint.weight = candidate.weight;
    }
  }
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
