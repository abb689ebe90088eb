#include "router/snapshot.h"

#include <algorithm>
#include <limits>
#include <map>

#include "steering/route_terms.h"

namespace perigee::router {
namespace {

Standing standing_of(Exclusion reason) {
  switch (reason) {
    case Exclusion::full:
      return Standing::full;
    case Exclusion::unhealthy:
      return Standing::unhealthy;
    case Exclusion::beyond_limit:  // a limit of the table, not of requests
      return Standing::usable;
    case Exclusion::drained:
    case Exclusion::maintenance:
    case Exclusion::pop_not_allowed:
    case Exclusion::not_pinned:
    case Exclusion::cost_tier:
    case Exclusion::link_down:
    case Exclusion::over_max_rtt:
    case Exclusion::model_absent:
      break;
  }
  return Standing::barred;
}

std::uint8_t tier_of(std::size_t tier) {
  return static_cast<std::uint8_t>(std::min<std::size_t>(tier, std::numeric_limits<std::uint8_t>::max()));
}

class Maker {
 public:
  Maker(const Policy& policy, const Route& route, const RouterMaterial& material, const LearnedCosts& learned,
        const RouterSnapshot* previous, Instant now)
      : policy_(policy),
        route_(route),
        material_(material),
        learned_(learned),
        previous_(previous),
        now_(now) {
    for (std::size_t i = 0; i < policy.endpoints.size(); ++i) indexes_.emplace(policy.endpoints[i].id, i);
    for (const ServiceRoute& pool : route.pools)
      for (const RankedPath& path : pool.ranking.paths)
        if (path.cost.of_connections) by_connections_.emplace(path.path.pop, path.cost);
    if (previous_ == nullptr) return;
    for (const RouterSnapshot::Endpoint& endpoint : previous_->endpoints)
      before_.emplace(endpoint.id, &endpoint);
  }

  RouterSnapshot run() {
    RouterSnapshot out;
    out.number = previous_ == nullptr ? 1 : previous_->number + 1;
    out.regions = policy_.regions;
    out.settings = policy_.router;
    for (const RequestClass& one : policy_.router.classes)
      out.hedges.push_back(one.hedge ? hedges(one.name) : nullptr);
    out.keys = material_.keys;
    for (std::size_t i = 0; i < policy_.endpoints.size(); ++i) out.endpoints.push_back(endpoint(i));
    std::map<std::size_t, std::size_t> services;  // of listeners
    for (const Policy::RoutedService& routed : policy_.routed) {
      for (const std::size_t listener : routed.listeners) services[listener] = out.services.size();
      out.services.push_back(service(routed));
    }
    for (std::size_t i = 0; i < policy_.listeners.size(); ++i)
      out.listeners.push_back({policy_.listeners[i], services[i], at(material_.listener_tls, i)});
    return out;
  }

 private:
  template <class T>
  static T at(const std::vector<T>& items, std::size_t index) {
    return index < items.size() ? items[index] : T{};
  }

  [[nodiscard]] RouterSnapshot::Endpoint endpoint(std::size_t index) const {
    const Policy::Endpoint& from = policy_.endpoints[index];
    const Policy::Pop& pop = policy_.pop_of(from);
    RouterSnapshot::Endpoint out;
    out.id = from.id;
    out.name = from.name;
    out.pop = pop.name;
    out.region = pop.region ? RegionSet{1} << *pop.region : kNoRegion;
    if (pop.region) out.region_name = policy_.regions[*pop.region];
    out.capacity = from.capacity;
    out.load = from.load;
    const EndpointRoute* state = route_.endpoint(from.id);
    out.accepts_new = state == nullptr || state->accepts_new;
    out.cost.rtt = Nanos(0);  // in this PoP: as route_terms.h has it
    if (const PopRoute* ranked = route_.pop(pop.id)) {
      out.cost = ranked->ranking.paths.empty() ? Cost{} : ranked->ranking.paths.front().cost;
      const Policy::Link* link =
          ranked->ranking.paths.empty() ? nullptr : policy_.link(ranked->ranking.paths.front().path.link);
      if (link != nullptr) out.link = link->name;
      const auto seen = by_connections_.find(pop.id);
      if (!out.cost.known() && seen != by_connections_.end()) out.cost = seen->second;
    }
    const std::string host = from.tls ? from.tls->name : from.address.text();
    out.target = {from.name + "/" + out.link, from.address, from.port, host + ":" + std::to_string(from.port),
                  at(material_.endpoints, index).tls};
    out.credential = at(material_.endpoints, index).authorization;
    out.counters = counters(out);
    return out;
  }

