#include "steering/route.h"

#include <algorithm>
#include <map>

#include "steering/constraints_in_force.h"
#include "steering/equal_links.h"
#include "steering/placement.h"
#include "steering/route_terms.h"
#include "steering/stall.h"

namespace perigee {
namespace {

SwitchReason reason_of(RankingChange change) {
  switch (change) {
    case RankingChange::rtt:
      return SwitchReason::rtt;
    case RankingChange::failure:
      return SwitchReason::failure;
    case RankingChange::recovery:
      return SwitchReason::recovery;
    case RankingChange::policy:
      return SwitchReason::policy;
    case RankingChange::capacity:
      return SwitchReason::capacity;
    case RankingChange::none:
    case RankingChange::initial:
      break;
  }
  return SwitchReason::initial;
}

// The first active path of `of` that is not active in `in`, else its first active one.
std::optional<Path> changed_path(const Ranking& of, const Ranking& in) {
  std::optional<Path> first;
  for (const RankedPath& path : of.paths) {
    if (!path.active) continue;
    const RankedPath* other = in.find(path.path);
    if (other == nullptr || !other->active) return path.path;
    if (!first) first = path.path;
  }
  return first;
}

// The terms of every way to every PoP. While the data plane stalls, as they were measured before.
std::vector<std::vector<PathTerms>> terms_of(const Policy& policy, const Conditions& conditions,
                                             const Route& previous, bool frozen, Instant now) {
  std::vector<std::vector<PathTerms>> out(policy.pops.size());
  for (std::size_t pop = 0; pop < policy.pops.size(); ++pop) {
    const PopRoute* old = frozen ? previous.pop(policy.pops[pop].id) : nullptr;
    for (const Way& way : ways_to(policy, pop)) {
      PathTerms terms{path_of(policy, pop, way), cost_of(policy, conditions, way, now),
                      link_is_down(conditions, way), in_maintenance(policy, conditions, way)};
      if (const RankedPath* path = old != nullptr ? old->ranking.find(terms.path) : nullptr) {
        terms.cost.rtt = path->cost.rtt;
        terms.cost.loss = path->cost.loss;
      }
      out[pop].push_back(terms);
    }
  }
  return out;
}

// The same for requests.
std::vector<std::vector<PathTerms>> request_terms(const Policy& policy, const Conditions& conditions,
                                                  std::vector<std::vector<PathTerms>> terms, Instant now) {
  if (conditions.dataplane_alive) return terms;
  for (std::size_t pop = 0; pop < policy.pops.size(); ++pop) {
    const std::vector<Way> ways = ways_to(policy, pop);
    for (std::size_t i = 0; i < ways.size(); ++i)
      terms[pop][i].cost = request_cost(policy, conditions, pop, ways[i], now);
  }
  return terms;
}

PopRoute route_pop(const Policy& policy, PopId id, const std::vector<PathTerms>& ways, const PopRoute* old,
                   Instant now) {
  std::vector<PathInput> inputs;
  inputs.reserve(ways.size());
  for (const PathTerms& way : ways)
    inputs.push_back({way.path, way.cost,
                      way.maintained ? Usable::drained
                      : way.down     ? Usable::link_down
                                     : Usable::yes});
  const Ranking previous = old != nullptr ? old->ranking : Ranking{};
  PopRoute next{id, advance(previous, inputs, policy.steering, now).ranking, {}};
  find_equal_links(next, old, policy.steering, now);
  return next;
}

template <class Items, class Id>
auto find_id(const Items& items, Id id) -> const typename Items::value_type* {
  const auto found =
      std::find_if(items.begin(), items.end(), [&](const auto& item) { return item.id == id; });
  return found == items.end() ? nullptr : &*found;
}

}  // namespace

Route route(const Policy& policy, const Conditions& conditions, const Route& previous, Instant now) {
  Route next;
  next.maintenance = under_maintenance(policy, conditions.wall);
  next.dataplane_seen = previous.dataplane_seen || conditions.dataplane_alive;
  next.frozen = frozen(policy, conditions, now);
  std::map<EndpointId, const EndpointRoute*> old_endpoints;
  for (const EndpointRoute& old : previous.endpoints) old_endpoints.emplace(old.id, &old);
  for (std::size_t i = 0; i < policy.endpoints.size(); ++i) {
    const auto old = old_endpoints.find(policy.endpoints[i].id);
    next.endpoints.push_back(judge_endpoint(policy, conditions, i,
                                            old == old_endpoints.end() ? EndpointRoute{} : *old->second,
                                            {next.dataplane_seen, next.frozen == Frozen::checks}, now));
  }
  const auto terms = terms_of(policy, conditions, previous, next.frozen == Frozen::dataplane, now);
  for (std::size_t pop = 0; pop < policy.pops.size(); ++pop)
    if (pop != policy.own_pop)
      next.pops.push_back(
          route_pop(policy, policy.pops[pop].id, terms[pop], previous.pop(policy.pops[pop].id), now));
  const auto place = [&](const Members& members, const auto& ways, const ServiceRoute* old) {
    const Ranking none;
    const Ranking& before = old != nullptr ? old->ranking : none;
    Placement placement(policy, conditions, members, ways, next.endpoints, now);
    RankingStep step = placement.rank(before);
    if (step.change != RankingChange::none)
      next.switches.push_back({members.id, changed_path(before, step.ranking),
                               changed_path(step.ranking, before), reason_of(step.change)});
    return placement.assemble(std::move(step.ranking));
  };
  for (const Policy::Service& service : policy.services)
    if (service.deliver == table::Deliver::nat)
      next.services.push_back(
          place({service.id, service.endpoints, nullptr, service.max_rtt, service.confines}, terms,
                previous.service(service.id)));
  if (policy.routed.empty()) return next;
  const auto of_requests = request_terms(policy, conditions, terms, now);
  for (const Policy::RoutedService& service : policy.routed) {
    for (const Policy::Model& model : service.models) {
      const auto place_pool = [&](const Policy::Pool& pool) {
        next.pools.push_back(place(
            {pool.id, pool.endpoints, &pool.weights, service.max_rtt, service.confines, &pool.served_name},
            of_requests, previous.pool(pool.id)));
      };
      place_pool(model.pool);
      if (model.canary) place_pool(model.canary->pool);
    }
  }
  return next;
}

const ServiceRoute* Route::service(ServiceId id) const { return find_id(services, id); }
const ServiceRoute* Route::pool(ServiceId id) const { return find_id(pools, id); }
const PopRoute* Route::pop(PopId id) const { return find_id(pops, id); }
const EndpointRoute* Route::endpoint(EndpointId id) const { return find_id(endpoints, id); }

const char* name_of(Exclusion exclusion) {
  switch (exclusion) {
    case Exclusion::drained:
      return "drained";
    case Exclusion::maintenance:
      return "maintenance";
    case Exclusion::pop_not_allowed:
      return "pop_not_allowed";
    case Exclusion::not_pinned:
      return "not_pinned";
    case Exclusion::cost_tier:
      return "cost_tier";
    case Exclusion::unhealthy:
      return "unhealthy";
    case Exclusion::full:
      return "full";
    case Exclusion::link_down:
      return "link_down";
    case Exclusion::over_max_rtt:
      return "over_max_rtt";
    case Exclusion::beyond_limit:
      return "beyond_limit";
    case Exclusion::model_absent:
      return "model_absent";
  }
  return "drained";
}

const char* name_of(SwitchReason reason) {
  switch (reason) {
    case SwitchReason::initial:
      return "initial";
    case SwitchReason::rtt:
      return "rtt";
    case SwitchReason::failure:
      return "failure";
    case SwitchReason::recovery:
      return "recovery";
    case SwitchReason::policy:
      return "policy";
    case SwitchReason::capacity:
    case SwitchReason::count_:
      break;
  }
  return "capacity";
}

const char* name_of(Frozen frozen) {
  switch (frozen) {
    case Frozen::no:
      return "no";
    case Frozen::checks:
      return "checks";
    case Frozen::dataplane:
      break;
  }
  return "dataplane";
}

}  // namespace perigee
