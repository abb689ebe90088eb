#include "router/router.h"

#include <algorithm>

#include "contract/directory.h"
#include "router/hedge.h"
#include "router/keys.h"
#include "router/socket_address.h"

namespace perigee::router {
namespace {

Result<std::shared_ptr<const TlsServer>> server_tls(const Policy::Listener& listener,
                                                    const std::shared_ptr<TicketKeys>& tickets) {
  if (!listener.tls) return std::shared_ptr<const TlsServer>();
  TlsServerSettings settings;
  for (const auto& files : listener.tls->certificates)
    settings.certificates.push_back({files.chain, files.key});
  settings.client_ca = listener.tls->client_ca;
  settings.client_certificate = static_cast<ClientCertificate>(listener.tls->client_certificate);
  return TlsServer::load(settings, tickets);
}

}  // namespace

Result<std::unique_ptr<Router>> Router::create(const std::vector<RecordSink*>& sinks) {
  std::unique_ptr<Router> router(new Router);
  auto tickets = TicketKeys::create(monotonic_now());
  if (!tickets) return tickets.error();
  router->tickets_ = std::move(*tickets);
  for (RecordSink* sink : sinks) {
    auto thread = RouterThread::create(router->shared_, *sink);
    if (!thread) return thread.error();
    router->threads_.push_back(std::move(*thread));
  }
  for (const auto& thread : router->threads_) thread->start();
  return router;
}

void Router::load(const Policy& policy, RouterMaterial& material, std::vector<Error>& errors) const {
  for (const Policy::Listener& listener : policy.listeners) {
    auto tls = server_tls(listener, tickets_);
    if (!tls) errors.push_back({"listeners." + listener.name + ".tls", tls.error().text()});
    material.listener_tls.push_back(tls ? std::move(*tls) : nullptr);
  }
  if (!policy.keys_file.empty()) {
    const auto keys = KeyRing::load(policy.keys_file, in_force_.material.keys.get());
    if (keys) {
      material.keys = *keys;
      for (Error& error : (*keys)->check_twins(policy)) errors.push_back(std::move(error));
    } else {
      for (Error& error : keys.error()) errors.push_back(std::move(error));
    }
  }
}

std::vector<Error> Router::prepare(const std::shared_ptr<const Policy>& policy, EndpointAccesses access,
                                   Instant now) {
  std::vector<Error> errors = std::move(access.errors);
  RouterMaterial material;
  material.endpoints = std::move(access.each);
  load(*policy, material, errors);
  if (errors.empty()) errors = open_listeners(*policy, material, now);
  if (errors.empty()) prepared_ = {policy, std::move(material)};
  return errors;
}

std::vector<Error> Router::open_listeners(const Policy& policy, const RouterMaterial& material, Instant now) {
  const auto snapshot = std::make_shared<const RouterSnapshot>(
      make_snapshot(policy, Route{}, material, learned_, snapshot_.get(), now));
  std::vector<std::shared_ptr<ConnectionLimit>> limits;
  for (const Policy::Listener& listener : policy.listeners) {
    auto& limit = limits_[listener.name];
    if (limit == nullptr) {
      limit = std::make_shared<ConnectionLimit>(listener.limits.connections,
                                                listener.limits.connections_per_source);
    }
    limits.push_back(limit);
  }
  std::vector<Error> errors;
  auto inherited = share_inherited(policy);
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    auto opened = threads_[i]->prepare(snapshot, limits, std::move(inherited[i])).get();
    if (!opened) errors.push_back(opened.error());
  }
  return errors;
}

// Every socket has a queue of its own: with fewer threads than before, some threads take several.
std::vector<std::vector<std::vector<Descriptor>>> Router::share_inherited(const Policy& policy) {
  std::vector<std::vector<std::vector<Descriptor>>> shares(threads_.size());
  for (auto& share : shares) share.resize(policy.listeners.size());
  std::vector<std::size_t> next(policy.listeners.size());
  for (Descriptor& socket : std::exchange(inherited_, {})) {
    const SocketAddress at = SocketAddress::of_socket(socket.get());
    for (std::size_t i = 0; i < policy.listeners.size(); ++i) {
      if (policy.listeners[i].address != at.address() || policy.listeners[i].port != at.port()) continue;
      shares[next[i]++ % shares.size()][i].push_back(std::move(socket));
      break;
    }
  }
  return shares;
}

std::vector<Descriptor> Router::sockets() {
  std::vector<Descriptor> out;
  for (const auto& thread : threads_)
    for (Descriptor& socket : thread->sockets().get()) out.push_back(std::move(socket));
  return out;
}

