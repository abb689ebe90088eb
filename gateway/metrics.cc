#include "gateway/metrics.h"

#include <prometheus/text_serializer.h>

#include <limits>
#include <sstream>
#include <utility>

#include "gateway/endpoint_metrics.h"
#include "gateway/json_units.h"
#include "gateway/routed_pools.h"
#include "perigee_version.h"
#include "router/metric_family.h"
#include "steering/damping.h"
#include "steering/route_terms.h"

namespace perigee::gateway {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using router::counter;
using router::Family;
using router::gauge;
using router::Labels;
using router::with;

double ratio(std::uint64_t part, std::uint64_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

ClientMetric rtt_histogram(const telemetry::LinkSample& sample, Labels labels) {
  ClientMetric metric;
  metric.label = std::move(labels);
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < sample.rtt_buckets.size(); ++i) {
    count += sample.rtt_buckets[i];
    const bool last = i == telemetry::kRttEdgesSeconds.size();
    const double edge = last ? std::numeric_limits<double>::infinity() : telemetry::kRttEdgesSeconds[i];
    metric.histogram.bucket.push_back({count, edge});
  }
  metric.histogram.sample_count = count;
  metric.histogram.sample_sum = static_cast<double>(sample.rtt_sum_ns) / 1e9;
  return metric;
}

// All series of links: src_pop is this PoP, dst_pop the peer's.
struct LinkFamilies {
  Family rtt{MetricType::Histogram, "perigee_link_rtt_seconds", "Round-trip time of answered probes."};
  Family window = gauge("perigee_link_rtt_window_seconds",
                        "Round-trip time over the steering window; absent while unknown or stale.");
  Family flow_window =
      gauge("perigee_link_flow_rtt_window_seconds",
            "Time from SYN to SYN-ACK of forwarded connections of the last minute over the link to endpoints "
            "of its own PoP; absent while unknown.");
  Family disagreement =
      gauge("perigee_link_rtt_disagreement",
            "1 while forwarded connections and probes tell round trips that differ by more than the larger "
            "of 1 ms and 20 %; absent while one of both is unknown.");
  Family state = gauge("perigee_link_state", "1 for the state the link is in, 0 for the others.");
  Family up = gauge("perigee_link_up", "1 while the link is up or degraded; absent while unknown.");
  Family loss = gauge("perigee_link_loss_ratio",
                      "Lost of settled probes over the steering window; absent while unknown or stale.");
  Family sent = counter("perigee_link_probes_sent_total", "Probes sent.");
  Family received = counter("perigee_link_probes_received_total", "Replies that counted.");
  Family lost = counter("perigee_link_probes_lost_total", "Probes whose deadline passed unanswered.");
  Family late = counter("perigee_link_probes_late_total", "Replies after their deadline.");
  Family duplicate = counter("perigee_link_probes_duplicate_total", "Replies that had come before.");
  Family reordered = counter("perigee_link_probes_reordered_total", "Replies overtaken by a later one.");
  Family invalid = counter("perigee_link_probes_invalid_total", "Replies that did not count, by reason.");
  Family age = gauge("perigee_link_last_sample_age_seconds",
                     "Time since the last reply that counted; absent before the first.");

