// The control loop on the clock: ticks it, feeds it the health checks, and carries out changes of policy one
// after the other. Everything here runs on one io_context, on one thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/change.h"
#include "gateway/control_loop.h"
#include "gateway/health_checker.h"
#include "gateway/load_poller.h"
#include "gateway/log.h"
#include "gateway/policy_file.h"
#include "router/model_list.h"
#include "steering/route.h"

namespace perigee::gateway {

// What serves routed requests by the policy and the Route (routing.h).
class Routing {
 public:
  // Makes ready for `policy` without changing anything; the errors keep it from being adopted. `access`: of
  // its endpoints, whose errors are among them.
  virtual std::vector<std::string> prepare(const std::shared_ptr<const Policy>& policy,
                                           const router::EndpointAccesses& access) = 0;
  // `policy` is in force and decided by `route`: the one prepared last, or the one before it again.
  virtual void follow(const std::shared_ptr<const Policy>& policy, const Route& route,
                      const std::vector<std::shared_ptr<const router::ModelList>>& lists) = 0;

  // The least round trip of its connections to the endpoints of `policy` lately, in that order; absent: none.
  virtual std::vector<std::optional<Nanos>> connection_rtts(const Policy& /*policy*/) { return {}; }
  // What the engine of an endpoint said just now, for the requests that come before the next follow().
  virtual void take_load(const Policy::Endpoint& /*of*/, const EngineLoad& /*load*/,
                         const EngineRate& /*rate*/) {}
  // Adds what their engines have said since in the answers to requests; `loads`: of the endpoints of
  // `policy`.
  virtual void add_reports(const Policy& /*policy*/, Instant /*now*/, std::vector<EndpointLoad>& /*loads*/) {}

 protected:
  ~Routing() = default;
};

class ControlService {
 public:
  static constexpr Nanos kAcknowledgeWithin = std::chrono::seconds(5);

  // `routing` may be null: then nothing serves the listeners of a policy.
  ControlService(boost::asio::io_context& io, ControlLoop loop, PolicyFile file, const Log& log,
                 Nanos acknowledge_within = kAcknowledgeWithin, Routing* routing = nullptr);

  // Loads the configured file and begins to tick. False: it is missing or invalid, as was logged, each error
  // with its place.
  [[nodiscard]] bool start();

  // Validates `text` (`name` is used in messages), replaces the configured file, loads it, and waits for the
  // data plane. Must run on this service's io_context.
  boost::asio::awaitable<Change> apply(std::string text, std::string name);

  // The same from the configured file as it is now.
  boost::asio::awaitable<Change> reload();

  // Decides nothing, writes no table and takes no change, until let_go(). False: a change is under way.
  [[nodiscard]] bool hold();
  void let_go();

  // Not ready from now on; deciding goes on.
  void stopping();

  [[nodiscard]] const ControlLoop& loop() const { return loop_; }
  [[nodiscard]] boost::asio::io_context& io() { return io_; }

 private:
  struct Candidate {
    std::shared_ptr<const Policy> policy;
    std::shared_ptr<const std::string> text;
    std::vector<EndpointAccess> access;
  };
  boost::asio::awaitable<void> tick_forever();
  void tick();
  boost::asio::awaitable<void> wait_for_turn();
  boost::system::result<Candidate, std::vector<std::string>> parse(std::string text, const std::string& name);
  boost::system::result<Candidate, std::vector<std::string>> from_file();
  boost::asio::awaitable<Change> change(Candidate candidate, bool replaced_file);
  boost::asio::awaitable<Change> acknowledged(std::uint64_t revision);
  Change rejected(std::vector<std::string> errors);
  std::uint64_t adopt(const Candidate& candidate);
  void ask_endpoints(const Policy& policy, std::vector<EndpointAccess> access);
  // `loaded_at`: of the policy in force, when that is not the one of this reload.
  void record_reload(bool successful, std::vector<std::string> errors,
                     std::optional<std::string> loaded_at = std::nullopt);

  boost::asio::io_context& io_;
  ControlLoop loop_;
  PolicyFile file_;
  const Log& log_;
  Routing* routing_;
  Nanos acknowledge_within_;
  HealthChecker checker_;
  LoadPoller poller_;
  std::vector<EndpointAccess> access_;  // of the policy in force
  boost::asio::steady_timer timer_;
  bool held_ = false;
  std::shared_ptr<bool> changing_ = std::make_shared<bool>(false);  // one change at a time
};

}  // namespace perigee::gateway
