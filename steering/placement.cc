#include "steering/placement.h"

#include <algorithm>
#include <cmath>

#include "steering/constraints_in_force.h"
#include "steering/damping.h"
#include "steering/route_terms.h"

namespace perigee {
namespace {

constexpr double kRough = 0.025;     // of a weight may be lost when it is rounded: half a step of shares
constexpr double kMostScale = 1000;  // enough for a weight of 1 with the least share
constexpr double kMaxWeight = 4294967295;  // of a table

bool is_absent(const Conditions& conditions, std::size_t endpoint, const std::string* model) {
  if (model == nullptr || endpoint >= conditions.endpoints.size()) return false;
  const auto& names = conditions.endpoints[endpoint].absent_models;
  return std::find(names.begin(), names.end(), *model) != names.end();
}

// By the operator or for want of the model: no failure.
bool is_out(const std::optional<Exclusion>& exclusion) {
  return exclusion && *exclusion != Exclusion::unhealthy && *exclusion != Exclusion::full;
}

// What is said of a path itself, whose endpoints would take new flows.
std::optional<Exclusion> exclusion_by(Usable usable) {
  if (usable == Usable::link_down) return Exclusion::link_down;
  if (usable == Usable::over_max_rtt) return Exclusion::over_max_rtt;
  return usable == Usable::drained ? std::optional(Exclusion::maintenance) : std::nullopt;
}

}  // namespace

Placement::Placement(const Policy& policy, const Conditions& conditions, const Members& members,
                     const std::vector<std::vector<PathTerms>>& ways,
                     const std::vector<EndpointRoute>& endpoints, Instant now)
    : policy_(policy),
      members_(members),
      ways_(ways),
      endpoints_(endpoints),
      now_(now),
      pops_(pops_of(policy, members.endpoints)) {
  const auto absent = [&](std::size_t i) { return is_absent(conditions, i, members.model); };
  const bool by_capacity =
      std::all_of(members.endpoints.begin(), members.endpoints.end(),
                  [&](std::size_t i) { return policy.endpoints[i].capacity.has_value(); });
  for (const std::size_t i : members.endpoints) {
    const Policy::Endpoint& endpoint = policy.endpoints[i];
    Member member;
    member.endpoint = i;
    member.pop =
        static_cast<std::size_t>(std::find(pops_.begin(), pops_.end(), endpoint.pop) - pops_.begin());
    member.exclusion = outside(policy, members.confines, i, conditions.wall);
    if (!member.exclusion) member.exclusion = exclusion_of(endpoint, endpoints[i]);
    if (!member.exclusion && absent(i)) member.exclusion = Exclusion::model_absent;
    list_.push_back(member);
    list_.back().size = by_capacity ? *endpoint.capacity : own_weight(list_.back());
  }
  const bool room = std::any_of(list_.begin(), list_.end(), [&](const Member& member) {
    return !member.exclusion && !full(endpoints[member.endpoint]);
  });
  for (Member& member : list_)
    if (room && !member.exclusion && full(endpoints[member.endpoint])) member.exclusion = Exclusion::full;
}

bool Placement::full(const EndpointRoute& endpoint) const {
  return endpoint.full || (members_.model == nullptr && endpoint.queue.stays);
}

double Placement::room(const EndpointRoute& endpoint) const {
  const double share = static_cast<double>(endpoint.share) / kFullShare;
  return members_.model == nullptr ? share * endpoint.queue.share / kFullShare : share;
}

std::uint32_t Placement::own_weight(const Member& member) const {
  return members_.weights == nullptr ? policy_.endpoints[member.endpoint].weight
                                     : (*members_.weights)[static_cast<std::size_t>(&member - list_.data())];
}

RankingStep Placement::rank(const Ranking& previous) {
  std::vector<PathInput> inputs;
  for (std::size_t pop = 0; pop < pops_.size(); ++pop) {
    const Usable of_pop = usable(pop);
    for (const PathTerms& way : ways_[pops_[pop]]) {
      PathInput input{way.path, way.cost, of_pop};
      if (input.usable == Usable::yes && way.maintained) input.usable = Usable::drained;
      if (input.usable == Usable::yes && way.down) input.usable = Usable::link_down;
      if (input.usable == Usable::yes && over_max_rtt(input, previous)) input.usable = Usable::over_max_rtt;
      inputs.push_back(input);
    }
  }
  leave_to_lower_cost_tiers(inputs, previous);
  return advance(previous, inputs, policy_.steering, now_);
}

// Endpoints of a cost tier above the least that is usable step aside. What only came back does not count
// for `hold`, unless there is nothing else: a link that flaps must not take the flows with it each time.
void Placement::leave_to_lower_cost_tiers(std::vector<PathInput>& inputs, const Ranking& previous) {
  const auto tier_of = [&](const Member& member) { return policy_.endpoints[member.endpoint].cost_tier; };
  const auto came_back = [&](const RankedPath* old) {
    if (old == nullptr || old->usable == Usable::drained || old->usable == Usable::cost_tier) return false;
    return old->usable != Usable::yes ||
           (!old->usable_since.never() && now_ - old->usable_since < policy_.steering.hold);
  };
  if (std::none_of(list_.begin(), list_.end(), [&](const Member& member) { return tier_of(member) > 0; }))
    return;
  std::optional<std::uint32_t> least, least_of_all;
  for (const Member& member : list_) {
    if (member.exclusion) continue;
    for (const PathInput& input : inputs) {
      if (input.usable != Usable::yes || input.path.pop != policy_.pops[pops_[member.pop]].id) continue;
      least_of_all = std::min(least_of_all.value_or(kMaxCostTier), tier_of(member));
      if (!came_back(previous.find(input.path)))
        least = std::min(least.value_or(kMaxCostTier), tier_of(member));
    }
  }
  const std::uint32_t level = least.value_or(least_of_all.value_or(kMaxCostTier));
  for (Member& member : list_)
    if (!member.exclusion && tier_of(member) > level) member.exclusion = Exclusion::cost_tier;
  for (PathInput& input : inputs) {
    if (input.usable != Usable::yes) continue;
    for (std::size_t pop = 0; pop < pops_.size(); ++pop)
      if (policy_.pops[pops_[pop]].id == input.path.pop) input.usable = usable(pop);
  }
}

// Whether any endpoint of the service in this PoP takes new flows; if none, the reason nearest to yes.
Usable Placement::usable(std::size_t pop) const {
  Usable result = Usable::drained;
  for (const Member& member : list_) {
    if (member.pop != pop) continue;
    if (!member.exclusion) return Usable::yes;
    const Usable reason =
        *member.exclusion == Exclusion::cost_tier ? Usable::cost_tier
        : *member.exclusion == Exclusion::full    ? Usable::full
        : *member.exclusion == Exclusion::unhealthy || *member.exclusion == Exclusion::model_absent
            ? Usable::unhealthy
            : Usable::drained;
    const bool nearer =
        reason == Usable::cost_tier || (reason == Usable::full && result != Usable::cost_tier);
    if (nearer || result == Usable::drained) result = reason;
  }
  return result;
}

// Once over the limit, a path must be below it by the hysteresis to be used again.
bool Placement::over_max_rtt(const PathInput& input, const Ranking& previous) const {
  if (!members_.max_rtt || !input.cost.known()) return false;
  const RankedPath* old = previous.find(input.path);
  const bool was_over = old != nullptr && old->usable == Usable::over_max_rtt;
  const double factor = was_over ? 1 - policy_.steering.hysteresis_relative : 1.0;
  return static_cast<double>((*input.cost.rtt + input.cost.declared).count()) >
         factor * static_cast<double>(members_.max_rtt->count());
}

// The healthy share of what is as near as the first tier or nearer, by the last known costs. What the
// operator took out, or keeps out by max_rtt, is no part of it; what is full carries its load; a PoP that
// came back only just now does not count yet.
double Placement::healthy_front(const Ranking& ranking) const {
  std::optional<Nanos> farthest;
  bool any_active = false;
  for (const RankedPath& path : ranking.paths) {
    any_active = any_active || path.active;
    if (path.active && path.damped) farthest = std::max(farthest.value_or(*path.damped), *path.damped);
  }
  double total = 0;
  double healthy = 0;
  for (std::size_t pop = 0; pop < pops_.size(); ++pop) {
    bool in_front = !any_active;
    bool carries = false;
    bool allowed = false;
    for (const RankedPath& path : ranking.paths) {
      if (path.path.pop != policy_.pops[pops_[pop]].id || path.usable == Usable::over_max_rtt ||
          path.usable == Usable::drained)
        continue;
      allowed = true;
      in_front = in_front || path.active || (path.damped && farthest && *path.damped <= *farthest);
      carries = carries || path.active || path.usable == Usable::full || ready(path, policy_.steering, now_);
    }
    if (!allowed || !in_front) continue;
    for (const Member& member : list_) {
      if (member.pop != pop || is_out(member.exclusion)) continue;
      total += member.size;
      if (carries && endpoints_[member.endpoint].healthy) healthy += member.size;
    }
  }
  return total > 0 ? healthy / total : 1;
}

ServiceRoute Placement::assemble(Ranking ranking) const {
  ServiceRoute out;
  out.id = members_.id;
  out.ranking = std::move(ranking);
  out.healthy = healthy_front(out.ranking);
  out.panic = out.healthy < policy_.steering.panic;
  std::vector<Draft> tiers = drafts(out.ranking);
  // Requests are spread by what each endpoint would take them for, not by this.
  if (members_.model == nullptr) spread(tiers, out);
  for (const Draft& draft : tiers)
    if (!draft.empty() && out.tiers.size() < table::kMaxTiersPerService) out.tiers.push_back(finished(draft));
  exclude(out);
  return out;
}

std::vector<Placement::Draft> Placement::drafts(const Ranking& ranking) const {
  std::vector<Draft> out;
  for (const std::vector<Path>& paths : ranking.tiers(policy_.steering)) {
    Draft& draft = out.emplace_back();
    for (const Path& path : paths) {
      const double share = members_.model == nullptr ? ranking.find(path)->share : kFullShare;
      for (std::size_t k = 0; k < list_.size(); ++k) {
        const Member& member = list_[k];
        if (member.exclusion || policy_.pops[pops_[member.pop]].id != path.pop) continue;
        draft.push_back(
            {k, path.link, own_weight(member) * share * room(endpoints_[member.endpoint]) / kFullShare});
      }
    }
  }
  return out;
}

// Moves endpoints of later tiers into the first one, as far as it cannot carry all by itself.
void Placement::spread(std::vector<Draft>& tiers, const ServiceRoute& out) const {
  const double carried = std::min(1.0, out.healthy * policy_.steering.overprovision);
  if (tiers.empty() || (carried >= 1 && !out.panic)) return;
  double first_weight = 0;
  std::vector<bool> in_first(list_.size());
  for (const Weighed& candidate : tiers.front()) {
    in_first[candidate.member] = true;
    first_weight += candidate.weight;
  }
  if (out.panic)  // near and far alike
    for (Weighed& candidate : tiers.front()) candidate.weight = own_weight(list_[candidate.member]);
  for (std::size_t t = 1; t < tiers.size(); ++t) {
    Draft moved;
    double weight = 0;
    const auto new_there = [&](const Weighed& candidate) { return !in_first[candidate.member]; };
    std::copy_if(tiers[t].begin(), tiers[t].end(), std::back_inserter(moved), new_there);
    if (moved.empty()) continue;
    std::erase_if(tiers[t], new_there);
    for (Weighed& candidate : moved) {
      in_first[candidate.member] = true;
      if (out.panic) candidate.weight = own_weight(list_[candidate.member]);
      weight += candidate.weight;
    }
    if (!out.panic)
      for (Weighed& candidate : moved) candidate.weight *= first_weight / weight * (1 - carried) / carried;
    tiers.front().insert(tiers.front().end(), moved.begin(), moved.end());
    if (!out.panic) return;
  }
}

// Weights as the policy has them, or by tens more where a share would be lost when they are rounded.
Tier Placement::finished(const Draft& draft) const {
  double scale = 1;
  const auto is_rough = [&](const Weighed& candidate) {
    const double weight = candidate.weight * scale;
    return std::abs(std::round(weight) - weight) > kRough * weight;
  };
  while (scale < kMostScale && std::any_of(draft.begin(), draft.end(), is_rough)) scale *= 10;
  Tier tier;
  for (const Weighed& candidate : draft)
    tier.push_back(
        {policy_.endpoints[list_[candidate.member].endpoint].id, candidate.link,
         static_cast<std::uint32_t>(std::clamp(std::round(candidate.weight * scale), 1.0, kMaxWeight))});
  return tier;
}

// Every (endpoint, link) that no tier has.
void Placement::exclude(ServiceRoute& out) const {
  std::vector<std::pair<EndpointId, LinkId>> placed;
  for (const Tier& tier : out.tiers)
    for (const Candidate& candidate : tier) placed.emplace_back(candidate.endpoint, candidate.link);
  std::sort(placed.begin(), placed.end());
  for (const Member& member : list_) {
    const EndpointId id = policy_.endpoints[member.endpoint].id;
    for (const PathTerms& way : ways_[pops_[member.pop]]) {
      const auto of_path = exclusion_by(out.ranking.find(way.path)->usable);
      if (member.exclusion && !(member.exclusion == Exclusion::cost_tier && of_path))
        out.excluded.push_back({id, way.path.link, *member.exclusion});
      else if (!std::binary_search(placed.begin(), placed.end(), std::pair(id, way.path.link)))
        out.excluded.push_back({id, way.path.link, of_path.value_or(Exclusion::beyond_limit)});
    }
  }
}

}  // namespace perigee
