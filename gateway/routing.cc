#include "gateway/routing.h"

#include <algorithm>
#include <thread>

#include "router/engine_reading.h"

namespace perigee::gateway {

std::vector<std::string> RouterRouting::prepare(const std::shared_ptr<const Policy>& policy,
                                                const router::EndpointAccesses& access) {
  std::vector<std::string> errors;
  if (router_ == nullptr) {
    if (policy->listeners.empty()) {
      for (const Error& error : access.errors) errors.push_back(error.text());
      return errors;
    }
    const std::size_t threads =
        std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, policy->router.threads);
    auto evidence = std::make_unique<router::Evidence>(threads);
    auto router = router::Router::create(evidence->sinks());
    if (!router) return {router.error().text()};
    (*router)->inherit(std::move(inherited_));
    const std::lock_guard lock(mutex_);
    evidence_ = std::move(evidence);
    router_ = std::move(*router);
  }
  errors = open_log(policy);
  for (const Error& error : router_->prepare(policy, access, monotonic_now())) errors.push_back(error.text());
  return errors;
}

// Also anew, as it may have been rotated.
std::vector<std::string> RouterRouting::open_log(const std::shared_ptr<const Policy>& policy) {
  log_of_ = policy;
  if (auto opened = evidence_->open(policy->router); !opened) return {opened.error().text()};
  return {};
}

void RouterRouting::follow(const std::shared_ptr<const Policy>& policy, const Route& route,
                           const std::vector<std::shared_ptr<const router::ModelList>>& lists) {
  if (router_ == nullptr) return;
  std::vector<std::string> errors;
  if (policy != followed_ && !router_->ready_for(policy))
    errors = prepare(policy, router::load_endpoint_access(*policy));
  if (log_of_ != policy) errors = open_log(policy);  // what was prepared last was not put in force
  followed_ = policy;
  drain_deadline_ = policy->router.drain_deadline;
  // Should even what was in force before not be there any more, the router goes on by what it has.
  if (router_->ready_for(policy)) {
    for (const Error& error : router_->publish(policy, route, monotonic_now(), lists))
      errors.push_back(error.text());
  }
  for (const std::string& error : errors) log_.write(LogLevel::error, "router_error", {{"error", error}});
}

std::vector<std::optional<Nanos>> RouterRouting::connection_rtts(const Policy& policy) {
  if (router_ == nullptr) return {};
  const auto& endpoints = router_->snapshot()->endpoints;
  std::vector<std::optional<Nanos>> out = router_->connection_rtts(monotonic_now());
  out.resize(policy.endpoints.size());
  for (std::size_t i = 0; i < out.size(); ++i)  // of the policy before, until the new one is published
    if (i >= endpoints.size() || endpoints[i].id != policy.endpoints[i].id) out[i].reset();
  return out;
}

void RouterRouting::take_load(const Policy::Endpoint& of, const EngineLoad& load, const EngineRate& rate) {
  if (router_ == nullptr) return;
  const auto& endpoints = router_->snapshot()->endpoints;
  const auto found = std::ranges::find_if(endpoints, [&](const router::RouterSnapshot::Endpoint& each) {
    return each.id == of.id && each.target.address == of.address && each.target.port == of.port;
  });
  if (found == endpoints.end()) return;
  router::publish(load, rate, of.load.counts(), found->counters->engine);
  router::mark_sent(*found->counters);
}

void RouterRouting::add_reports(const Policy& policy, Instant now, std::vector<EndpointLoad>& loads) {
  if (router_ == nullptr) return;
  const auto& endpoints = router_->snapshot()->endpoints;
  for (std::size_t i = 0; i < loads.size() && i < endpoints.size(); ++i)
    if (policy.endpoints[i].load.orca && policy.endpoints[i].id == endpoints[i].id)
      router::add_reports(endpoints[i].counters->engine, now, loads[i].load);
}

void RouterRouting::drain() {
  if (router_ == nullptr) return;
  log_.write(LogLevel::info, "router_draining", {{"connections", router_->connections()}});
  router_->drain();
}

std::vector<Descriptor> RouterRouting::sockets() {
  return router_ == nullptr ? std::vector<Descriptor>() : router_->sockets();
}

void RouterRouting::end_drain() {
  if (router_ != nullptr) router_->end_drain();
}

std::size_t RouterRouting::connections() { return router_ == nullptr ? 0 : router_->connections(); }

std::shared_ptr<const router::RouterSnapshot> RouterRouting::snapshot() {
  const std::lock_guard lock(mutex_);
  return router_ == nullptr ? nullptr : router_->snapshot_now();
}

std::vector<prometheus::MetricFamily> RouterRouting::families() {
  const std::lock_guard lock(mutex_);
  if (router_ == nullptr) return {};
  return evidence_->families(*router_, monotonic_now());
}

}  // namespace perigee::gateway