bool Router::ready_for(const std::shared_ptr<const Policy>& policy) const {
  return policy != nullptr &&
         (policy == in_force_.policy || policy == prepared_.policy || policy == before_.policy);
}

void Router::use_limits(const Policy& policy) {
  std::map<std::string, std::shared_ptr<ConnectionLimit>> limits;
  for (const Policy::Listener& listener : policy.listeners) {
    auto& limit = limits[listener.name] = limits_[listener.name];
    limit->change(listener.limits.connections, listener.limits.connections_per_source);
  }
  limits_ = std::move(limits);
}

void Router::forget(const Policy& policy, Instant now) {
  std::vector<ServiceId> pools;
  std::vector<EndpointId> endpoints;
  for (const Policy::RoutedService& service : policy.routed) {
    for (const Policy::Model& model : service.models) {
      pools.push_back(model.pool.id);
      if (model.canary) pools.push_back(model.canary->pool.id);
    }
  }
  for (const Policy::Endpoint& endpoint : policy.endpoints) endpoints.push_back(endpoint.id);
  learned_.keep(pools, endpoints, now);
}

// What requests taught since the last time.
void Router::learn(const Policy& policy, Instant now) {
  for (const auto& thread : threads_) {
    while (const auto sample = thread->samples().service.take())
      learned_.add(*sample, policy.router.service, now);
    while (const auto sample = thread->samples().tokens.take()) learned_.add(*sample);
  }
  for (std::size_t i = 0; i < snapshot_->hedges.size(); ++i)
    if (snapshot_->hedges[i] != nullptr)
      look_at_times(*snapshot_->hedges[i], *snapshot_->settings.classes[i].hedge);
}

void Router::set_gates(const Policy& policy, const RouterSnapshot& snapshot) {
  for (std::size_t i = 0; i < policy.routed.size(); ++i)
    if (const auto most = policy.routed[i].max_in_flight; most)
      snapshot.services[i].gate->change(*most, policy.routed[i].queue.size);
}

std::vector<Error> Router::publish(const std::shared_ptr<const Policy>& policy, const Route& route,
                                   Instant now, std::span<const std::shared_ptr<const ModelList>> lists) {
  std::vector<Error> errors;
  const bool changed = policy != in_force_.policy;
  if (changed) {
    const bool prepared = policy == prepared_.policy;
    Ready next = std::move(prepared ? prepared_ : before_);
    if (!prepared) errors = open_listeners(*policy, next.material, now);
    before_ = std::exchange(in_force_, std::move(next));
    use_limits(*policy);
    forget(*policy, now);
  }
  learn(*policy, now);
  prepared_ = {};
  auto snapshot = std::make_shared<RouterSnapshot>(
      make_snapshot(*policy, route, in_force_.material, learned_, snapshot_.get(), now));
  for (std::size_t i = 0; i < std::min(lists.size(), snapshot->endpoints.size()); ++i)
    snapshot->endpoints[i].models = lists[i];
  if (changed) set_gates(*policy, *snapshot);
  for (const RouterSnapshot::Endpoint& endpoint : snapshot->endpoints) {
    const EndpointRoute* judged = route.endpoint(endpoint.id);
    endpoint.counters->dead.store(judged != nullptr && judged->dead, std::memory_order_relaxed);
  }
  {
    const std::lock_guard lock(snapshot_mutex_);
    snapshot_ = std::move(snapshot);
  }
  for (const auto& thread : threads_) thread->adopt(snapshot_);
  return errors;
}

std::vector<std::optional<Nanos>> Router::connection_rtts(Instant now) const {
  std::vector<std::optional<Nanos>> out;
  for (const RouterSnapshot::Endpoint& endpoint : snapshot_->endpoints)
    out.push_back(endpoint.counters->rtt.least(now));
  return out;
}

void Router::drain() {
  for (const auto& thread : threads_) thread->drain();
}

void Router::end_drain() {
  for (const auto& thread : threads_) thread->end_drain();
}

std::shared_ptr<const RouterSnapshot> Router::snapshot_now() const {
  const std::lock_guard lock(snapshot_mutex_);
  return snapshot_;
}

ThreadCounters Router::thread_counters() {
  std::vector<std::future<ThreadCounters>> asked;
  for (const auto& thread : threads_) asked.push_back(thread->counters());
  ThreadCounters sum;
  for (auto& answer : asked) sum.add(answer.get());
  return sum;
}

std::size_t Router::connections() {
  std::size_t count = 0;
  for (const auto& thread : threads_) count += thread->connections().get();
  return count;
}

}  // namespace perigee::router
