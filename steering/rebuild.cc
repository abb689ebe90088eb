// The previous Route of a gateway that just started, read back from the table in force (see route.h).
#include <algorithm>
#include <cmath>
#include <map>

#include "steering/damping.h"
#include "steering/route.h"
#include "steering/route_terms.h"

namespace perigee {
namespace {

// A ranking over `known`, in the order of `found` first; `active_count` of those lead. Settled and on hold.
Ranking settled_ranking(const std::vector<PathInput>& known, const std::vector<Path>& found,
                        std::size_t active_count, Instant now) {
  Ranking ranking;
  ranking.settled = true;
  ranking.started = now;
  ranking.changed_at = now;
  const auto add = [&](const Path& path, bool active) {
    const auto input =
        std::find_if(known.begin(), known.end(), [&](const PathInput& k) { return k.path == path; });
    if (input == known.end() || ranking.find(path) != nullptr) return;
    RankedPath ranked;
    ranked.path = path;
    ranked.cost = input->cost;
    ranked.usable = input->usable;
    ranked.active = active && input->usable == Usable::yes;
    ranking.paths.push_back(ranked);
  };
  for (std::size_t i = 0; i < found.size(); ++i) add(found[i], i < active_count);
  for (const PathInput& input : known) add(input.path, false);
  return ranking;
}

std::vector<PathInput> inputs_to(const Policy& policy, std::size_t pop, Usable usable) {
  std::vector<PathInput> inputs;
  for (const Way& way : ways_to(policy, pop))
    inputs.push_back({path_of(policy, pop, way), fixed_cost(policy, way), usable});
  return inputs;
}

LinkId link_at(const table::Table& table, std::uint32_t index) {
  return index < table.links.size() ? LinkId{table.links[index].id} : LinkId{};
}

ServiceRoute rebuild_service(const Policy& policy, const Policy::Service& service, const table::Table& table,
                             const table::Service& record) {
  ServiceRoute out;
  out.id = service.id;
  for (std::uint32_t t = 0; t < record.tier_count; ++t) {
    const table::Tier& tier = table.tiers[record.first_tier + t];
    Tier candidates;
    for (std::uint32_t c = 0; c < tier.candidate_count; ++c) {
      const table::Candidate& candidate = table.candidates[tier.first_candidate + c];
      const EndpointId id{table.endpoints[candidate.endpoint].id};
      if (policy.endpoint(id) != nullptr)
        candidates.push_back({id, link_at(table, candidate.link), candidate.weight});
    }
    out.tiers.push_back(std::move(candidates));
  }
  return out;
}

// Shares as the weights of the first tier have them, beside the policy's.
void restore_shares(const Policy& policy, const Tier& first, Ranking& ranking) {
  std::map<Path, double> ratios;
  double most = 0;
  for (const Candidate& candidate : first) {
    const Policy::Endpoint& endpoint = *policy.endpoint(candidate.endpoint);
    double& ratio = ratios[{policy.pop_of(endpoint).id, candidate.link}];
    ratio = std::max(ratio, static_cast<double>(candidate.weight) / endpoint.weight);
    most = std::max(most, ratio);
  }
  for (RankedPath& path : ranking.paths)
    if (const auto ratio = ratios.find(path.path); ratio != ratios.end())
      path.share = static_cast<std::uint32_t>(std::lround(ratio->second / most * kFullShare));
}

Ranking rank_as_before(const Policy& policy, const Policy::Service& service, const ServiceRoute& before,
                       Instant now) {
  std::vector<PathInput> known;
  for (const std::size_t pop : pops_of(policy, service.endpoints)) {
    // That the operator drained a PoP, or does not allow it, is no news to the first evaluation.
    const auto& pops = service.confines.pops;
    const bool allowed = !pops || std::binary_search(pops->begin(), pops->end(), pop);
    const bool drained = std::all_of(service.endpoints.begin(), service.endpoints.end(), [&](std::size_t i) {
      return policy.endpoints[i].pop != pop || policy.endpoints[i].drain || !allowed;
    });
    const std::vector<PathInput> inputs = inputs_to(policy, pop, drained ? Usable::drained : Usable::yes);
    known.insert(known.end(), inputs.begin(), inputs.end());
  }
  std::vector<Path> found;
  std::size_t active_count = 0;
  for (std::size_t t = 0; t < before.tiers.size(); ++t) {
    for (const Candidate& candidate : before.tiers[t])
      found.push_back({policy.pop_of(*policy.endpoint(candidate.endpoint)).id, candidate.link});
    if (t == 0) active_count = found.size();
  }
  Ranking ranking = settled_ranking(known, found, active_count, now);
  if (!before.tiers.empty()) restore_shares(policy, before.tiers.front(), ranking);
  return ranking;
}

// The order of links to a PoP, from the first of its prefixes that the table has.
std::optional<PopRoute> rebuild_pop(const Policy& policy, std::size_t pop, const table::Table& table,
                                    Instant now) {
  for (const Prefix& prefix : policy.pops[pop].prefixes) {
    const auto record = std::find_if(table.prefixes.begin(), table.prefixes.end(), [&](const auto& p) {
      return p.address == prefix.address && p.length == prefix.length && p.interface == table::kNone;
    });
    if (record == table.prefixes.end() || record->link_count == 0) continue;
    std::vector<Path> found;
    for (std::uint32_t i = 0; i < record->link_count; ++i)
      found.push_back({policy.pops[pop].id, link_at(table, table.link_order[record->first_link + i])});
    PopRoute out{
        policy.pops[pop].id, settled_ranking(inputs_to(policy, pop, Usable::yes), found, 1, now), {}};
    for (std::size_t i = 1; i < record->equal_links; ++i) out.equal.push_back({found[i].link, 0, true});
    return out;
  }
  return std::nullopt;
}

EndpointRoute rebuild_endpoint(const Policy& policy, const Policy::Endpoint& endpoint,
                               const table::Endpoint& record, Instant now) {
  EndpointRoute out;
  out.id = endpoint.id;
  const bool reset = record.reset_established != 0;
  if (endpoint.drain) {
    // Since when it drains is not in the table; only that it is over.
    out.draining_since = reset ? now - policy.flows.drain_deadline : now;
  } else {
    // One that takes no new flows may be in maintenance: it is then unhealthy once a check says so.
    const bool may_be_maintained =
        !reset && !(endpoint.maintenance.empty() && policy.pop_of(endpoint).maintenance.empty());
    out.healthy = record.accepts_new != 0 || may_be_maintained;
    out.dead = reset && !out.healthy;
  }
  out.accepts_new = out.healthy && !endpoint.drain;
  out.reset_established = reset;
  return out;
}

}  // namespace

Route rebuild(const Policy& policy, const table::Table& table, Instant now) {
  Route out;
  out.dataplane_seen = true;  // someone was to serve this table
  std::map<std::uint32_t, const table::Endpoint*> records;
  for (const table::Endpoint& record : table.endpoints) records.emplace(record.id, &record);
  for (const Policy::Endpoint& endpoint : policy.endpoints) {
    const auto record = records.find(endpoint.id.value);
    if (record != records.end())
      out.endpoints.push_back(rebuild_endpoint(policy, endpoint, *record->second, now));
  }
  for (std::size_t pop = 0; pop < policy.pops.size(); ++pop)
    if (pop != policy.own_pop)
      if (auto rebuilt = rebuild_pop(policy, pop, table, now)) out.pops.push_back(std::move(*rebuilt));
  for (const Policy::Service& service : policy.services) {
    const auto record = std::find_if(table.services.begin(), table.services.end(),
                                     [&](const auto& r) { return r.id == service.id.value; });
    if (record == table.services.end() || service.deliver != table::Deliver::nat || record->tier_count == 0)
      continue;
    ServiceRoute rebuilt = rebuild_service(policy, service, table, *record);
    rebuilt.ranking = rank_as_before(policy, service, rebuilt, now);
    out.services.push_back(std::move(rebuilt));
  }
  return out;
}

}  // namespace perigee
