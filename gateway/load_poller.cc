#include "gateway/load_poller.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "gateway/jitter.h"
#include "gateway/spawned.h"

namespace perigee::gateway {

namespace asio = boost::asio;

namespace {

using namespace std::chrono_literals;

constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);
constexpr double kJitter = 0.1;  // of the interval, either way
// For one poll: a new connection with TLS over the longest link takes four round trips, and a page that comes
// later than this is no news.
constexpr Nanos kLeastTime = 1s;
constexpr Nanos kMostTime = 5s;
constexpr std::uint32_t kFailuresSaid = 3;  // in a row: its load is unknown by then

}  // namespace

struct LoadPoller::Shared {
  const Log& log;
  Sink sink;
  Jitter jitter{};
};

struct LoadPoller::Watch {
  Watch(const asio::any_io_executor& executor, Policy::Endpoint of, std::string pop_name)
      : endpoint(std::move(of)), pop(std::move(pop_name)), timer(executor) {}

  [[nodiscard]] bool asks() const { return !endpoint.load.metrics.empty(); }

  Policy::Endpoint endpoint;
  std::string pop;
  EndpointAccess access;
  asio::steady_timer timer;
  bool stopped = false;
  std::optional<EndpointConnection> connection;
  std::shared_ptr<const router::TlsClient> connected_by;
  std::uint32_t failures = 0;  // in a row
  EndpointLoad state;
  EngineRate rate;
};

LoadPoller::LoadPoller(asio::any_io_executor executor, const Log& log, Sink sink)
    : executor_(std::move(executor)), shared_(std::make_shared<Shared>(Shared{log, std::move(sink)})) {}

LoadPoller::~LoadPoller() {
  for (const auto& watch : watches_) stop(*watch);
}

void LoadPoller::stop(Watch& watch) {
  watch.stopped = true;
  watch.timer.cancel();
  if (watch.connection) watch.connection->close();
}

void LoadPoller::follow(const Policy& policy, const std::vector<EndpointAccess>& access) {
  std::vector<std::shared_ptr<Watch>> before = std::move(watches_);
  watches_.clear();
  for (const Policy::Endpoint& endpoint : policy.endpoints) {
    auto fresh = std::make_shared<Watch>(executor_, endpoint, policy.pop_of(endpoint).name);
    bool runs = !fresh->asks();
    for (auto& old : before) {
      if (old == nullptr || !fresh->asks()) continue;
      const Policy::Endpoint& was = old->endpoint;
      if (was.id != endpoint.id || was.address != endpoint.address || was.port != endpoint.port) continue;
      if (was.load == endpoint.load && was.tls.has_value() == endpoint.tls.has_value()) {
        fresh = std::exchange(old, nullptr);  // goes on without a break
        runs = true;
      } else {
        fresh->state = old->state;
        fresh->rate = old->rate;
      }
      break;
    }
    if (watches_.size() < access.size()) fresh->access = access[watches_.size()];
    watches_.push_back(fresh);
    if (!runs) asio::co_spawn(executor_, watch(fresh, shared_), kOrEnd);
  }
  for (const auto& old : before)
    if (old != nullptr) stop(*old);
}

std::vector<EndpointLoad> LoadPoller::report(Instant now) const {
  std::vector<EndpointLoad> report;
  report.reserve(watches_.size());
  for (const auto& watch : watches_) {
    report.push_back(watch->state);
    if (fresh_load(watch->endpoint, watch->state, now) == nullptr) report.back().load.reset();
  }
  return report;
}

asio::awaitable<void> LoadPoller::watch(std::shared_ptr<Watch> watch, std::shared_ptr<Shared> shared) {
  const Nanos interval = watch->endpoint.load.interval;
  watch->timer.expires_after(shared->jitter.spread(interval, 0, 1));
  while (true) {
    co_await watch->timer.async_wait(kAsTuple);
    if (watch->stopped) co_return;
    // The next one is counted from this one's begin; one that is slower is asked one after the other.
    watch->timer.expires_after(shared->jitter.spread(interval, 1 - kJitter, 1 + kJitter));
    auto asking = ask(*watch);
    CheckResult result = co_await std::move(asking);
    if (watch->stopped) co_return;
    take(*watch, *shared, std::move(result));
  }
}

asio::awaitable<CheckResult> LoadPoller::ask(Watch& watch) {
  const Policy::Endpoint& endpoint = watch.endpoint;
  const Nanos limit = std::clamp(endpoint.load.interval, kLeastTime, kMostTime);
  EndpointConnection::Question question;
  question.path = endpoint.load.metrics;
  // Another port of its address is another server.
  const std::uint16_t port = endpoint.load.port == 0 ? endpoint.port : endpoint.load.port;
  if (port == endpoint.port) question.authorization = watch.access.authorization;
  question.want_body = true;
  question.max_body = kMaxMetricsPage;
  question.keep = true;
  CheckResult result;
  if (watch.connection && watch.connected_by == watch.access.tls) {
    watch.connection->expires_after(limit);
    co_await watch.connection->get(question, result);
  }
  // A kept one may have been closed since, which says nothing of the endpoint.
  const bool again =
      !watch.connection || watch.connected_by != watch.access.tls || result.finding == CheckFinding::reset;
  if (again && !watch.stopped) {
    result = {};
    watch.connected_by = watch.access.tls;
    watch.connection.emplace(watch.timer.get_executor(), CheckTarget{endpoint.address, port},
                             ConnectionTls{endpoint.tls.has_value(), watch.access.tls});
    watch.connection->expires_after(limit);
    co_await watch.connection->open(result);
    if (result.finding == CheckFinding::ok) co_await watch.connection->get(question, result);
  }
  if (!watch.connection->kept()) watch.connection.reset();
  co_return result;
}

void LoadPoller::take(Watch& watch, const Shared& shared, CheckResult result) {
  EndpointLoad& state = watch.state;
  if (result.finding == CheckFinding::ok) {
    if (auto load = read_engine_metrics(result.body, monotonic_now())) {
      watch.rate.take(*load);
      state.prefill_rate = watch.rate.prefill_rate();
      state.prompt_tokens = watch.rate.prompt_tokens();
      shared.sink(watch.endpoint, *load, watch.rate);
      state.load = load;
    } else {
      result.finding = CheckFinding::bad_body;
      result.detail = "no metric of a known engine is in it";
    }
  }
  ++state.polls[static_cast<std::size_t>(result.finding)];
  const bool failed = result.finding != CheckFinding::ok;
  const std::uint32_t before = std::exchange(watch.failures, failed ? watch.failures + 1 : 0);
  if (failed ? watch.failures != kFailuresSaid : before < kFailuresSaid) return;
  shared.log.write(failed ? LogLevel::warning : LogLevel::info, "endpoint_load",
                   {{"endpoint", watch.endpoint.name},
                    {"pop", watch.pop},
                    {"poll", kCheckFindingNames[static_cast<std::size_t>(result.finding)]},
                    {"detail", result.detail}});
}

}  // namespace perigee::gateway
