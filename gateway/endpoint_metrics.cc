#include "gateway/endpoint_metrics.h"

#include "gateway/json_units.h"
#include "router/metric_family.h"

namespace perigee::gateway {

using prometheus::MetricFamily;
using router::counter;
using router::Family;
using router::gauge;
using router::Labels;
using router::with;

void add_loads(const Snapshot& snapshot, Instant now, std::vector<MetricFamily>& families) {
  Family waiting = gauge("perigee_endpoint_engine_waiting_requests",
                         "Requests in the queue of the endpoint's engine; absent while unknown or stale.");
  Family running = gauge("perigee_endpoint_engine_running_requests",
                         "Requests that the endpoint's engine works on; absent while unknown or stale.");
  Family kv = gauge("perigee_endpoint_engine_kv_usage_ratio",
                    "Of the KV cache of the endpoint's engine; absent while unknown or stale.");
  Family age =
      gauge("perigee_endpoint_engine_load_age_seconds",
            "Time since the endpoint's engine said its load; absent while that is unknown or stale.");
  Family polls = counter("perigee_endpoint_engine_polls_total",
                         "Questions for the load of the endpoint's engine, by what came of them.");
  for (std::size_t i = 0; i < snapshot.policy->endpoints.size() && i < snapshot.health.size(); ++i) {
    const Policy::Endpoint& endpoint = snapshot.policy->endpoints[i];
    const EndpointLoad& load = snapshot.health[i].load;
    const Labels labels{{"endpoint", endpoint.name}, {"pop", snapshot.policy->pop_of(endpoint).name}};
    if (const EngineLoad* fresh = fresh_load(endpoint, load, now)) {
      if (fresh->waiting) waiting.add(labels, std::uint64_t{*fresh->waiting});
      if (fresh->running) running.add(labels, std::uint64_t{*fresh->running});
      if (fresh->kv_use) kv.add(labels, *fresh->kv_use);
      age.add(labels, seconds(now - fresh->taken));
    }
    if (endpoint.load.metrics.empty()) continue;
    for (std::size_t kind = 0; kind < kCheckFindingCount; ++kind)
      polls.add(with(labels, "result", kCheckFindingNames[kind]), load.polls[kind]);
  }
  for (Family* family : {&waiting, &running, &kv, &age, &polls}) family->move_into(families);
}

// By endpoint and link, as the data plane counts them: a sum over either would fall when the policy loses
// one.
void add_paths(const Snapshot& snapshot, std::vector<MetricFamily>& families) {
  using telemetry::FlowTiming;
  Family handshakes = counter("perigee_flow_handshakes_total",
                              "Forwarded connections whose time from SYN to SYN-ACK was taken.");
  Family handshake_seconds = counter("perigee_flow_handshake_seconds_total", "Sum of those times.");
  Family first_bytes = counter("perigee_flow_first_bytes_total",
                               "Forwarded connections whose time from the client's first data to the "
                               "endpoint's was taken.");
  Family first_byte_seconds = counter("perigee_flow_first_byte_seconds_total", "Sum of those times.");
  static const std::vector<telemetry::PathSample> none;
  for (const telemetry::PathSample& path : snapshot.telemetry ? snapshot.telemetry->paths : none) {
    const Policy::Endpoint* endpoint = snapshot.policy->endpoint(path.endpoint);
    const Policy::Link* link = snapshot.policy->link(path.link);
    if (endpoint == nullptr || (link == nullptr && !path.link.none())) continue;
    const Labels labels{{"endpoint", endpoint->name},
                        {"pop", snapshot.policy->pop_of(*endpoint).name},
                        {"link", link == nullptr ? "" : link->name}};
    const telemetry::FlowTimesSample& answers = path.of(FlowTiming::handshake);
    const telemetry::FlowTimesSample& bytes = path.of(FlowTiming::first_byte);
    handshakes.add(labels, answers.count);
    handshake_seconds.add(labels, static_cast<double>(answers.sum_ns) / 1e9);
    first_bytes.add(labels, bytes.count);
    first_byte_seconds.add(labels, static_cast<double>(bytes.sum_ns) / 1e9);
  }
  for (Family* family : {&handshakes, &handshake_seconds, &first_bytes, &first_byte_seconds})
    family->move_into(families);
}

}  // namespace perigee::gateway
