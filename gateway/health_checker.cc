#include "gateway/health_checker.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>

#include "gateway/absent_models.h"
#include "gateway/jitter.h"
#include "gateway/spawned.h"
#include "router/rtt_window.h"

namespace perigee::gateway {

namespace asio = boost::asio;

namespace {

constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);
constexpr int kListingCounts = 6;      // times discover_every,
constexpr int kChecksCount = 3;        // and times the interval of checks, after which it is asked for
constexpr double kFirstWithin = 0.25;  // of the interval: soon, but not all at once

}  // namespace

struct HealthChecker::Shared {
  const Log& log;
  const Nanos discover_every;
  bool dataplane_alive = false;
  Jitter jitter{};
};

struct HealthChecker::Watch {
  Watch(const asio::any_io_executor& executor, Policy::Endpoint of, std::string pop_name)
      : endpoint(std::move(of)), pop(std::move(pop_name)), timer(executor) {}

  Policy::Endpoint endpoint;
  std::string pop;
  EndpointAccess access;
  asio::steady_timer timer;
  bool stopped = false;
  std::vector<std::string> expected;  // models
  Instant discover_at;                // next
  bool discovering = false;           // one question at a time
  std::optional<Way> way;
  EndpointHealth health;
  router::RttWindow connects;
};

HealthChecker::HealthChecker(asio::any_io_executor executor, const Log& log, Nanos discover_every)
    : executor_(std::move(executor)), shared_(std::make_shared<Shared>(Shared{log, discover_every})) {}

HealthChecker::~HealthChecker() {
  for (const auto& watch : watches_) stop(*watch);
}

void HealthChecker::stop(Watch& watch) {
  watch.stopped = true;
  watch.timer.cancel();
}

void HealthChecker::follow(const Policy& policy, const std::vector<EndpointAccess>& access) {
  std::vector<std::shared_ptr<Watch>> next;
  next.reserve(policy.endpoints.size());
  for (const Policy::Endpoint& endpoint : policy.endpoints) {
    auto fresh = std::make_shared<Watch>(executor_, endpoint, policy.pop_of(endpoint).name);
    for (const auto& old : watches_) {
      const Policy::Endpoint& was = old->endpoint;
      const bool same_place =
          was.id == endpoint.id && was.address == endpoint.address && was.port == endpoint.port;
      if (!same_place) continue;
      if (was.health == endpoint.health && was.discover == endpoint.discover &&
          was.tls.has_value() == endpoint.tls.has_value()) {
        fresh = old;  // goes on without a break
      } else if (endpoint.health.type != Policy::Health::Type::none) {
        fresh->health = old->health;
      }
    }
    if (next.size() < access.size())
      fresh->access = access[next.size()];  // also where it goes on: from its next check
    next.push_back(std::move(fresh));
  }
  std::vector<std::shared_ptr<Watch>> before = std::move(watches_);
  watches_ = std::move(next);
  for (std::size_t i = 0; i < watches_.size(); ++i) {
    Watch& watch = *watches_[i];
    if (watch.endpoint.discover.empty()) {
      watch.health.absent_models.reset();
      watch.health.models.reset();
      continue;
    }
    auto expected = expected_models(policy, i);
    if (watch.expected != expected) watch.discover_at = {};  // what it lists besides was not kept
    watch.expected = std::move(expected);
  }
  for (const auto& old : before) {
    if (std::find(watches_.begin(), watches_.end(), old) == watches_.end()) stop(*old);
  }
  for (const auto& watch_of : watches_) {
    const bool runs = std::find(before.begin(), before.end(), watch_of) != before.end();
    if (runs || watch_of->endpoint.health.type == Policy::Health::Type::none) continue;
    asio::co_spawn(executor_, watch(watch_of, shared_), kOrEnd);
  }
}

void HealthChecker::recall(const std::vector<EndpointHealth>& known) {
  for (std::size_t i = 0; i < watches_.size() && i < known.size(); ++i) {
    EndpointHealth& health = watches_[i]->health;
    if (health.last_at.never()) health = known[i];
    if (watches_[i]->endpoint.discover.empty()) {
      health.absent_models.reset();
      health.models.reset();
    } else if (!health.absent_models) {
      health.absent_models = known[i].absent_models;
      health.listed_at = known[i].listed_at;
      health.models = known[i].models;
    }
  }
}

void HealthChecker::set_dataplane_alive(bool alive) { shared_->dataplane_alive = alive; }

void HealthChecker::set_ways(const std::vector<Way>& ways) {
  for (std::size_t i = 0; i < watches_.size() && i < ways.size(); ++i) watches_[i]->way = ways[i];
}

