#include "steering/route.h"

#include <algorithm>
#include <map>

#include "steering/constraints_in_force.h"
#include "steering/route_terms.h"

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

PopRoute route_pop(const Policy& policy, const Conditions& conditions, std::size_t pop, const PopRoute* old,
                   Instant now) {
  std::vector<PathInput> inputs;
  for (const Way& way : ways_to(policy, pop))
    inputs.push_back({path_of(policy, pop, way), cost_of(policy, conditions, way, now),
                      in_maintenance(policy, conditions, way) ? Usable::drained
                      : link_is_down(conditions, way)         ? Usable::link_down
                                                              : Usable::yes});
  const Ranking previous = old != nullptr ? old->ranking : Ranking{};
  return {policy.pops[pop].id, advance(previous, inputs, policy.steering, now).ranking};
}

// What one ranking chooses among: a forwarded service, or a model of a routed one.
struct Members {
  ServiceId id;
  const std::vector<std::size_t>& endpoints;
  const std::vector<std::uint32_t>* weights = nullptr;  // beside them; none: the endpoints' own
  std::optional<Nanos> max_rtt;
  const Confines& confines;
  const std::string* model =
      nullptr;  // of a routed service, at its endpoints: requests go over kernel sockets
};

// One of them: its endpoints by the hard constraints, its paths ranked, its tiers put together.
class Placement {
 public:
  Placement(const Policy& policy, const Conditions& conditions, const Members& members,
            const std::vector<EndpointRoute>& endpoints)
      : policy_(policy), members_(members) {
    const auto absent = [&](std::size_t i) {
      if (members.model == nullptr || i >= conditions.endpoints.size()) return false;
      const auto& names = conditions.endpoints[i].absent_models;
      return std::find(names.begin(), names.end(), *members.model) != names.end();
    };
    bool room = false;
    for (const std::size_t i : members.endpoints) {
      std::optional<Exclusion> reason = outside(policy, members.confines, i, conditions.wall);
      if (!reason) reason = exclusion_of(policy.endpoints[i], endpoints[i]);
      if (!reason && absent(i)) reason = Exclusion::model_absent;
      room = room || (!reason && !endpoints[i].full);
      exclusions_.push_back(reason);
    }
    for (std::size_t k = 0; room && k < exclusions_.size(); ++k)
      if (!exclusions_[k] && endpoints[members.endpoints[k]].full) exclusions_[k] = Exclusion::full;
  }

  RankingStep rank(const Conditions& conditions, const Ranking& previous, Instant now) {
    std::vector<PathInput> inputs;
    for (const std::size_t pop : pops_of(policy_, members_.endpoints)) {
      for (const Way& way : ways_to(policy_, pop)) {
        const Cost cost = members_.model != nullptr ? request_cost(policy_, conditions, pop, way, now)
                                                    : cost_of(policy_, conditions, way, now);
        PathInput input{path_of(policy_, pop, way), cost, usable(policy_.pops[pop].id)};
        if (input.usable == Usable::yes && in_maintenance(policy_, conditions, way))
          input.usable = Usable::drained;
        if (input.usable == Usable::yes && link_is_down(conditions, way)) input.usable = Usable::link_down;
        if (input.usable == Usable::yes && over_max_rtt(input, previous)) input.usable = Usable::over_max_rtt;
        inputs.push_back(input);
      }
    }
    leave_to_lower_cost_tiers(inputs, previous, now);
    return advance(previous, inputs, policy_.steering, now);
  }

  ServiceRoute assemble(Ranking ranking) const {
    ServiceRoute out{members_.id, {}, {}, std::move(ranking)};
    std::map<Path, Usable> dropped;  // paths that no tier has
    for (const RankedPath& path : out.ranking.paths) dropped.emplace(path.path, path.usable);
    for (const std::vector<Path>& paths : out.ranking.tiers(policy_.steering)) {
      if (out.tiers.size() == table::kMaxTiersPerService) break;
      Tier tier;
      for (const Path& path : paths) {
        add_candidates(path, tier);
        dropped.erase(path);
      }
      out.tiers.push_back(std::move(tier));
    }
    exclude(dropped, out.excluded);
    return out;
  }

 private:
  // Endpoints of a cost tier above the least that is usable step aside. What only came back does not count
  // for `hold`, unless there is nothing else: a link that flaps must not take the flows with it each time.
  void leave_to_lower_cost_tiers(std::vector<PathInput>& inputs, const Ranking& previous, Instant now) {
    const auto came_back = [&](const RankedPath* old) {
      if (old == nullptr || old->usable == Usable::drained || old->usable == Usable::cost_tier) return false;
      return old->usable != Usable::yes ||
             (!old->usable_since.never() && now - old->usable_since < policy_.steering.hold);
    };
    if (std::none_of(members_.endpoints.begin(), members_.endpoints.end(),
                     [&](std::size_t i) { return policy_.endpoints[i].cost_tier > 0; }))
      return;
    std::optional<std::uint32_t> least, least_of_all;
    for (std::size_t k = 0; k < exclusions_.size(); ++k) {
      if (exclusions_[k]) continue;
      const Policy::Endpoint& endpoint = policy_.endpoints[members_.endpoints[k]];
      for (const PathInput& input : inputs) {
        if (input.usable != Usable::yes || input.path.pop != policy_.pop_of(endpoint).id) continue;
        least_of_all = std::min(least_of_all.value_or(kMaxCostTier), endpoint.cost_tier);
        if (!came_back(previous.find(input.path)))
          least = std::min(least.value_or(kMaxCostTier), endpoint.cost_tier);
      }
    }
    const std::uint32_t level = least.value_or(least_of_all.value_or(kMaxCostTier));
    for (std::size_t k = 0; k < exclusions_.size(); ++k)
      if (!exclusions_[k] && policy_.endpoints[members_.endpoints[k]].cost_tier > level)
        exclusions_[k] = Exclusion::cost_tier;
    for (PathInput& input : inputs)
      if (input.usable == Usable::yes) input.usable = usable(input.path.pop);
  }