  void add(const Snapshot& snapshot, std::size_t index, Instant now);
  void add_counters(const telemetry::LinkSample& sample, const Labels& labels);
  void add_window(const telemetry::Window& window, const Labels& labels);
  void move_into(std::vector<MetricFamily>& families) {
    for (Family* family : {&rtt, &window, &flow_window, &disagreement, &state, &up, &loss, &sent, &received,
                           &lost, &late, &duplicate, &reordered, &invalid, &age}) {
      family->move_into(families);
    }
  }
};

void add_flow_window(Family& family, const std::optional<Conditions::FlowTimes>& times,
                     const Labels& labels) {
  if (!times) return;
  family.add(with(labels, "stat", "min"), seconds(times->min));
  family.add(with(labels, "stat", "p50"), seconds(times->p50));
}

void LinkFamilies::add(const Snapshot& snapshot, std::size_t index, Instant now) {
  const Policy::Link& link = snapshot.policy->links[index];
  const telemetry::LinkSample* found = snapshot.link_sample(link.id);
  const telemetry::LinkSample sample = found == nullptr ? telemetry::LinkSample{} : *found;
  const Labels labels{{"src_pop", snapshot.policy->here().name},
                      {"dst_pop", snapshot.policy->pop_of(link).name},
                      {"link", link.name}};
  add_counters(sample, labels);

  using telemetry::LinkState;
  const LinkState now_in = snapshot.conditions.link(index).state;
  for (const auto& [one, name] :
       {std::pair{LinkState::up, "up"}, std::pair{LinkState::degraded, "degraded"},
        std::pair{LinkState::down, "down"}, std::pair{LinkState::unknown, "unknown"}}) {
    state.add(with(labels, "state", name), one == now_in ? 1.0 : 0.0);
  }
  if (now_in != LinkState::unknown) up.add(labels, now_in == LinkState::down ? 0.0 : 1.0);
  if (snapshot.dataplane_alive() && !sample.last_sample.never()) {
    age.add(labels, seconds(now - sample.last_sample));
  }
  if (const telemetry::Window* fresh = fresh_window(snapshot, sample, now)) add_window(*fresh, labels);
  add_flow_window(flow_window, snapshot.conditions.link(index).flow_rtt, labels);
  if (const auto apart = witnesses_disagree(*snapshot.policy, snapshot.conditions, index, now))
    disagreement.add(labels, *apart ? 1.0 : 0.0);
}

void LinkFamilies::add_counters(const telemetry::LinkSample& sample, const Labels& labels) {
  rtt.add(rtt_histogram(sample, labels));
  sent.add(labels, sample.sent);
  received.add(labels, sample.received);
  lost.add(labels, sample.lost);
  late.add(labels, sample.late);
  duplicate.add(labels, sample.duplicate);
  reordered.add(labels, sample.reordered);
  for (std::size_t i = 0; i < sample.invalid.size(); ++i) {
    invalid.add(with(labels, "reason", telemetry::kInvalidReplyNames[i]), sample.invalid[i]);
  }
}

void LinkFamilies::add_window(const telemetry::Window& fresh, const Labels& labels) {
  if (fresh.samples > 0) {
    window.add(with(labels, "stat", "min"), seconds(fresh.min));
    window.add(with(labels, "stat", "p50"), seconds(fresh.p50));
    window.add(with(labels, "stat", "p99"), seconds(fresh.p99));
  }
  if (fresh.settled > 0) loss.add(labels, ratio(fresh.lost, fresh.settled));
}

// Of the way that connections of this host take to an endpoint of another PoP, through the host port.
std::optional<Nanos> probed_rtt(const Snapshot& snapshot, const Policy::Endpoint& endpoint) {
  const PopRoute* route =
      snapshot.route ? snapshot.route->pop(snapshot.policy->pop_of(endpoint).id) : nullptr;
  if (!snapshot.dataplane_alive() || route == nullptr || route->ranking.paths.empty()) return std::nullopt;
  const Cost& cost = route->ranking.paths.front().cost;
  return cost.known() ? std::optional(*cost.rtt + cost.declared) : std::nullopt;
}

void add_endpoints(const Snapshot& snapshot, std::vector<MetricFamily>& families) {
  Family healthy = gauge("perigee_endpoint_healthy",
                         "1 while the health checks hold the endpoint healthy; absent while unknown.");
  Family checks = counter("perigee_endpoint_checks_total", "Health checks, by outcome.");
  Family connect = gauge("perigee_endpoint_connect_rtt_seconds",
                         "Time the last health check took to connect; absent when it did not.");
  Family least =
      gauge("perigee_endpoint_connection_rtt_seconds",
            "Least round trip of this host's connections to the endpoint lately, checks and requests.");
  Family disagreement =
      gauge("perigee_endpoint_rtt_disagreement",
            "1 while connections and probes tell round trips that differ by more than the larger of "
            "1 ms and 20 %; absent while one of both is unknown.");
  Family absent =
      gauge("perigee_endpoint_models_absent",
            "Models that the endpoint should have and does not list; absent while that is unknown.");
  Family draining = gauge("perigee_endpoint_drain_flows",
                          "Flows that a drained endpoint still has; absent when it is not drained.");
  Family first_byte =
      gauge("perigee_endpoint_first_byte_window_seconds",
            "Time from the client's first data to the endpoint's in forwarded connections of the last "
            "minute; absent while unknown.");
  for (std::size_t i = 0; i < snapshot.policy->endpoints.size(); ++i) {
    const Policy::Endpoint& endpoint = snapshot.policy->endpoints[i];
    const auto flows = snapshot.conditions.endpoint(i).flows;
    const EndpointHealth health = i < snapshot.health.size() ? snapshot.health[i] : EndpointHealth{};
    const Labels labels{{"endpoint", endpoint.name}, {"pop", snapshot.policy->pop_of(endpoint).name}};
    if (endpoint.drain && flows) draining.add(labels, *flows);
    const Health verdict = health.state.verdict;
    if (verdict != Health::unknown) healthy.add(labels, verdict == Health::healthy ? 1.0 : 0.0);
    if (health.absent_models) absent.add(labels, health.absent_models->size());
    if (health.connection_rtt) least.add(labels, seconds(*health.connection_rtt));
    if (const auto probed = probed_rtt(snapshot, endpoint); probed && health.connection_rtt)
      disagreement.add(labels, disagree(*probed, *health.connection_rtt) ? 1.0 : 0.0);
    add_flow_window(first_byte, snapshot.conditions.endpoint(i).first_byte, labels);
    if (endpoint.health.type == Policy::Health::Type::none) continue;
    for (std::size_t kind = 0; kind < kCheckFindingCount; ++kind) {
      checks.add(with(labels, "outcome", kCheckFindingNames[kind]), health.findings[kind]);
    }
    if (health.last && health.last->connect_rtt) connect.add(labels, seconds(*health.last->connect_rtt));
  }
  healthy.move_into(families);
  checks.move_into(families);
  connect.move_into(families);
  least.move_into(families);
  disagreement.move_into(families);
  absent.move_into(families);
  draining.move_into(families);
  first_byte.move_into(families);
}

bool in_first_tier(const ServiceRoute* route, EndpointId endpoint) {
  if (route == nullptr || route->tiers.empty()) return false;
  for (const Candidate& candidate : route->tiers.front()) {
    if (candidate.endpoint == endpoint) return true;
  }
  return false;
}

// `labels`: of a forwarded service, or of a model of a routed one, whose place in the Route is `route`.
struct ServiceFamilies {
  Family active = gauge("perigee_service_active_endpoint",
                        "1 for the endpoints that new flows or requests go to, 0 for the others.");
  Family switches =
      counter("perigee_service_switches_total", "Changes of where new flows or requests go, by reason.");
  Family healthy = gauge("perigee_service_healthy_ratio",
                         "Healthy share of the endpoints that are as near as those in use, or nearer.");
  Family panic = gauge("perigee_service_panic",
                       "1 while that share is below steering.capacity.panic and all that may serve does.");

