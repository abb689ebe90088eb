// The half of the admin API's JSON that is about endpoints and where services lead.
#include <algorithm>
#include <boost/json/value_from.hpp>

#include "gateway/api_json.h"
#include "gateway/json_units.h"
#include "steering/constraints_in_force.h"
#include "steering/route_terms.h"

namespace perigee::gateway {

namespace json = boost::json;

namespace {

std::string address_and_port(const IpAddress& address, std::uint16_t port) {
  const std::string text = address.is_v4() ? address.text() : "[" + address.text() + "]";
  return port == 0 ? address.text() : text + ":" + std::to_string(port);
}

json::value name_or_null(const std::string& name) {
  return name.empty() ? json::value(nullptr) : json::value(name);
}

const telemetry::EndpointSample* sample_of(const Snapshot& snapshot, EndpointId id) {
  if (!snapshot.telemetry || !snapshot.dataplane_alive()) return nullptr;
  for (const telemetry::EndpointSample& sample : snapshot.telemetry->endpoints) {
    if (sample.id == id) return &sample;
  }
  return nullptr;
}

json::value check_json(const Policy::Endpoint& endpoint, const EndpointHealth& health, Instant now) {
  if (!health.last) return nullptr;
  const CheckResult& last = *health.last;
  return json::object{{"type", name_of(endpoint.health.type)},
                      {"outcome", kCheckFindingNames[static_cast<std::size_t>(last.finding)]},
                      {"detail", last.detail},
                      {"age_ms", milliseconds(now - health.last_at)},
                      {"connect_rtt_ms", milliseconds_or_null(last.connect_rtt)},
                      {"status", last.status == 0 ? json::value(nullptr) : json::value(last.status)}};
}

template <class T>
json::value number_or_null(const std::optional<T>& number) {
  return number ? json::value(*number) : json::value(nullptr);
}

json::value load_json(const Policy::Endpoint& endpoint, const EndpointLoad& load, Instant now) {
  const EngineLoad* fresh = fresh_load(endpoint, load, now);
  if (fresh == nullptr) return nullptr;
  return json::object{{"engine", name_of(fresh->engine)},
                      {"age_ms", milliseconds(now - fresh->taken)},
                      {"waiting", number_or_null(fresh->waiting)},
                      {"running", number_or_null(fresh->running)},
                      {"kv_usage", number_or_null(fresh->kv_use)},
                      {"prefill_tokens_per_s", number_or_null(load.prefill_rate)},
                      {"prompt_tokens", number_or_null(load.prompt_tokens)}};
}

// Flows that are left, and the time until they are reset; null: not drained.
json::value draining_json(const Snapshot& snapshot, const Policy::Endpoint& endpoint,
                          const EndpointRoute& route, const telemetry::EndpointSample* sample, Instant now) {
  if (!endpoint.drain || route.draining_since.never()) return nullptr;
  const Nanos left = route.draining_since + snapshot.policy->flows.drain_deadline - now;
  return json::object{{"flows_left", sample == nullptr ? json::value(nullptr) : json::value(sample->flows)},
                      {"deadline_s", seconds(std::max(left, Nanos(0)))}};
}

json::object endpoint_json(const Snapshot& snapshot, std::size_t index, Instant now) {
  const Policy::Endpoint& endpoint = snapshot.policy->endpoints[index];
  const EndpointHealth health = index < snapshot.health.size() ? snapshot.health[index] : EndpointHealth{};
  const EndpointRoute* found = snapshot.route ? snapshot.route->endpoint(endpoint.id) : nullptr;
  const EndpointRoute route = found == nullptr ? EndpointRoute{} : *found;
  const telemetry::EndpointSample* sample = sample_of(snapshot, endpoint.id);
  json::object labels;
  for (const auto& [key, text] : endpoint.labels) labels[key] = text;
  return {{"name", endpoint.name},
          {"pop", snapshot.policy->pop_of(endpoint).name},
          {"address", address_and_port(endpoint.address, endpoint.port)},
          {"health", name_of(health.state.verdict)},
          {"health_age_s", age_seconds(health.state.since, now)},
          {"accepts_new", route.accepts_new},
          {"drain", endpoint.drain},
          {"draining", draining_json(snapshot, endpoint, route, sample, now)},
          {"maintenance", maintenance_json(snapshot, "endpoint", endpoint.name)},
          {"cost_tier", endpoint.cost_tier},
          {"full", route.full},
          {"halved", route.halved},
          {"queueing", route.queue.stays},
          {"reset_established", route.reset_established},
          {"check", check_json(endpoint, health, now)},
          {"absent_models",
           health.absent_models ? json::value_from(*health.absent_models) : json::value(nullptr)},
          {"load", load_json(endpoint, health.load, now)},
          {"flows", sample == nullptr ? json::value(nullptr) : json::value(sample->flows)},
          {"flows_created", sample == nullptr ? json::value(nullptr) : json::value(sample->flows_created)},
          {"first_byte_ms", flow_times_json(snapshot.conditions.endpoint(index).first_byte)},
          {"capacity", endpoint.capacity ? json::value(*endpoint.capacity) : json::value(nullptr)},
          {"weight", endpoint.weight},
          {"labels", std::move(labels)}};
}

// {endpoint, pop, link} of a candidate; its link is null in this PoP.
json::object candidate_json(const Policy& policy, EndpointId endpoint_id, LinkId link_id) {
  const Policy::Endpoint* endpoint = policy.endpoint(endpoint_id);
  const Policy::Link* link = policy.link(link_id);
  json::object value{{"endpoint", nullptr}, {"pop", nullptr}, {"link", nullptr}};
  if (endpoint != nullptr) {
    value["endpoint"] = endpoint->name;
    value["pop"] = policy.pop_of(*endpoint).name;
  }
  if (link != nullptr) value["link"] = link->name;
  return value;
}

json::array tier_json(const Policy& policy, const Tier& tier) {
  json::array array;
  for (const Candidate& candidate : tier) {
    json::object value = candidate_json(policy, candidate.endpoint, candidate.link);
    value["weight"] = candidate.weight;
    array.push_back(std::move(value));
  }
  return array;
}

json::object switches_json(const Snapshot& snapshot, ServiceId id) {
  const auto found = snapshot.switches.find(id);
  json::object value;
  for (std::size_t i = 0; i < std::tuple_size_v<SwitchCounts>; ++i) {
    value[name_of(static_cast<SwitchReason>(i))] = found == snapshot.switches.end() ? 0 : found->second[i];
  }
  return value;
}

// Where new flows or requests of a service or pool go.
void add_route(json::object& out, const Snapshot& snapshot, const ServiceRoute& route, Instant now) {
  const Policy& policy = *snapshot.policy;
  json::array tiers;
  for (const Tier& tier : route.tiers) tiers.push_back(tier_json(policy, tier));
  json::array excluded;
  for (const Excluded& candidate : route.excluded) {
    json::object value = candidate_json(policy, candidate.endpoint, candidate.link);
    value["reason"] = name_of(candidate.reason);
    excluded.push_back(std::move(value));
  }
  out["active"] = route.tiers.empty() ? json::array() : tier_json(policy, route.tiers.front());
  out["tiers"] = std::move(tiers);
  out["excluded"] = std::move(excluded);
  out["healthy_ratio"] = route.healthy;
  out["panic"] = route.panic;
  out["changed_age_s"] = age_seconds(route.ranking.changed_at, now);
}

void add_confines(json::object& out, const Snapshot& snapshot, const Confines& confines) {
  const Policy& policy = *snapshot.policy;
  out["pops"] = nullptr;
  if (confines.pops) {
    json::array pops;
    for (const std::size_t pop : *confines.pops) pops.emplace_back(policy.pops[pop].name);
    out["pops"] = std::move(pops);
  }
  out["pin"] = nullptr;
  if (!confines.pin) return;
  json::array to;
  for (const std::size_t endpoint : confines.pin->endpoints) to.emplace_back(policy.endpoints[endpoint].name);
  out["pin"] = json::object{{"to", std::move(to)},
                            {"until", text_of(confines.pin->until)},
                            {"in_force", in_force(*confines.pin, snapshot.conditions.wall)}};
}

json::object service_json(const Snapshot& snapshot, const Policy::Service& service, Instant now) {
  json::object out{{"name", service.name},
                   {"vip", address_and_port(service.vip, service.port)},
                   {"protocol", name_of(service.protocol)},
                   {"deliver", service.deliver == table::Deliver::host ? "host" : "nat"},
                   {"max_rtt_ms", milliseconds_or_null(service.max_rtt)},
                   {"refuse", service.refuse == table::Refuse::drop ? "drop" : "answer"}};
  const ServiceRoute* route = snapshot.route ? snapshot.route->service(service.id) : nullptr;
  add_confines(out, snapshot, service.confines);
  add_route(out, snapshot, route == nullptr ? ServiceRoute{} : *route, now);
  out["switches"] = switches_json(snapshot, service.id);
  return out;
}

json::object pool_json(const Snapshot& snapshot, const Policy::Pool& pool, Instant now) {
  json::object out{{"served_name", pool.served_name}};
  const ServiceRoute* route = snapshot.route ? snapshot.route->pool(pool.id) : nullptr;
  add_route(out, snapshot,
            route == nullptr ? ServiceRoute{} : of_requests(*snapshot.policy, *snapshot.route, *route), now);
  out["switches"] = switches_json(snapshot, pool.id);
  return out;
}

json::object model_json(const Snapshot& snapshot, const Policy::Model& model, Instant now) {
  json::object out{{"name", model.name}, {"aliases", json::value_from(model.aliases)}, {"canary", nullptr}};
  for (auto& member : pool_json(snapshot, model.pool, now))
    out.emplace(member.key(), std::move(member.value()));
  if (model.canary) {
    json::object canary = pool_json(snapshot, model.canary->pool, now);
    canary["percent"] = static_cast<double>(model.canary->per_10000) / 100.0;
    out["canary"] = std::move(canary);
  }
  return out;
}

json::object routed_json(const Snapshot& snapshot, const Policy::RoutedService& service, Instant now) {
  const Policy& policy = *snapshot.policy;
  json::array listeners;
  for (const std::size_t index : service.listeners) {
    const Policy::Listener& listener = policy.listeners[index];
    listeners.push_back(json::object{{"name", listener.name},
                                     {"address", address_and_port(listener.address, listener.port)},
                                     {"tls", listener.tls.has_value()}});
  }
  json::value residency;
  if (service.residency) {
    residency.emplace_array();
    for (const std::size_t index : *service.residency)
      residency.get_array().emplace_back(policy.regions[index]);
  }
  json::array models;
  for (const Policy::Model& model : service.models) models.push_back(model_json(snapshot, model, now));
  json::object out{{"name", service.name},
                   {"listeners", std::move(listeners)},
                   {"require_key", service.require_key},
                   {"residency", std::move(residency)},
                   {"max_rtt_ms", milliseconds_or_null(service.max_rtt)},
                   {"models", std::move(models)}};
  add_confines(out, snapshot, service.confines);
  return out;
}

// What a request would meet at the candidate; null: not of a routed service.
json::value request_json(const ExplainedCandidate& candidate, const std::vector<RequestOdds>& odds) {
  const auto found = std::ranges::find_if(odds, [&](const RequestOdds& one) {
    return one.endpoint == candidate.endpoint && one.canary == candidate.canary;
  });
  if (found == odds.end()) return nullptr;
  const Contender& seen = found->contender;
  const json::object expected{
      {"total", seen.cost.network ? json::value(milliseconds(seen.cost.total())) : json::value(nullptr)},
      {"network", milliseconds_or_null(seen.cost.network)},
      {"wait", milliseconds(seen.cost.wait)},
      {"service", milliseconds(seen.cost.service)},
      {"penalty", milliseconds(seen.cost.penalty)}};
  return json::object{
      {"probability", found->probability},
      {"barrier",
       seen.barrier == Verdict::chosen ? json::value(nullptr) : json::value(name_of(seen.barrier))},
      {"expected_ms", expected},
      {"in_flight", seen.read.in_flight},
      {"tokens_waiting", seen.read.tokens_waiting},
      {"engine_waiting",
       seen.read.engine_waiting < 0 ? json::value(nullptr) : json::value(seen.read.engine_waiting)}};
}

json::object cost_json(const Cost& cost, bool local) {
  const char* from = cost.of_connections ? "connections" : "probes";
  return {{"rtt_from", cost.known() && !local ? json::value(from) : json::value(nullptr)},
          {"total", cost.known() ? json::value(milliseconds(cost.total())) : json::value(nullptr)},
          {"rtt", milliseconds_or_null(cost.rtt)},
          {"declared", milliseconds(cost.declared)},
          {"policy", milliseconds(cost.policy)},
          {"loss", milliseconds(cost.loss)}};
}

}  // namespace

json::value endpoints_json(const Snapshot& snapshot, Instant now) {
  json::array endpoints;
  for (std::size_t i = 0; snapshot.policy && i < snapshot.policy->endpoints.size(); ++i) {
    endpoints.push_back(endpoint_json(snapshot, i, now));
  }
  return json::object{{"endpoints", std::move(endpoints)}};
}

json::value services_json(const Snapshot& snapshot, Instant now) {
  json::array services, routed;
  if (snapshot.policy) {
    for (const Policy::Service& service : snapshot.policy->services) {
      services.push_back(service_json(snapshot, service, now));
    }
    for (const Policy::RoutedService& service : snapshot.policy->routed) {
      routed.push_back(routed_json(snapshot, service, now));
    }
  }
  return json::object{{"services", std::move(services)}, {"routed", std::move(routed)}};
}

json::value explanation_json(const Snapshot& snapshot, const Explanation& explanation,
                             const std::vector<RequestOdds>& odds) {
  json::array candidates;
  for (const ExplainedCandidate& candidate : explanation.candidates) {
    candidates.push_back(json::object{
        {"endpoint", candidate.endpoint},
        {"pop", candidate.pop},
        {"link", name_or_null(candidate.link)},
        {"tier", candidate.tier ? json::value(*candidate.tier) : json::value(nullptr)},
        {"cost_ms", cost_json(candidate.cost, candidate.link.empty())},
        {"damped_ms", milliseconds_or_null(candidate.damped)},
        {"flap_penalty", candidate.flap_penalty},
        {"weight", candidate.weight},
        {"share", candidate.share},
        {"probability", candidate.probability ? json::value(*candidate.probability) : json::value(nullptr)},
        {"canary", candidate.canary},
        {"verdict", candidate.verdict},
        {"request", request_json(candidate, odds)}});
  }
  return json::object{
      {"service", explanation.service},
      {"model", name_or_null(explanation.model)},
      {"class", name_or_null(explanation.request_class)},
      {"client", explanation.client.text()},
      {"port", explanation.client_port ? json::value(*explanation.client_port) : json::value(nullptr)},
      {"summary", explanation.summary},
      {"drawn", name_or_null(explanation.drawn)},
      {"generation",
       snapshot.table ? json::value(snapshot.table->identity.generation) : json::value(nullptr)},
      {"candidates", std::move(candidates)}};
}

}  // namespace perigee::gateway