  // Whether any endpoint of the service in this PoP takes new flows; if none, the reason nearest to yes.
  [[nodiscard]] Usable usable(PopId pop) const {
    Usable result = Usable::drained;
    for (std::size_t k = 0; k < exclusions_.size(); ++k) {
      if (policy_.pop_of(policy_.endpoints[members_.endpoints[k]]).id != pop) continue;
      if (!exclusions_[k]) return Usable::yes;
      const Usable reason =
          *exclusions_[k] == Exclusion::cost_tier ? Usable::cost_tier
          : *exclusions_[k] == Exclusion::full    ? Usable::full
          : *exclusions_[k] == Exclusion::unhealthy || *exclusions_[k] == Exclusion::model_absent
              ? Usable::unhealthy
              : Usable::drained;
      const bool nearer =
          reason == Usable::cost_tier || (reason == Usable::full && result != Usable::cost_tier);
      if (nearer || result == Usable::drained) result = reason;
    }
    return result;
  }

  // Once over the limit, a path must be below it by the hysteresis to be used again.
  [[nodiscard]] bool over_max_rtt(const PathInput& input, const Ranking& previous) const {
    if (!members_.max_rtt || !input.cost.known()) return false;
    const RankedPath* old = previous.find(input.path);
    const bool was_over = old != nullptr && old->usable == Usable::over_max_rtt;
    const double factor = was_over ? 1 - policy_.steering.hysteresis_relative : 1.0;
    return static_cast<double>((*input.cost.rtt + input.cost.declared).count()) >
           factor * static_cast<double>(members_.max_rtt->count());
  }

  void add_candidates(const Path& path, Tier& tier) const {
    for (std::size_t k = 0; k < exclusions_.size(); ++k) {
      const Policy::Endpoint& endpoint = policy_.endpoints[members_.endpoints[k]];
      if (!exclusions_[k] && policy_.pop_of(endpoint).id == path.pop)
        tier.push_back(
            {endpoint.id, path.link, members_.weights == nullptr ? endpoint.weight : (*members_.weights)[k]});
    }
  }

  void exclude(const std::map<Path, Usable>& dropped, std::vector<Excluded>& out) const {
    for (std::size_t k = 0; k < exclusions_.size(); ++k) {
      const Policy::Endpoint& endpoint = policy_.endpoints[members_.endpoints[k]];
      for (const Way& way : ways_to(policy_, endpoint.pop)) {
        const Path path = path_of(policy_, endpoint.pop, way);
        const auto found = dropped.find(path);
        const auto of_path = found == dropped.end() ? std::nullopt : exclusion_by(found->second);
        if (exclusions_[k] && !(exclusions_[k] == Exclusion::cost_tier && of_path))
          out.push_back({endpoint.id, path.link, *exclusions_[k]});
        else if (found != dropped.end())
          out.push_back({endpoint.id, path.link, of_path.value_or(Exclusion::beyond_limit)});
      }
    }
  }

  // What is said of a path itself, whose endpoints would take new flows.
  static std::optional<Exclusion> exclusion_by(Usable usable) {
    if (usable == Usable::link_down) return Exclusion::link_down;
    if (usable == Usable::over_max_rtt) return Exclusion::over_max_rtt;
    return usable == Usable::drained ? std::optional(Exclusion::maintenance) : std::nullopt;
  }

  const Policy& policy_;
  const Members& members_;
  std::vector<std::optional<Exclusion>> exclusions_;  // in the order of the service's endpoints
};

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
  std::map<EndpointId, const EndpointRoute*> old_endpoints;
  for (const EndpointRoute& old : previous.endpoints) old_endpoints.emplace(old.id, &old);
  for (std::size_t i = 0; i < policy.endpoints.size(); ++i) {
    const auto old = old_endpoints.find(policy.endpoints[i].id);
    next.endpoints.push_back(judge_endpoint(policy, conditions, i,
                                            old == old_endpoints.end() ? EndpointRoute{} : *old->second,
                                            next.dataplane_seen, now));
  }
  for (std::size_t pop = 0; pop < policy.pops.size(); ++pop)
    if (pop != policy.own_pop)
      next.pops.push_back(route_pop(policy, conditions, pop, previous.pop(policy.pops[pop].id), now));
  const auto place = [&](const Members& members, const ServiceRoute* old) {
    const Ranking before = old != nullptr ? old->ranking : Ranking{};
    Placement placement(policy, conditions, members, next.endpoints);
    RankingStep step = placement.rank(conditions, before, now);
    if (step.change != RankingChange::none)
      next.switches.push_back({members.id, changed_path(before, step.ranking),
                               changed_path(step.ranking, before), reason_of(step.change)});
    return placement.assemble(std::move(step.ranking));
  };
  for (const Policy::Service& service : policy.services)
    if (service.deliver == table::Deliver::nat)
      next.services.push_back(
          place({service.id, service.endpoints, nullptr, service.max_rtt, service.confines},
                previous.service(service.id)));
  for (const Policy::RoutedService& service : policy.routed) {
    for (const Policy::Model& model : service.models) {
      const auto place_pool = [&](const Policy::Pool& pool) {
        next.pools.push_back(place(
            {pool.id, pool.endpoints, &pool.weights, service.max_rtt, service.confines, &pool.served_name},
            previous.pool(pool.id)));
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

}  // namespace perigee
