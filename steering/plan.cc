#include "steering/plan.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>

#include "steering/route_terms.h"
#include "steering/yaml_document.h"

namespace perigee {
namespace {

using yaml::Node;

// One evaluation shows what a policy does at once, the second what joins then; the others are for what
// follows from that.
constexpr int kMaxEvaluations = 8;

// What is known of `before`, in the order of `after`.
Conditions carried_over(const Policy& before, const Policy& after, const Conditions& known) {
  Conditions out = known;
  out.links.assign(after.links.size(), {});
  out.endpoints.assign(after.endpoints.size(), {});
  for (std::size_t i = 0; i < after.links.size(); ++i) {
    const Policy::Link& link = after.links[i];
    const Policy::Link* old = before.link(link.id);
    if (old != nullptr && std::tie(old->port, old->vlan, old->local, old->peer, old->next_hop) ==
                              std::tie(link.port, link.vlan, link.local, link.peer, link.next_hop))
      out.links[i] = known.link(static_cast<std::size_t>(old - before.links.data()));
  }
  for (std::size_t i = 0; i < after.endpoints.size(); ++i) {
    const Policy::Endpoint& endpoint = after.endpoints[i];
    const Policy::Endpoint* old = before.endpoint(endpoint.id);
    if (old != nullptr && old->address == endpoint.address && old->port == endpoint.port)
      out.endpoints[i] = known.endpoint(static_cast<std::size_t>(old - before.endpoints.data()));
  }
  return out;
}

// The tiers that a service or pool is served by.
std::vector<Tier> tiers_of(const Route& route) {
  std::vector<Tier> out;
  for (const auto* list : {&route.services, &route.pools})
    for (const ServiceRoute& service : *list)
      out.insert(out.end(), service.tiers.begin(), service.tiers.end());
  return out;
}

// Good news counts whole, and no path waits for having flapped.
void forgive(Route& route) {
  for (auto* list : {&route.services, &route.pools})
    for (ServiceRoute& service : *list)
      for (RankedPath& path : service.ranking.paths) {
        if (path.cost.known()) path.damped = path.cost.total();
        path.flaps = 0;
      }
}

// Decided again and again under `conditions`, with dwell, hold and slow good news out of the way: hysteresis
// stays, so what is not better by enough moves nothing.
Route settled(Policy policy, Conditions conditions, Route route, Instant now) {
  policy.steering.dwell = 1;
  policy.steering.hold = Nanos(0);
  std::vector<Tier> tiers;
  for (int i = 0; i < kMaxEvaluations; ++i) {
    now = now + policy.steering.tick;
    for (Conditions::Link& link : conditions.links)
      if (link.window) link.window->taken = link.window->taken + policy.steering.tick;
    route = perigee::route(policy, conditions, route, now);
    if (i == 0) forgive(route);
    std::vector<Tier> next = tiers_of(route);
    if (i > 0 && next == tiers) break;
    tiers = std::move(next);
  }
  return route;
}

struct Share {
  double share = 0;
  std::optional<Nanos> rtt;  // measured and declared
};
using Shares = std::map<std::pair<EndpointId, LinkId>, Share>;

// Of the first tier. What is refused goes to nobody, as a candidate of its own.
Shares shares_of(const ServiceRoute& service, const Policy& policy) {
  Shares out;
  double total = 0;
  if (!service.tiers.empty())
    for (const Candidate& candidate : service.tiers.front()) {
      Share& share = out[{candidate.endpoint, candidate.link}];
      share.share = candidate.weight;
      total += candidate.weight;
      const Policy::Endpoint* endpoint = policy.endpoint(candidate.endpoint);
      const RankedPath* path = service.ranking.find({policy.pop_of(*endpoint).id, candidate.link});
      if (path != nullptr && path->cost.known()) share.rtt = *path->cost.rtt + path->cost.declared;
    }
  for (auto& [candidate, share] : out) share.share /= total;
  if (out.empty()) out[{EndpointId{}, LinkId{}}].share = 1;
  return out;
}

std::optional<PlannedChoice> choice_of(const Shares& shares, const Policy& policy) {
  std::optional<PlannedChoice> best;
  for (const auto& [candidate, share] : shares) {
    const Policy::Endpoint* endpoint = policy.endpoint(candidate.first);
    if (endpoint == nullptr) continue;
    const Policy::Link* link = policy.link(candidate.second);
    PlannedChoice choice{endpoint->name, policy.pop_of(*endpoint).name, link == nullptr ? "" : link->name,
                         share.share};
    const auto order = [](const PlannedChoice& c) { return std::tuple(-c.share, c.endpoint, c.link); };
    if (!best || order(choice) < order(*best)) best = std::move(choice);
  }
  return best;
}

std::optional<Nanos> rtt_of(const Shares& shares) {
  double sum = 0;
  for (const auto& [candidate, share] : shares) {
    if (!share.rtt) return std::nullopt;
    sum += share.share * static_cast<double>(share.rtt->count());
  }
  return Nanos(std::llround(sum));
}

double moved(const Shares& before, const Shares& after) {
  double sum = 0;
  for (const auto& [candidate, share] : before) {
    const auto other = after.find(candidate);
    sum += std::abs(share.share - (other == after.end() ? 0 : other->second.share));
  }
  for (const auto& [candidate, share] : after)
    if (!before.contains(candidate)) sum += share.share;
  return sum < 1e-9 ? 0 : sum / 2;  // shares of equal proportions may differ in their last bit
}

// Documents differ by what is written, whatever the order of keys; absent is as good as empty.
const Node* child_of(const Node* node, std::string_view key) {
  if (node == nullptr || node->kind != Node::Kind::map) return nullptr;
  const auto found = std::find_if(node->children.begin(), node->children.end(),
                                  [&](const Node& child) { return child.key == key; });
  return found == node->children.end() ? nullptr : &*found;
}

bool alike(const Node* a, const Node* b) {
  const Node none;
  if (a == nullptr) a = &none;
  if (b == nullptr) b = &none;
  if (a->kind != b->kind || a->scalar != b->scalar || a->children.size() != b->children.size()) return false;
  for (std::size_t i = 0; i < a->children.size(); ++i) {
    const bool map = a->kind == Node::Kind::map;
    if (!alike(&a->children[i], map ? child_of(b, a->children[i].key) : &b->children[i])) return false;
  }
  return true;
}

// The keys of two maps whose values differ, in the order of `b`; without `besides`.
void add_differing(const Node* a, const Node* b, std::string_view besides, std::vector<std::string>& keys) {
  const auto look = [&](const Node* at) {
    if (at == nullptr) return;
    for (const Node& child : at->children)
      if (child.key != besides && std::find(keys.begin(), keys.end(), child.key) == keys.end() &&
          !alike(child_of(a, child.key), child_of(b, child.key)))
        keys.push_back(child.key);
  };
  look(b);
  look(a);
}

// A service of the data plane, or a pool of a routed one.
struct Subject {
  ServiceId id;
  std::string name;
  std::string service, model;  // model: of a routed one
  bool canary = false, to_host = false;
};

std::vector<Subject> subjects_of(const Policy& policy) {
  std::vector<Subject> out;
  for (const Policy::Service& service : policy.services)
    out.push_back(
        {service.id, service.name, service.name, "", false, service.deliver == table::Deliver::host});
  for (const Policy::RoutedService& service : policy.routed)
    for (const Policy::Model& model : service.models) {
      const std::string name = service.name + "/" + model.name;
      out.push_back({model.pool.id, name, service.name, model.name, false});
      if (model.canary)
        out.push_back({model.canary->pool.id, name + "/canary", service.name, model.name, true});
    }
  return out;
}

// A policy, its document, and where it leads.
struct Side {
  const Policy& policy;
  Node document;
  Route route;