std::vector<EndpointHealth> HealthChecker::report() const {
  const Instant now = monotonic_now();
  std::vector<EndpointHealth> report;
  report.reserve(watches_.size());
  for (const auto& watch : watches_) {
    report.push_back(watch->health);
    report.back().connection_rtt = watch->connects.least(now);
    const Nanos counts =
        std::max(kListingCounts * shared_->discover_every, kChecksCount * watch->endpoint.health.interval);
    if (now - watch->health.listed_at <= counts) continue;
    report.back().absent_models.reset();
    report.back().models.reset();
  }
  return report;
}

asio::awaitable<void> HealthChecker::watch(std::shared_ptr<Watch> watch, std::shared_ptr<Shared> shared) {
  const auto executor = co_await asio::this_coro::executor;
  const Policy::Health law = watch->endpoint.health;
  const CheckTarget target{watch->endpoint.address, watch->endpoint.port};
  watch->timer.expires_after(shared->jitter.spread(law.interval, 0, kFirstWithin));
  while (true) {
    co_await watch->timer.async_wait(kAsTuple);
    if (watch->stopped) co_return;
    // The next one is counted from this one's begin: a slow check does not thin them out.
    watch->timer.expires_after(shared->jitter.spread(law.interval, 1 - kCheckJitter, 1 + kCheckJitter));
    const bool alive_before = shared->dataplane_alive;
    const std::optional<Way> way_before = watch->way;
    auto work = check_endpoint(target, law, EndpointAccess{watch->access.tls, ""});
    CheckResult result = co_await std::move(work);
    if (watch->stopped) co_return;
    const bool counts = !way_before || !watch->way ||
                        blames_endpoint(result.finding, *way_before, *watch->way, monotonic_now());
    const bool passed = result.finding == CheckFinding::ok;
    take(*watch, *shared, std::move(result), counts && alive_before && shared->dataplane_alive);
    if (!passed || watch->endpoint.discover.empty() || monotonic_now() < watch->discover_at) continue;
    watch->discover_at = monotonic_now() + shared->discover_every;
    // Apart: a list that does not come keeps no check waiting.
    if (!std::exchange(watch->discovering, true)) asio::co_spawn(executor, discover(watch, shared), kOrEnd);
  }
}

asio::awaitable<void> HealthChecker::discover(std::shared_ptr<Watch> watch, std::shared_ptr<Shared> shared) {
  const Policy::Endpoint& endpoint = watch->endpoint;
  Policy::Health ask;
  ask.type = endpoint.tls ? Policy::Health::Type::https : Policy::Health::Type::http;
  ask.path = endpoint.discover;
  ask.timeout = endpoint.health.timeout;
  auto asking = check_endpoint({endpoint.address, endpoint.port}, ask, watch->access, true);
  const CheckResult models = co_await std::move(asking);
  watch->discovering = false;
  if (!watch->stopped) take_models(*watch, *shared, models);
}

// A list that cannot be had or read leaves what was known before.
void HealthChecker::take_models(Watch& watch, Shared& shared, const CheckResult& result) {
  if (result.finding != CheckFinding::ok) return;
  auto listed = router::read_model_list(result.body);
  if (!listed) return;
  const auto before = std::exchange(watch.health.absent_models, absent_models(*listed, watch.expected));
  watch.health.models = std::make_shared<const router::ModelList>(std::move(*listed));
  watch.health.listed_at = monotonic_now();
  if (before.value_or(std::vector<std::string>()) == *watch.health.absent_models) return;
  boost::json::array names;
  for (const std::string& name : *watch.health.absent_models) names.emplace_back(name);
  shared.log.write(names.empty() ? LogLevel::info : LogLevel::warning, "endpoint_models",
                   {{"endpoint", watch.endpoint.name}, {"pop", watch.pop}, {"absent", std::move(names)}});
}

void HealthChecker::take(Watch& watch, Shared& shared, CheckResult result, bool counts) {
  EndpointHealth& health = watch.health;
  const Instant now = monotonic_now();
  ++health.findings[static_cast<std::size_t>(result.finding)];
  const Health before = health.state.verdict;
  if (counts) health.state = observe(health.state, result.outcome(), watch.endpoint.health, now);
  if (result.connect_rtt) watch.connects.add(*result.connect_rtt, now);
  health.last = std::move(result);
  health.last_at = now;
  if (health.state.verdict == before) return;
  boost::json::object fields{{"endpoint", watch.endpoint.name},
                             {"pop", watch.pop},
                             {"from", name_of(before)},
                             {"to", name_of(health.state.verdict)},
                             {"check", kCheckFindingNames[static_cast<std::size_t>(health.last->finding)]},
                             {"detail", health.last->detail},
                             {"failures", health.state.failures},
                             {"passes", health.state.passes}};
  const bool good = health.state.verdict == Health::healthy;
  shared.log.write(good ? LogLevel::info : LogLevel::warning, "endpoint_health", fields);
}

}  // namespace perigee::gateway
