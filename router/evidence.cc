#include "router/evidence.h"

#include "router/access_log.h"
#include "router/breaker.h"
#include "router/hedge.h"
#include "router/metric_family.h"
#include "router/router.h"

namespace perigee::router {
namespace {

using Families = std::vector<prometheus::MetricFamily>;

void add_endpoints(const RouterSnapshot& snapshot, Instant now, Families& out) {
  Family in_flight = gauge("perigee_router_in_flight", "Requests sent to an endpoint and not over.");
  Family state =
      gauge("perigee_router_breaker_state", "1 for the state the breaker is in, 0 for the others.");
  Family opened = counter("perigee_router_breaker_opened_total", "Times a breaker opened.");
  Family refused =
      counter("perigee_router_credential_refused_total", "Times an endpoint answered 401 or 403.");
  Family attempts = counter("perigee_router_endpoint_attempts_total",
                            "Attempts at an endpoint that are over, by what they say of it.");
  for (const RouterSnapshot::Endpoint& endpoint : snapshot.endpoints) {
    const Labels labels{{"endpoint", endpoint.name}, {"pop", endpoint.pop}};
    const EndpointCounters& counters = *endpoint.counters;
    in_flight.add(labels, counters.in_flight.load(std::memory_order_relaxed));
    const BreakerState is = breaker_state(counters.breaker.load(std::memory_order_relaxed), now);
    for (const BreakerState each : {BreakerState::closed, BreakerState::open, BreakerState::half_open})
      state.add(with(labels, "state", name_of(each)), each == is ? 1U : 0U);
    opened.add(labels, counters.breaker_opened.load(std::memory_order_relaxed));
    for (std::size_t i = 0; i < counters.attempts.size(); ++i)
      attempts.add(with(labels, "result", name_of(static_cast<AttemptResult>(i))),
                   counters.attempts[i].load(std::memory_order_relaxed));
    refused.add(labels, counters.credential_refused.load(std::memory_order_relaxed));
  }
  for (Family* family : {&in_flight, &attempts, &state, &opened, &refused}) family->move_into(out);
}

// What was learned, beside the series of models.
void add_costs(const RouterSnapshot& snapshot, Families& out) {
  Family fixed =
      gauge("perigee_router_service_fixed_seconds",
            "Learned time until the first event of a request without a prompt that meets no queue.");
  Family token =
      gauge("perigee_router_service_token_seconds", "Learned time more for each token of a prompt.");
  for (const RouterSnapshot::Service& service : snapshot.services) {
    for (const RouterSnapshot::Model& model : service.models) {
      for (const RouterSnapshot::Candidate& candidate : model.pool.candidates) {
        if (candidate.refreshed.never()) continue;  // nothing of its own
        const Labels labels{{"service", service.name},
                            {"model", model.name},
                            {"endpoint", snapshot.endpoints[candidate.endpoint].name}};
        fixed.add(labels, static_cast<double>(candidate.service.fixed.count()) / 1e9);
        token.add(labels, candidate.service.ns_per_token / 1e9);
      }
    }
  }
  for (Family* family : {&fixed, &token}) family->move_into(out);
}

void add_gates(const RouterSnapshot& snapshot, Families& out) {
  Family in_flight =
      gauge("perigee_router_service_in_flight", "Requests that have a place, of a service that limits them.");
  Family depth = gauge("perigee_router_queue_depth", "Requests that wait for a place.");
  Family sheds = counter("perigee_router_sheds_total", "Requests that got no place, by why.");
  for (const RouterSnapshot::Service& service : snapshot.services) {
    if (service.gate == nullptr) continue;
    const Labels labels{{"service", service.name}};
    in_flight.add(labels, service.gate->in_flight());
    const auto depths = service.gate->depths();
    for (std::size_t i = 0; i < kPriorities; ++i)
      depth.add(with(labels, "priority", std::string(name_of(static_cast<Priority>(i)))), depths[i]);
    for (std::size_t i = 0; i < static_cast<std::size_t>(Shed::count_); ++i)
      sheds.add(with(labels, "reason", std::string(name_of(static_cast<Shed>(i)))),
                service.gate->sheds(static_cast<Shed>(i)));
  }
  for (Family* family : {&in_flight, &depth, &sheds}) family->move_into(out);
}

// Of each class that may have them, from the start.
void add_hedges(const RouterSnapshot& snapshot, Families& out) {
  Family hedges = counter("perigee_router_hedges_total", "Second attempts beside a first one, by their end.");
  Family refusals = counter("perigee_router_hedges_refused_total",
                            "Requests that took long and got no second attempt, by why.");
  Family after = gauge("perigee_router_hedge_after_seconds",
                       "When a second attempt may go: what 95 of 100 first events of late took less than.");
  for (std::size_t i = 0; i < snapshot.hedges.size(); ++i) {
    if (snapshot.hedges[i] == nullptr) continue;
    const HedgeCounters& of = *snapshot.hedges[i];
    const Labels labels{{"class", snapshot.settings.classes[i].name}};
    for (std::size_t end = 0; end < of.ends.size(); ++end)
      hedges.add(with(labels, "result", std::string(name_of(static_cast<HedgeEnd>(end)))),
                 of.ends[end].load(std::memory_order_relaxed));
    for (std::size_t reason = 0; reason < of.refusals.size(); ++reason)
      refusals.add(with(labels, "reason", std::string(name_of(static_cast<HedgeRefusal>(reason)))),
                   of.refusals[reason].load(std::memory_order_relaxed));
    for (const HedgeKind kind : {HedgeKind::stream, HedgeKind::embeddings})
      if (const auto known = hedge_after(of, kind))
        after.add(with(labels, "kind", std::string(name_of(kind))),
                  static_cast<double>(known->count()) / 1e9);
  }
  for (Family* family : {&hedges, &refusals, &after}) family->move_into(out);
}

void add_threads(const ThreadCounters& counters, Families& out) {
  Family clients = gauge("perigee_router_connections", "Connections of clients.");
  clients.add({}, counters.connections);
  Family greeting =
      gauge("perigee_router_greetings", "Connections whose PROXY header or handshake is under way.");
  greeting.add({}, counters.greeting);
  Family idle = gauge("perigee_router_pool_idle", "Warm connections to endpoints.");
  idle.add({}, counters.idle);
  Family pool = counter("perigee_router_pool_total", "Connections to endpoints, by what became of them.");
  for (const auto& [event, count] :
       {std::pair("reused", counters.pool.reused), std::pair("opened", counters.pool.opened),
        std::pair("closed_by_endpoint", counters.pool.closed_by_endpoint),
        std::pair("closed_idle", counters.pool.closed_idle),
        std::pair("closed_full", counters.pool.closed_full)})
    pool.add({{"event", event}}, count);
  Family listener =
      counter("perigee_router_listener_total", "Connections at a listener, by what became of them.");
  for (const auto& [name, of] : counters.listeners)
    for (const auto& [event, count] :
         {std::pair("accepted", of.accepted), std::pair("over_limit", of.over_limit),
          std::pair("over_source_limit", of.over_source_limit), std::pair("proxy_refused", of.proxy_refused),
          std::pair("greeting_late", of.greeting_late), std::pair("silent_dropped", of.silent_dropped),
          std::pair("handshake_failed", of.handshake_failed),
          std::pair("out_of_descriptors", of.out_of_descriptors)})
      listener.add({{"listener", name}, {"event", event}}, count);
  for (Family* family : {&clients, &greeting, &idle, &pool, &listener}) family->move_into(out);
}

void add_process(const SharedCounters& shared, std::uint64_t lost_lines, std::uint64_t lost_decisions,
                 std::uint64_t lost_records, Families& out) {
  Family active = gauge("perigee_router_active_requests", "Requests of clients that are not over.");
  active.add({}, shared.retries.active.load(std::memory_order_relaxed));
  Family retrying =
      gauge("perigee_router_retrying_requests", "Of these, those in a second or later attempt.");
  retrying.add({}, shared.retries.retrying.load(std::memory_order_relaxed));
  Family held = gauge("perigee_router_held_octets", "Octets of request bodies that are held.");
  held.add({}, shared.held.now.load(std::memory_order_relaxed));
  Family log = counter("perigee_router_access_log_lost_total", "Lines that the access log lost.");
  log.add({}, lost_lines);
  Family decisions = counter("perigee_router_decision_log_lost_total", "Lines that the decision log lost.");
  decisions.add({}, lost_decisions);
  Family usage = counter("perigee_router_usage_records_lost_total", "Usage records that are in no file.");
  usage.add({}, lost_records);
  for (Family* family : {&active, &retrying, &held, &log, &decisions, &usage}) family->move_into(out);
}

}  // namespace

class Evidence::Sink final : public RecordSink {
 public:
  Sink(LineLog& log, LineLog& decisions, UsageSpool& usage, ThreadMetrics& metrics, std::size_t thread)
      : log_(log), decisions_(decisions), usage_(usage), metrics_(metrics), thread_(thread) {}

