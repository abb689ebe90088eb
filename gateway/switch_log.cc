#include "gateway/switch_log.h"

#include <algorithm>
#include <boost/json/value.hpp>

#include "gateway/json_units.h"
#include "gateway/routed_pools.h"
#include "steering/equal_links.h"

namespace perigee::gateway {
namespace {

namespace json = boost::json;

const char* reason_of(Usable usable) {
  switch (usable) {
    case Usable::yes:
      return "yes";
    case Usable::link_down:
      return "link_down";
    case Usable::over_max_rtt:
      return "over_max_rtt";
    case Usable::unhealthy:
      return "unhealthy";
    case Usable::full:
      return "full";
    case Usable::cost_tier:
      return "cost_tier";
    case Usable::drained:
      return "drained";
  }
  return "";
}

json::value path_fields(const Policy& policy, const ServiceRoute* service, const std::optional<Path>& path) {
  if (!path) return nullptr;
  json::object fields;
  const Policy::Pop* pop = policy.pop(path->pop);
  fields["pop"] = pop == nullptr ? json::value(nullptr) : json::value(pop->name);
  const Policy::Link* link = policy.link(path->link);
  fields["link"] = link == nullptr ? json::value(nullptr) : json::value(link->name);
  const RankedPath* ranked = service == nullptr ? nullptr : service->ranking.find(*path);
  if (ranked == nullptr) return fields;  // the policy has it no longer
  fields["cost_ms"] = ranked->cost.known() ? json::value(milliseconds(ranked->cost.total())) : nullptr;
  fields["rtt_ms"] = milliseconds_or_null(ranked->cost.rtt);
  fields["loss_ms"] = milliseconds(ranked->cost.loss);
  fields["usable"] = reason_of(ranked->usable);
  return fields;
}

// Of a forwarded service its name, of a routed one also the model's.
json::object names_of(const Policy& policy, ServiceId id) {
  if (const Policy::Service* service = policy.service(id)) return {{"service", service->name}};
  const std::vector<RoutedPool> pools = routed_pools(policy);
  const auto found = std::find_if(pools.begin(), pools.end(),
                                  [id](const RoutedPool& routed) { return routed.pool->id == id; });
  if (found == pools.end()) return {{"service", nullptr}};  // the policy has it no longer
  return {{"service", found->service->name}, {"model", found->label()}};
}

}  // namespace

json::object switch_fields(const Policy& policy, const Route& route, const Switch& change) {
  const ServiceRoute* ranked = route.service(change.service);
  if (ranked == nullptr) ranked = route.pool(change.service);
  json::object fields = names_of(policy, change.service);
  fields["reason"] = name_of(change.reason);
  fields["from"] = path_fields(policy, ranked, change.from);
  fields["to"] = path_fields(policy, ranked, change.to);
  return fields;
}

namespace {

// The links that share the flows to a PoP, by name.
json::array shared_links(const Policy& policy, const PopRoute& pop) {
  const LinkOrder order = links_to(pop, policy.steering);
  json::array names;
  for (std::uint32_t i = 0; i < order.equal; ++i) {
    const Policy::Link* link = policy.link(order.links[i]);
    if (link != nullptr) names.emplace_back(link->name);
  }
  return names;
}

}  // namespace

std::vector<RouteEvent> route_events(const Policy& policy, const Route& before, const Route& after) {
  std::vector<RouteEvent> events;
  if (before.frozen != after.frozen) {
    if (after.frozen == Frozen::no)
      events.push_back({LogLevel::info, "steering_thawed", {{"was", name_of(before.frozen)}}});
    else
      events.push_back({LogLevel::error, "steering_frozen", {{"reason", name_of(after.frozen)}}});
  }
  const auto compare = [&](const ServiceRoute& now, const ServiceRoute* old) {
    if (now.panic == (old != nullptr && old->panic)) return;
    json::object fields = names_of(policy, now.id);
    fields["healthy_ratio"] = now.healthy;
    events.push_back({now.panic ? LogLevel::error : LogLevel::info,
                      now.panic ? "service_panic" : "service_panic_over", std::move(fields)});
  };
  for (const PopRoute& pop : after.pops) {
    const PopRoute* old = before.pop(pop.id);
    json::array links = shared_links(policy, pop);
    if (links == (old == nullptr ? json::array() : shared_links(policy, *old))) continue;
    events.push_back(
        {LogLevel::info, "links_shared", {{"pop", policy.pop(pop.id)->name}, {"links", std::move(links)}}});
  }
  for (const ServiceRoute& service : after.services) compare(service, before.service(service.id));
  for (const ServiceRoute& pool : after.pools) compare(pool, before.pool(pool.id));
  return events;
}

}  // namespace perigee::gateway
