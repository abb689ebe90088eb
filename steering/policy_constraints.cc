#include "steering/policy_constraints.h"

#include <algorithm>

#include "steering/policy_names.h"

namespace perigee {
namespace {

using yaml::Cursor;
using yaml::join;
using yaml::Map;
using yaml::quoted;
using yaml::Report;
using Indexes = std::vector<std::size_t>;

void add_once(Indexes& sorted, std::size_t index) {
  const auto at = std::lower_bound(sorted.begin(), sorted.end(), index);
  if (at == sorted.end() || *at != index) sorted.insert(at, index);
}

template <class Items>
std::size_t index_named(const Items& items, std::string_view name) {
  const auto found = std::find_if(items.begin(), items.end(), [&](const auto& i) { return i.name == name; });
  return found == items.end() ? kNoIndex : static_cast<std::size_t>(found - items.begin());
}

std::vector<Cursor> named_items(Map& map, std::string_view key, const char* at_least) {
  const auto at = map.child(key);
  if (!at) return {};
  auto items = yaml::scalars(*at, map.report());
  if (items.empty() && at->is(yaml::Node::Kind::sequence))
    map.report().add(at->path, std::string("is empty; name at least one ") + at_least);
  return items;
}

// False: the PoP has no endpoint.
bool add_all_of(const Policy& policy, std::size_t pop, Indexes& endpoints) {
  bool any = false;
  for (std::size_t i = 0; i < policy.endpoints.size(); ++i) {
    if (policy.endpoints[i].pop != pop) continue;
    add_once(endpoints, i);
    any = true;
  }
  return any;
}

void read_pin(Map& map, const Policy& policy, Confines& confines) {
  const auto at = map.child("pin");
  if (!at) return;
  Map inner(*at, map.report());
  Pin pin;
  inner.needs("to", "the endpoints or PoPs that are used alone, such as \"to: [mel]\"");
  for (const Cursor& item : named_items(inner, "to", "endpoint or PoP")) {
    const std::string& name = item.node->scalar;
    const std::size_t endpoint = index_named(policy.endpoints, name);
    const std::size_t pop = index_named(policy.pops, name);
    if (endpoint != kNoIndex && pop != kNoIndex)
      map.report().add(item.path,
                       quoted(name) + " is both an endpoint and a PoP; name the endpoints that are meant");
    else if (endpoint != kNoIndex)
      add_once(pin.endpoints, endpoint);
    else if (pop == kNoIndex)
      map.report().add(item.path, yaml::unknown_name("endpoint or PoP", name, names_of(policy.endpoints)));
    else if (!add_all_of(policy, pop, pin.endpoints))
      map.report().add(item.path, "no endpoint is in PoP " + quoted(name) + "; name one that has some");
  }
  const bool ends =
      inner.needs("until", "when it ends, such as \"until: 2026-12-01T04:00:00Z\"; no pin is for ever");
  if (ends && inner.value("until", pin.until, parse_wall_time)) confines.pin = std::move(pin);
}

// Whether a service may ever use one of `endpoints`, pinned or not.
void check_confines(const Policy& policy, const Confines& confines, const Indexes& endpoints,
                    const std::string& service, const std::string& members, Report& report) {
  const auto left = [&](const Indexes* pinned) {
    return std::any_of(endpoints.begin(), endpoints.end(), [&](std::size_t i) {
      const std::size_t pop = policy.endpoints[i].pop;
      const bool in_pops = pop == kNoIndex || !confines.pops ||
                           std::binary_search(confines.pops->begin(), confines.pops->end(), pop);
      return in_pops && (pinned == nullptr || std::binary_search(pinned->begin(), pinned->end(), i));
    });
  };
  if (endpoints.empty()) return;
  if (!left(nullptr)) {
    report.add(join(service, "pops"),
               "no endpoint of " + members + " is in these PoPs; add one, or name its PoP");
  } else if (confines.pin && !confines.pin->endpoints.empty() && !left(&confines.pin->endpoints)) {
    report.add(
        join(service, "pin.to"),
        "no endpoint that " + members + " may use is among these; it would be refused until the pin ends");
  }
}

void check_twins(const Policy& policy, const Policy::RoutedService& routed, Report& report) {
  if (!routed.residency) return;
  for (const Twin& twin :
       twins_outside(policy, routed, *routed.residency, [](const Policy::Model&) { return true; }))
    report.add(join(join("services", twin.service->name), "endpoints"),
               quoted(twin.endpoint->name) + " is also of " + quoted(routed.name) +
                   ", whose residency it is outside of, and forwarded connections have neither keys nor a "
                   "residency; leave it out of one of both, or confine this service by \"pops\"");
}

}  // namespace

std::vector<Twin> twins_outside(const Policy& policy, const Policy::RoutedService& routed,
                                const std::vector<std::size_t>& regions,
                                const std::function<bool(const Policy::Model&)>& uses) {
  Indexes used;
  for (const Policy::Model& model : routed.models) {
    if (!uses(model)) continue;
    for (const std::size_t i : model.pool.endpoints) add_once(used, i);
    if (model.canary)
      for (const std::size_t i : model.canary->pool.endpoints) add_once(used, i);
  }
  std::vector<Twin> twins;
  for (const Policy::Service& service : policy.services)
    for (const std::size_t i : service.endpoints) {
      const Policy::Endpoint& endpoint = policy.endpoints[i];
      if (endpoint.pop == kNoIndex || !std::binary_search(used.begin(), used.end(), i)) continue;
      const auto& region = policy.pop_of(endpoint).region;
      const auto& pops = service.confines.pops;
      const bool inside = region && std::find(regions.begin(), regions.end(), *region) != regions.end();
      if (!inside && (!pops || std::binary_search(pops->begin(), pops->end(), endpoint.pop)))
        twins.push_back({&service, &endpoint});
    }
  return twins;
}

void read_maintenance(Map& map, std::vector<Maintenance>& windows) {
  const auto at = map.child("maintenance");
  if (!at) return;
  if (!at->is(yaml::Node::Kind::sequence)) {
    map.report().add(
        at->path,
        "must be a list of windows, such as \"[{from: 2026-12-01T02:00:00Z, to: 2026-12-01T04:00:00Z}]\"");
    return;
  }
  if (too_many(map, "maintenance", at->node->children.size(), kMaxMaintenance)) return;
  for (std::size_t i = 0; i < at->node->children.size(); ++i) {
    Map inner(Cursor{&at->node->children[i], join(at->path, i)}, map.report());
    Maintenance window;
    const bool from = inner.needs("from", "when it begins, such as \"from: 2026-12-01T02:00:00Z\"") &&
                      inner.value("from", window.from, parse_wall_time);
    const bool to = inner.needs("to", "when it ends, such as \"to: 2026-12-01T04:00:00Z\"") &&
                    inner.value("to", window.to, parse_wall_time);
    inner.text("note", window.note, kMaxNoteOctets);
    if (from && to && window.to <= window.from)
      map.report().add(inner.path("to"),
                       text_of(window.to) + " is not after \"from\", " + text_of(window.from));
    windows.push_back(std::move(window));
  }
}

void read_confines(Map& map, const Policy& policy, Confines& confines) {
  if (map.child("pops")) {
    Indexes& pops = confines.pops.emplace();
    for (const Cursor& item : named_items(map, "pops", "PoP"))
      if (const std::size_t pop = find_named(map, item, policy.pops, "PoP"); pop != kNoIndex)
        add_once(pops, pop);
    if (pops.empty()) confines.pops.reset();  // what was wrong with them was said
  }
  read_pin(map, policy, confines);
}

void check_constraints(const Policy& policy, Report& report) {
  for (const Policy::Service& service : policy.services)
    check_confines(policy, service.confines, service.endpoints, join("services", service.name), "it", report);
  for (const Policy::RoutedService& service : policy.routed) {
    const std::string path = join("services", service.name);
    for (const Policy::Model& model : service.models) {
      check_confines(policy, service.confines, model.pool.endpoints, path, quoted(model.name), report);
      if (model.canary)
        check_confines(policy, service.confines, model.canary->pool.endpoints, path,
                       "the canary of " + quoted(model.name), report);
    }
    check_twins(policy, service, report);
  }
}

}  // namespace perigee
