// Asks every endpoint that has `load.metrics` for its engine's metrics, on a clock and over a connection of
// its own, so that no health check waits for it. Owned by one io_context and its one thread; the control loop
// reads report() there.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "gateway/health_check.h"
#include "gateway/log.h"
#include "gateway/snapshot.h"
#include "steering/engine_rate.h"
#include "steering/policy.h"

namespace perigee::gateway {

// Octets of a page of metrics: vLLM's is some 100 KiB.
inline constexpr std::uint32_t kMaxMetricsPage = 1U << 20U;

class LoadPoller {
 public:
  // Gets each reading as it is taken, while the poller is there.
  using Sink = std::function<void(const Policy::Endpoint&, const EngineLoad&, const EngineRate&)>;

  LoadPoller(boost::asio::any_io_executor executor, const Log& log, Sink sink);
  ~LoadPoller();  // ends all polls; the executor must still exist
  LoadPoller(const LoadPoller&) = delete;
  LoadPoller& operator=(const LoadPoller&) = delete;

  // Asks the endpoints of `policy` from now on. What was learned of one of the same name and address is kept.
  // `access`: as load_endpoint_access() read it for `policy`.
  void follow(const Policy& policy, const std::vector<EndpointAccess>& access);

  // In the order of the policy's endpoints, as of `now`.
  [[nodiscard]] std::vector<EndpointLoad> report(Instant now) const;

 private:
  struct Shared;
  struct Watch;
  static boost::asio::awaitable<void> watch(std::shared_ptr<Watch> watch, std::shared_ptr<Shared> shared);
  static boost::asio::awaitable<CheckResult> ask(Watch& watch);
  static void take(Watch& watch, const Shared& shared, CheckResult result);
  static void stop(Watch& watch);

  boost::asio::any_io_executor executor_;
  std::shared_ptr<Shared> shared_;
  std::vector<std::shared_ptr<Watch>> watches_;
};

}  // namespace perigee::gateway
