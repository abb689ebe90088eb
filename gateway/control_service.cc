#include "gateway/control_service.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <random>
#include <utility>

#include "gateway/spawned.h"
#include "steering/policy_yaml.h"

namespace perigee::gateway {

namespace asio = boost::asio;

namespace {

constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds kLook{10};  // while waiting for the data plane or for another change

// Sets a flag for as long as a change is under way. Shared: the coroutine that holds it may outlive the
// service.
class Turn {
 public:
  explicit Turn(std::shared_ptr<bool> taken) : taken_(std::move(taken)) { *taken_ = true; }
  ~Turn() { *taken_ = false; }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  std::shared_ptr<bool> taken_;
};

}  // namespace

ControlService::ControlService(asio::io_context& io, ControlLoop loop, PolicyFile file, const Log& log,
                               Nanos acknowledge_within, Routing* routing)
    : io_(io),
      loop_(std::move(loop)),
      file_(std::move(file)),
      log_(log),
      routing_(routing),
      acknowledge_within_(acknowledge_within),
      checker_(io.get_executor(), log),
      poller_(io.get_executor(), log,
              [routing](const Policy::Endpoint& of, const EngineLoad& load, const EngineRate& rate) {
                if (routing != nullptr) routing->take_load(of, load, rate);
              }),
      timer_(io) {}

bool ControlService::start() {
  PolicyStatus status;
  status.file = file_.path();
  loop_.set_policy_status(status);
  auto candidate = from_file();
  if (!candidate) {
    rejected(candidate.error());
    return false;
  }
  adopt(*candidate);
  record_reload(true, {});
  tick();
  asio::co_spawn(io_, tick_forever(), kOrEnd);
  return true;
}

asio::awaitable<void> ControlService::tick_forever() {
  // A phase of its own, so that gateways that were started together do not move together.
  std::uniform_real_distribution<double> phase(0, 1);
  std::random_device random;
  auto due = std::chrono::steady_clock::now() +
             std::chrono::duration_cast<Nanos>(loop_.policy()->steering.tick * (phase(random) - 1));
  while (true) {
    due += loop_.policy()->steering.tick;
    const auto now = std::chrono::steady_clock::now();
    if (due < now) due = now;  // after a stall, ticks are not made up for
    timer_.expires_at(due);
    co_await timer_.async_wait(kAsTuple);
    tick();
  }
}

bool ControlService::hold() {
  if (*changing_) return false;
  *changing_ = held_ = true;
  return true;
}

void ControlService::let_go() { *changing_ = held_ = false; }

void ControlService::tick() {
  if (held_) return;
  std::vector<EndpointHealth> health = checker_.report();
  std::vector<EndpointLoad> loads = poller_.report(monotonic_now());
  if (routing_ != nullptr) routing_->add_reports(*loop_.policy(), monotonic_now(), loads);
  for (std::size_t i = 0; i < loads.size() && i < health.size(); ++i) health[i].load = loads[i];
  if (routing_ != nullptr) {
    const auto rtts = routing_->connection_rtts(*loop_.policy());
    for (std::size_t i = 0; i < rtts.size() && i < health.size(); ++i)
      if (rtts[i]) health[i].connection_rtt = std::min(health[i].connection_rtt.value_or(*rtts[i]), *rtts[i]);
  }
  std::vector<std::shared_ptr<const router::ModelList>> lists;
  lists.reserve(health.size());
  for (const EndpointHealth& each : health) lists.push_back(each.models);
  loop_.tick(monotonic_now(), std::move(health),
             std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()));
  checker_.set_dataplane_alive(loop_.dataplane_alive());
  checker_.set_ways(ways_to_endpoints(*loop_.policy(), loop_.telemetry()));
  if (routing_ != nullptr) routing_->follow(loop_.policy(), *loop_.decided(), lists);
}

void ControlService::stopping() {
  loop_.set_stopping();
  tick();
}

asio::awaitable<void> ControlService::wait_for_turn() {
  asio::steady_timer timer(io_);
  while (*changing_) {
    timer.expires_after(kLook);
    co_await timer.async_wait(kAsTuple);
  }
}

boost::system::result<ControlService::Candidate, std::vector<std::string>> ControlService::parse(
    std::string text, const std::string& name) {
  auto parsed = parse_policy(text, name);
  if (!parsed) {
    std::vector<std::string> errors;
    for (const Error& error : parsed.error()) errors.push_back(error.text());
    return errors;
  }
  auto policy = std::make_shared<const Policy>(std::move(*parsed));
  router::EndpointAccesses access = router::load_endpoint_access(*policy);
  std::vector<std::string> errors;
  if (routing_ != nullptr)  // last: it opens new listeners
    errors = routing_->prepare(policy, access);
  else
    for (const Error& error : access.errors) errors.push_back(error.text());
  if (!errors.empty()) return errors;
  return Candidate{std::move(policy), std::make_shared<const std::string>(std::move(text)),
                   std::move(access.each)};
}