  // Another address under the same name is another endpoint.
  [[nodiscard]] std::shared_ptr<EndpointCounters> counters(const RouterSnapshot::Endpoint& endpoint) const {
    const auto found = before_.find(endpoint.id);
    const RouterSnapshot::Endpoint* before = found == before_.end() ? nullptr : found->second;
    const bool same = before != nullptr && before->target.address == endpoint.target.address &&
                      before->target.port == endpoint.target.port;
    auto out = same ? before->counters : std::make_shared<EndpointCounters>();
    if (previous_ != nullptr && endpoint.accepts_new && !(same && before->accepts_new))
      out->warming_since.store(now_.ns, std::memory_order_relaxed);
    return out;
  }

  [[nodiscard]] RouterSnapshot::Pool pool(const Policy::Pool& from, std::size_t request_class) const {
    RouterSnapshot::Pool out{from.id.value,
                             from.served_name,
                             request_class,
                             {},
                             learned_.octets_per_token(from.id),
                             learned_.mean_prompt(from.id)};
    std::map<EndpointId, std::uint32_t> weights;
    for (std::size_t k = 0; k < from.endpoints.size(); ++k)
      weights.emplace(policy_.endpoints[from.endpoints[k]].id, from.weights[k]);
    const ServiceRoute* ranked = route_.pool(from.id);
    if (ranked == nullptr) return out;
    const ServiceRoute requests = of_requests(policy_, route_, *ranked);
    const auto add = [&](EndpointId id, std::size_t tier, std::optional<Exclusion> reason) {
      const auto index = indexes_.find(id);
      const auto weight = weights.find(id);
      if (index == indexes_.end() || weight == weights.end()) return;  // of another policy
      out.candidates.push_back(
          {static_cast<std::uint16_t>(index->second), tier_of(tier),
           reason ? standing_of(*reason) : Standing::usable, reason, weight->second,
           learned_.service(id, from.id, policy_.router.service, prefill_of(index->second)),
           learned_.refreshed(id, from.id)});
    };
    for (std::size_t tier = 0; tier < requests.tiers.size(); ++tier)
      for (const Candidate& candidate : requests.tiers[tier]) add(candidate.endpoint, tier, std::nullopt);
    for (const Excluded& excluded : requests.excluded)
      add(excluded.endpoint, requests.tiers.size() + place_of(excluded, requests.ranking), excluded.reason);
    return out;
  }

  // As the engine of that endpoint says; absent: it does not.
  [[nodiscard]] std::optional<PrefillSeen> prefill_of(std::size_t endpoint) const {
    const auto before = before_.find(policy_.endpoints[endpoint].id);
    if (before == before_.end()) return std::nullopt;
    const EngineReading& engine = before->second->counters->engine;
    const std::int64_t took = engine.prefill_ns.load(std::memory_order_relaxed);
    const std::int64_t tokens = engine.prompt_tokens.load(std::memory_order_relaxed);
    if (took <= 0 || tokens <= 0) return std::nullopt;
    return PrefillSeen{static_cast<double>(tokens), Nanos(took)};
  }

  // Among those left out, the nearest first.
  [[nodiscard]] std::size_t place_of(const Excluded& excluded, const Ranking& ranking) const {
    const Policy::Endpoint* endpoint = policy_.endpoint(excluded.endpoint);
    const auto found = std::find_if(ranking.paths.begin(), ranking.paths.end(), [&](const RankedPath& path) {
      return endpoint != nullptr && path.path.pop == policy_.pop_of(*endpoint).id;
    });
    return static_cast<std::size_t>(found - ranking.paths.begin());
  }