  StreamSeries* begin_stream(const RequestRecord& record, Nanos first_event) override {
    return &metrics_.begin_stream(record, first_event);
  }
  void take(const RequestRecord& record) override {
    metrics_.take(record);
    log_.take(thread_, [&](std::string& out) { append_access_line(out, record); });
    usage_.take(thread_, record);
  }

  [[nodiscard]] bool wants_decisions() const override { return decisions_.on(); }
  void decided(const DecisionRecord& record) override {
    decisions_.take(thread_, [&](std::string& out) { append_line(out, record); });
  }

 private:
  LineLog& log_;
  LineLog& decisions_;
  UsageSpool& usage_;
  ThreadMetrics& metrics_;
  const std::size_t thread_;
};

Evidence::Evidence(std::size_t threads) : log_(threads), decisions_(threads), usage_(threads) {
  for (std::size_t i = 0; i < threads; ++i) {
    metrics_.push_back(std::make_unique<ThreadMetrics>());
    owned_.push_back(std::make_unique<Sink>(log_, decisions_, usage_, *metrics_.back(), i));
    sinks_.push_back(owned_.back().get());
  }
}

Evidence::~Evidence() = default;

Result<void> Evidence::open(const Policy::Router& router) {
  if (auto opened = log_.open(router.access_log); !opened) return opened;
  if (auto opened = decisions_.open(router.decision_log); !opened) return opened;
  return usage_.open(router.usage_records);
}

std::vector<prometheus::MetricFamily> Evidence::families(Router& router, Instant now) const {
  std::vector<prometheus::MetricFamily> out = request_families(metrics_);
  add_endpoints(*router.snapshot_now(), now, out);
  add_gates(*router.snapshot_now(), out);
  add_costs(*router.snapshot_now(), out);
  add_hedges(*router.snapshot_now(), out);
  add_threads(router.thread_counters(), out);
  add_process(router.counters(), log_.lost(), decisions_.lost(), usage_.lost(), out);
  return out;
}

}  // namespace perigee::router