boost::system::result<ControlService::Candidate, std::vector<std::string>> ControlService::from_file() {
  auto text = file_.read();
  if (!text) return std::vector{text.error().text()};
  return parse(std::move(*text), file_.path());
}

asio::awaitable<Change> ControlService::apply(std::string text, std::string name) {
  co_await wait_for_turn();
  const Turn turn(changing_);
  auto candidate = parse(std::move(text), name);
  if (!candidate) co_return rejected(candidate.error());
  if (auto replaced = file_.replace(*candidate->text); !replaced) {
    co_return rejected({replaced.error().text()});
  }
  auto work = change(std::move(*candidate), true);
  co_return co_await std::move(work);
}

asio::awaitable<Change> ControlService::reload() {
  co_await wait_for_turn();
  const Turn turn(changing_);
  auto candidate = from_file();
  if (!candidate) co_return rejected(candidate.error());
  auto work = change(std::move(*candidate), false);
  co_return co_await std::move(work);
}

asio::awaitable<Change> ControlService::change(Candidate candidate, bool replaced_file) {
  const ControlLoop::InForce before = loop_.in_force();
  const std::vector<EndpointAccess> access_before = access_;
  const std::vector<EndpointHealth> known = checker_.report();
  if (!(before.policy->admin == candidate.policy->admin)) {
    log_.write(LogLevel::warning, "admin_addresses_need_restart");
  }
  const std::string loaded_before = loop_.policy_status().loaded_at;
  const std::uint64_t revision = adopt(candidate);
  record_reload(true, {});
  Change outcome = co_await acknowledged(revision);
  if (outcome.result != ChangeResult::refused) co_return outcome;

  ask_endpoints(*before.policy, access_before);
  checker_.recall(known);
  loop_.put_back(before);
  if (replaced_file) {
    if (auto back = file_.put_back(); !back) outcome.errors.push_back(back.error().text());
  }
  std::vector<std::string> errors = outcome.errors;
  errors.insert(errors.begin(), outcome.reason);
  record_reload(false, std::move(errors), loaded_before);
  co_return outcome;
}

// Watches the table's way until the data plane has judged one that was compiled from `revision`. The ticks go
// on as ever: more of them would shorten the dwell of steering.
asio::awaitable<Change> ControlService::acknowledged(std::uint64_t revision) {
  const Instant deadline = monotonic_now() + acknowledge_within_;
  asio::steady_timer timer(io_);
  while (true) {
    const auto& table = loop_.table();
    const std::uint64_t generation = table ? table->identity.generation : 0;
    if (table && table->policy_revision == revision) {
      if (table->state == TableState::in_force) co_return Change{ChangeResult::accepted, generation, "", {}};
      if (table->state == TableState::refused) {
        co_return Change{
            ChangeResult::refused, generation, "the data plane refused the table: " + table->reason, {}};
      }
      if (table->state == TableState::no_dataplane) {
        co_return Change{ChangeResult::no_dataplane, generation, "no data plane is running", {}};
      }
    }
    if (!loop_.table_error().empty()) {
      co_return Change{
          ChangeResult::refused, generation, "the table cannot be published: " + loop_.table_error(), {}};
    }
    if (monotonic_now() >= deadline) {
      co_return Change{
          ChangeResult::no_dataplane, generation, "the data plane did not acknowledge the table in time", {}};
    }
    timer.expires_after(kLook);
    co_await timer.async_wait(kAsTuple);
  }
}

Change ControlService::rejected(std::vector<std::string> errors) {
  record_reload(false, errors);
  return Change{ChangeResult::invalid, loop_.table() ? loop_.table()->identity.generation : 0,
                "the policy is invalid; nothing was changed", std::move(errors)};
}

void ControlService::ask_endpoints(const Policy& policy, std::vector<EndpointAccess> access) {
  access_ = std::move(access);
  checker_.follow(policy, access_);
  poller_.follow(policy, access_);
}

std::uint64_t ControlService::adopt(const Candidate& candidate) {
  ask_endpoints(*candidate.policy, candidate.access);
  return loop_.adopt(candidate.policy, candidate.text, monotonic_now());
}

void ControlService::record_reload(bool successful, std::vector<std::string> errors,
                                   std::optional<std::string> loaded_at) {
  PolicyStatus status = loop_.policy_status();
  status.last_reload_successful = successful;
  status.last_reload_at = wall_clock_now();
  if (successful) status.loaded_at = status.last_reload_at;
  if (loaded_at) status.loaded_at = *loaded_at;
  for (const std::string& error : errors) log_.write(LogLevel::error, "policy_error", {{"error", error}});
  status.errors = std::move(errors);
  loop_.set_policy_status(std::move(status));
  log_.write(
      successful ? LogLevel::info : LogLevel::error, "policy_reload",
      {{"file", file_.path()}, {"successful", successful}, {"errors", loop_.policy_status().errors.size()}});
}

}  // namespace perigee::gateway
