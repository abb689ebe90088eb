// Services with `mode: route`, and what the router's sections say together.
#include <algorithm>
#include <cmath>
#include <map>
#include <span>

#include "steering/policy_constraints.h"
#include "steering/policy_names.h"
#include "steering/policy_router.h"

namespace perigee {
namespace {

using namespace std::chrono_literals;
using yaml::Cursor;
using yaml::join;
using yaml::Map;
using yaml::quoted;
using yaml::Report;

constexpr std::size_t kMaxAliases = 32;  // of one model; each is listed to clients

bool serves(const Policy::Endpoint& endpoint, const std::string& model) {
  return !endpoint.serves ||
         std::find(endpoint.serves->begin(), endpoint.serves->end(), model) != endpoint.serves->end();
}

// The endpoints of a model by its key "endpoints"; without one, those that say they serve it.
void read_pool_members(Map& map, const Policy& policy, Policy::Pool& pool) {
  const auto at = map.child("endpoints");
  std::vector<std::size_t> members;
  if (at) {
    members = read_members(map, policy);
  } else {
    for (std::size_t i = 0; i < policy.endpoints.size(); ++i)
      if (policy.endpoints[i].serves) members.push_back(i);
  }
  const bool listed = at && at->is(yaml::Node::Kind::sequence);
  for (const std::size_t index : members) {
    if (serves(policy.endpoints[index], pool.served_name)) {
      pool.endpoints.push_back(index);
      pool.weights.push_back(policy.endpoints[index].weight);
    } else if (listed) {
      map.report().add(map.path("endpoints"), quoted(policy.endpoints[index].name) + " does not list " +
                                                  quoted(pool.served_name) +
                                                  " under \"serves\"; add it there, or give \"served_name\"");
    }
  }
  if (pool.endpoints.empty() && !listed && (!at || !members.empty()))
    map.report().add(map.path(), "no endpoint of it lists " + quoted(pool.served_name) +
                                     " under \"serves\"; give \"endpoints\", or \"serves\" to one");
  if (pool.endpoints.size() > kMaxServiceEndpoints)
    map.report().add(map.path(), std::to_string(pool.endpoints.size()) + " endpoints are too many; at most " +
                                     std::to_string(kMaxServiceEndpoints));
}

void read_weights(Map& map, const Policy& policy, Policy::Pool& pool) {
  const auto at = map.child("weights");
  if (!at) return;
  std::map<std::string, std::size_t> places;
  std::vector<std::string_view> names;
  for (std::size_t k = 0; k < pool.endpoints.size(); ++k) {
    const std::string& name = policy.endpoints[pool.endpoints[k]].name;
    places.emplace(name, k);
    names.emplace_back(name);
  }
  Map inner(*at, map.report());
  for (const auto& [name, value] : inner.named()) {
    const auto place = places.find(name);
    if (place == places.end())
      map.report().add(value.node->key_mark, value.path, yaml::unknown_name("endpoint of it", name, names));
    else
      inner.integer<std::uint32_t>(name, pool.weights[place->second], 1, 65535);
  }
}

void read_timeouts(Map& map, Policy::Model::Timeouts& timeouts) {
  const auto at = map.child("timeouts");
  if (!at) return;
  Map inner(*at, map.report());
  inner.duration("connect", timeouts.connect, 1ms, 1min);
  inner.duration("first_event", timeouts.first_event, 10ms, 24h);
  inner.duration("idle", timeouts.idle, 10ms, 24h);
  inner.duration("total", timeouts.total, 10ms, 168h);
  for (const auto& [key, value] :
       {std::pair("connect", timeouts.connect), std::pair("first_event", timeouts.first_event),
        std::pair("idle", timeouts.idle)})
    if (value > timeouts.total)
      map.report().add(inner.path("total"), text_of(timeouts.total) + " is shorter than " + key + ", " +
                                                text_of(value) + "; the total is the longest");
}

void read_canary(Map& map, const Policy& policy, const std::string& id, Policy::Model& model) {
  const auto at = map.child("canary");
  if (!at) return;
  Map inner(*at, map.report());
  Policy::Model::Canary canary;
  double share = 0;
  if (inner.needs("percent", "its share of keys and sessions, such as \"5%\"") &&
      inner.percent("percent", share, 0.0001, 1))
    canary.per_10000 = static_cast<std::uint32_t>(std::lround(share * 10'000));
  canary.pool.id = id_from_name<ServiceId>(id + "/canary");
  canary.pool.served_name = model.pool.served_name;
  inner.value("served_name", canary.pool.served_name, parse_model_name);
  if (inner.child("endpoints") || canary.pool.served_name != model.pool.served_name) {
    if (inner.child("endpoints")) {
      read_pool_members(inner, policy, canary.pool);
    } else {
      for (std::size_t k = 0; k < model.pool.endpoints.size(); ++k) {
        if (!serves(policy.endpoints[model.pool.endpoints[k]], canary.pool.served_name)) continue;
        canary.pool.endpoints.push_back(model.pool.endpoints[k]);
        canary.pool.weights.push_back(model.pool.weights[k]);
      }
      if (canary.pool.endpoints.empty() && !model.pool.endpoints.empty())
        inner.report().add(inner.path("served_name"),
                           "no endpoint of the model lists " + quoted(canary.pool.served_name) +
                               " under \"serves\"; give \"endpoints\", or add it to one");
    }
    model.canary = std::move(canary);
  } else {
    inner.report().add(inner.path(),
                       "is the same as the model; give \"endpoints\" or another \"served_name\"");
  }
}

Policy::Model read_model(Map& map, const std::string& service, const std::string& name,
                         const Policy& policy) {
  Policy::Model model;
  model.name = name;
  const std::string id = service + "/" + name;  // no service's name has a '/'
  model.pool.id = id_from_name<ServiceId>(id);
  model.pool.served_name = name;
  map.value("served_name", model.pool.served_name, parse_model_name);
  if (const auto at = map.child("aliases")) {
    for (const Cursor& item : yaml::scalars(*at, map.report())) {
      const Result<std::string> alias = parse_model_name(item.node->scalar);
      if (alias)
        model.aliases.push_back(*alias);
      else
        map.report().add(item.path, alias.error().what);
    }
    too_many(map, "aliases", model.aliases.size(), kMaxAliases);
  }
  read_pool_members(map, policy, model.pool);
  read_weights(map, policy, model.pool);
  read_timeouts(map, model.timeouts);
  map.duration("sse_keep_alive", model.sse_keep_alive, Nanos(0), 1h);
  if (const auto at = map.child("class")) {
    const std::span named = std::span(policy.router.classes).subspan(1);
    if (const std::size_t index = find_named(map, *at, named, "class"); index != kNoIndex)
      model.request_class = index + 1;
  }
  read_canary(map, policy, id, model);
  return model;
}

void read_models(Map& map, const Policy& policy, Policy::RoutedService& service) {
  if (!map.needs("models", "the models it serves, such as \"models: {llama: {endpoints: [mel-1]}}\"")) return;
  const Cursor at = *map.child("models");
  Map models(at, map.report());
  const auto named = models.named(parse_model_name);
  if (named.empty() && at.is(yaml::Node::Kind::map) && at.node->children.empty())
    map.report().add(at.path, "is empty; name at least one model");
  if (too_many(map, "models", named.size(), kMaxModels)) return;
  std::map<std::string, std::string> asked;  // what clients may ask for, and whose it is
  for (const auto& [name, value] : named) asked.emplace(name, name);
  for (const auto& [name, value] : named) {
    Map model(value, map.report());
    service.models.push_back(read_model(model, service.name, name, policy));
    for (const std::string& alias : service.models.back().aliases) {
      const auto [other, fresh] = asked.emplace(alias, name);
      if (!fresh)
        map.report().add(
            model.path("aliases"),
            quoted(alias) + " is already " + (other->first == other->second ? "a model" : "an alias of ") +
                (other->first == other->second ? "" : quoted(other->second)) + "; a name means one model");
    }
  }
}

void read_listener_names(Map& map, const Policy& policy, Policy::RoutedService& service) {
  if (!map.needs("listeners", "where it is served, such as \"listeners: [public]\"")) return;
  const Cursor at = *map.child("listeners");
  const auto items = yaml::scalars(at, map.report());
  if (items.empty() && at.is(yaml::Node::Kind::sequence))
    map.report().add(at.path, "is empty; name at least one listener");
  for (const Cursor& item : items) {
    const std::size_t index = find_named(map, item, policy.listeners, "listener");
    if (index == kNoIndex) continue;
    if (std::find(service.listeners.begin(), service.listeners.end(), index) != service.listeners.end())
      map.report().add(item.path, quoted(item.node->scalar) + " is listed twice; keep one of them");
    else
      service.listeners.push_back(index);
  }
}

void read_residency(Map& map, const Policy& policy, Policy::RoutedService& service) {
  const auto at = map.child("residency");
  if (!at) return;
  std::vector<std::size_t>& regions = service.residency.emplace();
  const auto items = yaml::scalars(*at, map.report());
  if (items.empty() && at->is(yaml::Node::Kind::sequence))
    map.report().add(at->path, "is empty; name at least one region, or leave it out");
  for (const Cursor& item : items) {
    const auto known = std::find(policy.regions.begin(), policy.regions.end(), item.node->scalar);
    if (known == policy.regions.end())
      map.report().add(item.path, yaml::unknown_name("region", item.node->scalar,
                                                     {policy.regions.begin(), policy.regions.end()}) +
                                      (policy.regions.empty() ? "; give \"region\" to PoPs" : ""));
    else
      regions.push_back(static_cast<std::size_t>(known - policy.regions.begin()));
  }
}

void read_queue(Map& map, Policy::RoutedService& service) {
  std::uint32_t most = 0;
  if (map.integer<std::uint32_t>("max_in_flight", most, 1, 1'000'000)) service.max_in_flight = most;
  const auto at = map.child("queue");
  if (!at) return;
  Map inner(*at, map.report());
  inner.integer<std::uint32_t>("size", service.queue.size, 0, 100'000);
  inner.duration("time", service.queue.time, 1ms, 10min);
  if (!map.child("max_in_flight")) map.report().add(at->path, "says nothing without \"max_in_flight\"");
}

std::string path_of(std::string_view section, std::string_view name, std::string_view key) {
  return join(join(section, name), key);
}

void check_listeners(const Policy& policy, Report& report) {
  std::map<std::size_t, std::string_view> used;
  for (const Policy::RoutedService& service : policy.routed)
    for (const std::size_t index : service.listeners)
      if (const auto [other, fresh] = used.emplace(index, service.name); !fresh)
        report.add(path_of("services", service.name, "listeners"),
                   quoted(policy.listeners[index].name) + " is already a listener of " +
                       quoted(other->second) + "; a listener is of one service");
  for (std::size_t i = 0; i < policy.listeners.size(); ++i) {
    const Policy::Listener& listener = policy.listeners[i];
    const std::string path = path_of("listeners", listener.name, "address");
    if (!used.contains(i))
      report.add(join("listeners", listener.name),
                 "is of no service; name it under \"listeners\" of one with \"mode: route\"");
    if (listener.port == 0) continue;
    for (std::size_t j = 0; j < i; ++j)
      if (policy.listeners[j].address == listener.address && policy.listeners[j].port == listener.port)
        report.add(path, "is also that of " + quoted(policy.listeners[j].name) + "; give each its own");
    const auto refuse = [&](const IpAddress& other, const std::string& what) {
      if (other == listener.address)
        report.add(path, quoted(other.text()) + " is the data plane's own " + what +
                             "; give a VIP with \"deliver: host\", or an address of this host");
    };
    for (const auto& interface : policy.interfaces)
      refuse(interface.address, join("interfaces", interface.name));
    for (const auto& link : policy.links) refuse(link.local, join("links", link.name));
    for (const auto& address : policy.snat_addresses) refuse(address, "snat.addresses");
    for (const Policy::Service& service : policy.services)
      if (service.deliver == table::Deliver::nat && service.vip == listener.address &&
          service.port == listener.port && service.protocol == Policy::Protocol::tcp)
        report.add(path, "is also the VIP of " + quoted(service.name) +
                             ", which the data plane forwards; give it another address or port");
  }
}

bool in_residency(const Policy& policy, const Policy::RoutedService& service, const Policy::Pool& pool) {
  return !service.residency || service.residency->empty() || pool.endpoints.empty() ||
         std::any_of(pool.endpoints.begin(), pool.endpoints.end(), [&](std::size_t i) {
           const std::size_t pop = policy.endpoints[i].pop;
           if (pop == kNoIndex) return true;
           const auto& region = policy.pops[pop].region;
           return region && std::find(service.residency->begin(), service.residency->end(), *region) !=
                                service.residency->end();
         });
}

}  // namespace

void read_routed_service(Map& map, const std::string& name, Policy& policy) {
  Policy::RoutedService service;
  service.name = name;
  service.id = id_from_name<ServiceId>(name);
  for (const char* key : {"vip", "protocol", "endpoints", "refuse"})
    if (map.child(key))
      map.report().add(map.path(key),
                       "says nothing with \"mode: route\"; it has \"listeners\" and \"models\"");
  read_listener_names(map, policy, service);
  map.value("require_key", service.require_key, parse_flag);
  if (service.require_key && policy.keys_file.empty())
    map.report().add(map.path("require_key"), "needs \"keys: {file: FILE}\", the file of the API keys");
  read_queue(map, service);
  if (const auto limits = map.child("limits")) {
    Map inner(*limits, map.report());
    read_request_limits(inner, service.limits);
  }
  read_models(map, policy, service);
  read_residency(map, policy, service);
  Nanos max_rtt{};
  if (map.duration("max_rtt", max_rtt, 1us, 1min)) service.max_rtt = max_rtt;
  read_confines(map, policy, service.confines);
  policy.routed.push_back(std::move(service));
}

void check_router(const Policy& policy, Report& report) {
  check_listeners(policy, report);
  if (!policy.keys_file.empty() && policy.routed.empty())
    report.add("keys", "says nothing without a service with \"mode: route\"");
  std::map<std::uint32_t, std::string> ids;  // of all that is chosen among; see check_policy()
  for (const Policy::Service& service : policy.services) ids.emplace(service.id.value, service.name);
  std::size_t models = 0;
  for (const Policy::RoutedService& service : policy.routed) {
    const auto claim = [&](ServiceId id, const std::string& path) {
      const auto [other, fresh] = ids.emplace(id.value, path);
      if (!fresh)
        report.add(path, "its id is the same as that of " + quoted(other->second) + "; choose another name");
    };
    claim(service.id, join("services", service.name));
    models += service.models.size();
    for (const Policy::Model& model : service.models) {
      const std::string path = join(path_of("services", service.name, "models"), model.name);
      claim(model.pool.id, path);
      if (model.canary) claim(model.canary->pool.id, join(path, "canary"));
      if (!in_residency(policy, service, model.pool))
        report.add(path, "no endpoint of it is in the service's residency; add one, or widen the residency");
      if (model.canary && !in_residency(policy, service, model.canary->pool))
        report.add(join(path, "canary"), "no endpoint of it is in the service's residency");
    }
  }
  if (models > kMaxModels)
    report.add("services", std::to_string(models) + " models of all services are too many; at most " +
                               std::to_string(kMaxModels));
}

}  // namespace perigee
