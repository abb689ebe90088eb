#include "gateway/routing.h"

#include <algorithm>
#include <thread>

namespace perigee::gateway {

std::vector<std::string> RouterRouting::prepare(const Policy& policy) {
  if (router_ == nullptr) {
    if (policy.listeners.empty()) return {};
    const std::size_t threads =
        std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, policy.router.threads);
    auto evidence = std::make_unique<router::Evidence>(threads);
    auto router = router::Router::create(evidence->sinks());
    if (!router) return {router.error().text()};
    const std::lock_guard lock(mutex_);
    evidence_ = std::move(evidence);
    router_ = std::move(*router);
  }
  std::vector<std::string> errors;
  for (const Error& error : router_->prepare(policy, Route{}, monotonic_now()))
    errors.push_back(error.text());
  if (errors.empty()) {
    if (auto opened = evidence_->open(policy.router); !opened) errors.push_back(opened.error().text());
  }
  return errors;
}

void RouterRouting::follow(const Policy& policy, const Route& route) {
  drain_deadline_ = policy.router.drain_deadline;
  if (router_ != nullptr) router_->publish(policy, route, monotonic_now());
}

void RouterRouting::drain() {
  if (router_ == nullptr) return;
  log_.write(LogLevel::info, "router_draining", {{"connections", router_->connections()}});
  router_->drain();
}

void RouterRouting::end_drain() {
  if (router_ != nullptr) router_->end_drain();
}

std::size_t RouterRouting::connections() { return router_ == nullptr ? 0 : router_->connections(); }

std::vector<prometheus::MetricFamily> RouterRouting::families() {
  const std::lock_guard lock(mutex_);
  if (router_ == nullptr) return {};
  return evidence_->families(*router_, monotonic_now());
}

}  // namespace perigee::gateway
