#include "steering/equal_links.h"

#include <algorithm>

#include "steering/damping.h"

namespace perigee {
namespace {

constexpr int kLeave = 5;  // bands: two costs with noise of 5 % each stay within it

bool contains(const std::vector<LinkId>& links, LinkId link) {
  return std::find(links.begin(), links.end(), link) != links.end();
}

EqualLink judged(const RankedPath& path, const RankedPath& used, EqualLink link, const Policy::Steering& law,
                 Instant now) {
  if (path.usable != Usable::yes || (!link.shares && !ready(path, law, now))) return {link.link, 0, false};
  if (!path.cost.known() || !used.cost.known()) return link;
  const Nanos best = used.cost.total();
  const Nanos margin = path.cost.total() - best;
  const bool moves = link.shares ? margin > kLeave * band(best, law) : margin <= band(best, law);
  link.dwell = moves ? link.dwell + 1 : 0;
  if (link.dwell >= law.dwell) return {link.link, 0, !link.shares};
  return link;
}

}  // namespace

void find_equal_links(PopRoute& next, const PopRoute* old, const Policy::Steering& law, Instant now) {
  next.equal.clear();
  if (law.maximum_paths < 2 || next.ranking.paths.empty()) return;
  const RankedPath& used = next.ranking.paths.front();
  // One that was in use shared its flows, should it be none of the equal ones already.
  const RankedPath* before =
      old == nullptr || old->ranking.paths.empty() ? nullptr : &old->ranking.paths.front();
  for (const RankedPath& path : next.ranking.paths) {
    if (path.path == used.path) continue;
    EqualLink link{path.path.link, 0, false};
    if (old != nullptr) {
      const auto known = std::find_if(old->equal.begin(), old->equal.end(),
                                      [&](const EqualLink& other) { return other.link == link.link; });
      if (known != old->equal.end())
        link = *known;
      else if (before->path == path.path)
        link.shares = !old->equal.empty();
    }
    next.equal.push_back(judged(path, used, link, law, now));
  }
}

LinkOrder links_to(const PopRoute& pop, const Policy::Steering& law) {
  LinkOrder out;
  if (pop.ranking.paths.empty()) return out;
  out.links.push_back(pop.ranking.paths.front().path.link);
  for (const EqualLink& link : pop.equal)
    if (link.shares && out.links.size() < law.maximum_paths) out.links.push_back(link.link);
  if (out.links.size() > 1) out.equal = static_cast<std::uint32_t>(out.links.size());
  for (const RankedPath& path : pop.ranking.paths)
    if (!contains(out.links, path.path.link)) out.links.push_back(path.path.link);
  return out;
}

std::map<EndpointId, LinkOrder> links_of_endpoints(const Policy& policy, const Route& route) {
  std::map<EndpointId, LinkOrder> links;
  std::map<EndpointId, ServiceId> first;  // the service whose candidates count
  for (const ServiceRoute& service : route.services)
    for (const Tier& tier : service.tiers)
      for (const Candidate& candidate : tier)
        if (!candidate.link.none() &&
            first.try_emplace(candidate.endpoint, service.id).first->second == service.id)
          links[candidate.endpoint].links.push_back(candidate.link);
  for (const Policy::Endpoint& endpoint : policy.endpoints) {
    const PopRoute* pop = endpoint.pop == policy.own_pop ? nullptr : route.pop(policy.pop_of(endpoint).id);
    if (pop == nullptr) continue;
    LinkOrder& own = links[endpoint.id];
    const LinkOrder all = links_to(*pop, policy.steering);
    if (own.links.empty()) {
      own = all;
      continue;
    }
    const std::vector<LinkId> equal(all.links.begin(), all.links.begin() + all.equal);
    if (contains(equal, own.links.front())) {
      const auto end = std::stable_partition(own.links.begin(), own.links.end(),
                                             [&](LinkId link) { return contains(equal, link); });
      const auto count = static_cast<std::uint32_t>(end - own.links.begin());
      own.equal = count > 1 ? count : 0;
    }
    for (const LinkId link : all.links)
      if (!contains(own.links, link)) own.links.push_back(link);
  }
  return links;
}

}  // namespace perigee