  void add(const Snapshot& snapshot, const Labels& labels, ServiceId id, const ServiceRoute* route,
           const std::vector<std::size_t>& endpoints) {
    for (const std::size_t index : endpoints) {
      const Policy::Endpoint& endpoint = snapshot.policy->endpoints[index];
      active.add(with(with(labels, "endpoint", endpoint.name), "pop", snapshot.policy->pop_of(endpoint).name),
                 in_first_tier(route, endpoint.id) ? 1.0 : 0.0);
    }
    healthy.add(labels, route == nullptr ? 1.0 : route->healthy);
    panic.add(labels, route != nullptr && route->panic ? 1.0 : 0.0);
    const auto counts = snapshot.switches.find(id);
    for (std::size_t i = 0; i < std::tuple_size_v<SwitchCounts>; ++i) {
      switches.add(with(labels, "reason", name_of(static_cast<SwitchReason>(i))),
                   counts == snapshot.switches.end() ? 0 : counts->second[i]);
    }
  }
};

void add_services(const Snapshot& snapshot, std::vector<MetricFamily>& families) {
  ServiceFamilies services;
  const Route* route = snapshot.route.get();
  for (const Policy::Service& service : snapshot.policy->services) {
    if (service.deliver == table::Deliver::host) continue;  // has no endpoints to choose from
    services.add(snapshot, {{"service", service.name}}, service.id,
                 route == nullptr ? nullptr : route->service(service.id), service.endpoints);
  }
  for (const RoutedPool& routed : routed_pools(*snapshot.policy)) {
    services.add(snapshot, {{"service", routed.service->name}, {"model", routed.label()}}, routed.pool->id,
                 route == nullptr ? nullptr : route->pool(routed.pool->id), routed.pool->endpoints);
  }
  services.active.move_into(families);
  services.switches.move_into(families);
  services.healthy.move_into(families);
  services.panic.move_into(families);
}

void add_steering(const Snapshot& snapshot, Instant now, std::vector<MetricFamily>& families) {
  Family frozen = gauge("perigee_steering_frozen",
                        "1 while everything fails at once and what is measured decides nothing, by reason.");
  Family flaps = gauge("perigee_link_flap_penalty",
                       "How often the link to its PoP left of late: each time counts 1 and fades.");
  const Route empty;
  const Route& route = snapshot.route ? *snapshot.route : empty;
  for (const Frozen reason : {Frozen::checks, Frozen::dataplane})
    frozen.add({{"reason", name_of(reason)}}, route.frozen == reason ? 1.0 : 0.0);
  for (const Policy::Link& link : snapshot.policy->links) {
    const Policy::Pop& pop = snapshot.policy->pop_of(link);
    const PopRoute* to = route.pop(pop.id);
    const RankedPath* path = to == nullptr ? nullptr : to->ranking.find({pop.id, link.id});
    flaps.add({{"src_pop", snapshot.policy->here().name}, {"dst_pop", pop.name}, {"link", link.name}},
              path == nullptr ? 0.0 : flap_penalty(*path, snapshot.policy->steering, now));
  }
  frozen.move_into(families);
  flaps.move_into(families);
}

void add_dataplane(const Snapshot& snapshot, std::vector<MetricFamily>& families) {
  Family up = gauge("perigee_dataplane_up", "1 while the data plane writes its heartbeat.");
  Family packets = counter("perigee_dataplane_packets_total", "Packets, by what became of them.");
  Family drops = counter("perigee_dataplane_drops_total", "Packets dropped, by reason.");
  Family flows = gauge("perigee_dataplane_flows", "Flows in the table; absent without a data plane.");
  Family gap = gauge("perigee_dataplane_poll_gap_seconds",
                     "Longest time between two looks at the ports in the last second, sleep not counted.");
  Family snat = gauge("perigee_snat_ports_used_ratio", "SNAT ports in use of those there are.");
  Family generation = gauge("perigee_dataplane_table_generation", "Generation of the table it serves.");

  const telemetry::WorkerSample workers =
      snapshot.telemetry ? snapshot.telemetry->workers : telemetry::WorkerSample{};
  up.add({}, snapshot.dataplane_alive() ? 1.0 : 0.0);
  for (std::size_t i = 0; i < workers.packets.size(); ++i) {
    packets.add({{"result", telemetry::kVerdictNames[i]}}, workers.packets[i]);
  }
  for (std::size_t i = 0; i < workers.drops.size(); ++i) {
    drops.add({{"reason", kDropReasonNames[i]}}, workers.drops[i]);
  }
  if (snapshot.dataplane_alive()) {
    flows.add({}, workers.flows);
    gap.add({}, static_cast<double>(workers.poll_gap_last_ns) / 1e9);
    if (workers.snat_ports_total > 0) snat.add({}, ratio(workers.snat_ports_used, workers.snat_ports_total));
    if (snapshot.telemetry->in_force) {
      generation.add({}, snapshot.telemetry->in_force->identity.generation);
    }
  }
  for (Family* family : {&up, &packets, &drops, &flows, &gap, &snat, &generation}) {
    family->move_into(families);
  }
}

void add_gateway(const Snapshot& snapshot, std::vector<MetricFamily>& families) {
  Family generation = gauge("perigee_table_generation", "Generation of the table published last.");
  Family reload =
      gauge("perigee_policy_last_reload_successful", "1 when the last attempt to load a policy succeeded.");
  Family build = gauge("perigee_build_info", "Always 1; the version is in the label.");
  if (snapshot.table) generation.add({}, snapshot.table->identity.generation);
  reload.add({}, snapshot.policy_status.last_reload_successful ? 1.0 : 0.0);
  build.add({{"version", kVersion}}, 1.0);
  generation.move_into(families);
  reload.move_into(families);
  build.move_into(families);
}

}  // namespace

std::vector<MetricFamily> metric_families(const Snapshot& snapshot, Instant now) {
  std::vector<MetricFamily> families;
  if (snapshot.policy) {
    LinkFamilies links;
    for (std::size_t i = 0; i < snapshot.policy->links.size(); ++i) links.add(snapshot, i, now);
    links.move_into(families);
    add_endpoints(snapshot, families);
    add_loads(snapshot, now, families);
    add_paths(snapshot, families);
    add_services(snapshot, families);
    add_steering(snapshot, now, families);
  }
  add_dataplane(snapshot, families);
  add_gateway(snapshot, families);
  return families;
}

std::vector<MetricFamily> Metrics::Collect() const {
  std::vector<MetricFamily> families = metric_families(*cell_.load(), monotonic_now());
  if (more_) {
    for (MetricFamily& family : more_()) families.push_back(std::move(family));
  }
  return families;
}

std::string metrics_text(const prometheus::Collectable& source) {
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, source.Collect());
  return text.str();
}

}  // namespace perigee::gateway
