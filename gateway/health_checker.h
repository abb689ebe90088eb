// Checks every endpoint of the policy on its own clock and keeps what they said. Those with `discover` are
// asked for their models too, after a check that passed. Owned by one io_context and its one thread; the
// control loop reads report() there.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <vector>

#include "gateway/health_check.h"
#include "gateway/log.h"
#include "gateway/snapshot.h"
#include "gateway/way.h"
#include "steering/policy.h"

namespace perigee::gateway {

class HealthChecker {
 public:
  // `discover_every`: between two questions for the models of an endpoint. What it said counts for six times
  // as long after the last answer: a few misses say nothing, and what nobody can verify is as declared.
  HealthChecker(boost::asio::any_io_executor executor, const Log& log,
                Nanos discover_every = std::chrono::seconds(10));
  ~HealthChecker();  // cancels all checks; the executor must still exist
  HealthChecker(const HealthChecker&) = delete;
  HealthChecker& operator=(const HealthChecker&) = delete;

  // Checks the endpoints of `policy` from now on. An endpoint of the same name and address keeps what is
  // known of it; others begin as unknown. `access`: as load_endpoint_access() read it for `policy`.
  void follow(const Policy& policy, const std::vector<EndpointAccess>& access);

  // What report() said before endpoints went with one policy and came back with the next: those that were not
  // checked since take it up. In the order of the policy's endpoints.
  void recall(const std::vector<EndpointHealth>& known);

  // Checks take the way through the data plane: while it is not alive they are made and shown, but say
  // nothing about endpoints, so they do not count. It begins as not alive.
  void set_dataplane_alive(bool alive);

  // The ways to the policy's endpoints, in its order, as they are now: see blames_endpoint(). Before the
  // first call every failed check counts.
  void set_ways(const std::vector<Way>& ways);

  // In the order of the policy's endpoints.
  [[nodiscard]] std::vector<EndpointHealth> report() const;

 private:
  struct Shared;
  struct Watch;
  static boost::asio::awaitable<void> watch(std::shared_ptr<Watch> watch, std::shared_ptr<Shared> shared);
  static boost::asio::awaitable<void> discover(std::shared_ptr<Watch> watch, std::shared_ptr<Shared> shared);
  static void take(Watch& watch, Shared& shared, CheckResult result, bool counts);
  static void take_models(Watch& watch, Shared& shared, const CheckResult& result);
  void stop(Watch& watch);

  boost::asio::any_io_executor executor_;
  std::shared_ptr<Shared> shared_;
  std::vector<std::shared_ptr<Watch>> watches_;
};

}  // namespace perigee::gateway