  // As new flows or requests find it.
  [[nodiscard]] Shares shares(const Subject& subject) const {
    const ServiceRoute* found = subject.model.empty() ? route.service(subject.id) : route.pool(subject.id);
    if (found == nullptr) return shares_of({}, policy);
    return shares_of(subject.model.empty() ? *found : of_requests(policy, route, *found), policy);
  }
  [[nodiscard]] const Node* service(const Subject& subject) const {
    return child_of(child_of(&document, "services"), subject.service);
  }
  [[nodiscard]] const Node* model(const Subject& subject) const {
    const Node* model = child_of(child_of(service(subject), "models"), subject.model);
    return subject.canary ? child_of(model, "canary") : model;
  }
};

void compare(const Side& before, const Side& after, const Subject& subject, PlannedService& out) {
  const Shares was = before.shares(subject);
  const Shares is = after.shares(subject);
  out.moved = moved(was, is);
  add_differing(before.service(subject), after.service(subject), "models", out.keys);
  if (!subject.model.empty()) add_differing(before.model(subject), after.model(subject), "canary", out.keys);
  if (!out.keys.empty() || out.moved > 0) out.change = PlannedChange::changed;
}

void add_services(const Side& before, const Side& after, Plan& plan) {
  const std::vector<Subject> old = subjects_of(before.policy);
  const std::vector<Subject> now = subjects_of(after.policy);
  const auto has = [](const std::vector<Subject>& subjects, const Subject& wanted) {
    return std::any_of(subjects.begin(), subjects.end(), [&](const Subject& s) { return s.id == wanted.id; });
  };
  const auto add = [&](const Subject& subject, bool was, bool is) {
    PlannedService out;
    out.name = subject.name;
    out.to_host = subject.to_host;
    out.change = !was ? PlannedChange::added : !is ? PlannedChange::removed : PlannedChange::none;
    if (was) {
      out.before = choice_of(before.shares(subject), before.policy);
      out.rtt_before = rtt_of(before.shares(subject));
    }
    if (is) {
      out.after = choice_of(after.shares(subject), after.policy);
      out.rtt_after = rtt_of(after.shares(subject));
    }
    if (was && is) compare(before, after, subject, out);
    plan.services.push_back(std::move(out));
  };
  for (const Subject& subject : now) add(subject, has(old, subject), true);
  for (const Subject& subject : old)
    if (!has(now, subject)) add(subject, true, false);
}

// `in_force` and `at_once`: the Routes before and right after.
void add_endpoints(const Policy& before, const Policy& after, const Conditions& conditions,
                   const Route& in_force, const Route& at_once, Plan& plan) {
  const auto flows = [&](const Policy::Endpoint* old) {
    return old == nullptr
               ? std::nullopt
               : conditions.endpoint(static_cast<std::size_t>(old - before.endpoints.data())).flows;
  };
  const auto resets = [](const Route& route, EndpointId id) {
    const EndpointRoute* state = route.endpoint(id);
    return state != nullptr && state->reset_established;
  };
  for (const Policy::Endpoint& endpoint : after.endpoints) {
    const Policy::Endpoint* old = before.endpoint(endpoint.id);
    const auto add = [&](PlannedEnd what) { plan.endpoints.push_back({endpoint.name, what, flows(old)}); };
    if (old == nullptr) add(PlannedEnd::added);
    if (endpoint.drain && (old == nullptr || !old->drain)) add(PlannedEnd::drained);
    if (!endpoint.drain && old != nullptr && old->drain) add(PlannedEnd::resumed);
    if (old != nullptr && resets(at_once, endpoint.id) && !resets(in_force, endpoint.id))
      add(PlannedEnd::reset);
  }
  for (const Policy::Endpoint& endpoint : before.endpoints)
    if (after.endpoint(endpoint.id) == nullptr)
      plan.endpoints.push_back({endpoint.name, PlannedEnd::removed, flows(&endpoint)});
}

void add_listeners(const Policy& before, const Policy& after, Plan& plan) {
  const auto add_missing = [&](const Policy& from, const Policy& in, bool opened) {
    for (const Policy::Listener& listener : from.listeners)
      if (std::none_of(in.listeners.begin(), in.listeners.end(), [&](const Policy::Listener& other) {
            return other.address == listener.address && other.port == listener.port;
          }))
        plan.listeners.push_back({listener.name, listener.address, listener.port, opened});
  };
  add_missing(after, before, true);
  add_missing(before, after, false);
}

Node document_of(std::string_view text) {
  yaml::Report report{""};  // it was read before: there is nothing to say
  return yaml::parse_document(text, report);
}

}  // namespace

const char* name_of(PlannedChange change) {
  switch (change) {
    case PlannedChange::none:
      return "none";
    case PlannedChange::changed:
      return "changed";
    case PlannedChange::added:
      return "added";
    case PlannedChange::removed:
      break;
  }
  return "removed";
}

const char* name_of(PlannedEnd end) {
  switch (end) {
    case PlannedEnd::added:
      return "added";
    case PlannedEnd::removed:
      return "removed";
    case PlannedEnd::drained:
      return "drained";
    case PlannedEnd::resumed:
      return "resumed";
    case PlannedEnd::reset:
      break;
  }
  return "reset";
}

Plan plan(PolicyWithText before, PolicyWithText after, const Conditions& conditions, const Route& in_force,
          Instant now) {
  Plan out;
  out.same = before.policy == after.policy;
  out.measured = conditions.dataplane_alive;
  const Conditions carried = carried_over(before.policy, after.policy, conditions);
  const Side old{before.policy, document_of(before.text), settled(before.policy, conditions, in_force, now)};
  const Side next{after.policy, document_of(after.text), settled(after.policy, carried, in_force, now)};
  add_differing(&old.document, &next.document, "services", out.sections);
  add_services(old, next, out);
  add_endpoints(before.policy, after.policy, conditions, in_force,
                route(after.policy, carried, in_force, now), out);
  add_listeners(before.policy, after.policy, out);
  return out;
}

Plan plan(PolicyWithText before, PolicyWithText after, std::optional<WallTime> wall) {
  const Instant any{1};  // nothing is measured, and nothing is remembered
  Conditions conditions;
  conditions.wall = wall;
  return plan(before, after, conditions, route(before.policy, conditions, {}, any), any);
}

}  // namespace perigee