  // Those of the class of that name live on.
  [[nodiscard]] std::shared_ptr<HedgeCounters> hedges(const std::string& name) const {
    for (std::size_t i = 0; previous_ != nullptr && i < previous_->hedges.size(); ++i)
      if (previous_->hedges[i] != nullptr && previous_->settings.classes[i].name == name)
        return previous_->hedges[i];
    return std::make_shared<HedgeCounters>();
  }

  // What the snapshot before had of a service goes on, so that nobody is counted twice.
  template <class T>
  [[nodiscard]] std::shared_ptr<T> kept(ServiceId id,
                                        std::shared_ptr<T> RouterSnapshot::Service::*what) const {
    if (previous_ != nullptr)
      for (const RouterSnapshot::Service& before : previous_->services)
        if (before.id == id && before.*what != nullptr) return before.*what;
    return std::make_shared<T>();
  }

  [[nodiscard]] RouterSnapshot::Service service(const Policy::RoutedService& from) const {
    RouterSnapshot::Service out;
    out.id = from.id;
    out.name = from.name;
    out.require_key = from.require_key;
    if (from.max_in_flight) {
      out.gate = kept(from.id, &RouterSnapshot::Service::gate);
      out.queue_time = from.queue.time;
    }
    out.limits = from.limits;
    out.counters = kept(from.id, &RouterSnapshot::Service::counters);
    if (from.residency) {
      out.residency = 0;
      for (const std::size_t region : *from.residency) out.residency |= RegionSet{1} << region;
    }
    for (const Policy::Model& model : from.models) {
      out.names.emplace_back(model.name, out.models.size());
      for (const std::string& alias : model.aliases) out.names.emplace_back(alias, out.models.size());
      RouterSnapshot::Model& made = out.models.emplace_back();
      made.name = model.name;
      made.timeouts = model.timeouts;
      made.sse_keep_alive = model.sse_keep_alive;
      made.pool = pool(model.pool, model.request_class);
      if (!model.canary) continue;
      made.canary_per_10000 = model.canary->per_10000;
      made.canary = pool(model.canary->pool, model.request_class);
    }
    std::sort(out.names.begin(), out.names.end());
    return out;
  }

  const Policy& policy_;
  const Route& route_;
  const RouterMaterial& material_;
  const LearnedCosts& learned_;
  const RouterSnapshot* previous_;
  const Instant now_;
  std::map<EndpointId, std::size_t> indexes_;
  std::map<PopId, Cost> by_connections_;  // without a data plane, which alone measures links
  std::map<EndpointId, const RouterSnapshot::Endpoint*> before_;
};

}  // namespace

const RouterSnapshot::Model* RouterSnapshot::Service::model(std::string_view asked) const {
  const auto found =
      std::lower_bound(names.begin(), names.end(), asked,
                       [](const auto& entry, std::string_view key) { return entry.first < key; });
  return found == names.end() || found->first != asked ? nullptr : &models[found->second];
}

const RouterSnapshot::Model* RouterSnapshot::Service::model_of_pool(std::uint32_t pool) const {
  const auto found = std::ranges::find_if(models, [pool](const Model& each) {
    return each.pool.id == pool || (each.canary.id == pool && pool != 0);
  });
  return found == models.end() ? nullptr : &*found;
}

RegionSet RouterSnapshot::region(std::string_view name) const {
  const auto found = std::find(regions.begin(), regions.end(), name);
  return found == regions.end() ? 0 : RegionSet{1} << static_cast<std::size_t>(found - regions.begin());
}

RouterSnapshot make_snapshot(const Policy& policy, const Route& route, const RouterMaterial& material,
                             const LearnedCosts& learned, const RouterSnapshot* previous, Instant now) {
  return Maker(policy, route, material, learned, previous, now).run();
}

}  // namespace perigee::router
