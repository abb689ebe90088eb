// The request router as the control loop sees it: started by the first policy with listeners, told of every
// change, drained before the process ends.
#pragma once

#include <prometheus/metric_family.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gateway/control_service.h"
#include "gateway/log.h"
#include "router/evidence.h"
#include "router/router.h"

namespace perigee::gateway {

class RouterRouting final : public Routing {
 public:
  // `inherited`: listening sockets of the process before.
  explicit RouterRouting(const Log& log, std::vector<Descriptor> inherited = {})
      : log_(log), inherited_(std::move(inherited)) {}

  // The number of threads is that of the first policy with listeners, until a restart.
  std::vector<std::string> prepare(const std::shared_ptr<const Policy>& policy,
                                   const router::EndpointAccesses& access) override;
  void follow(const std::shared_ptr<const Policy>& policy, const Route& route,
              const std::vector<std::shared_ptr<const router::ModelList>>& lists) override;

  std::vector<std::optional<Nanos>> connection_rtts(const Policy& policy) override;
  void take_load(const Policy::Endpoint& of, const EngineLoad& load, const EngineRate& rate) override;
  void add_reports(const Policy& policy, Instant now, std::vector<EndpointLoad>& loads) override;

  // Copies of the listening sockets, for the next process.
  [[nodiscard]] std::vector<Descriptor> sockets();

  // Takes no more connections; those there are close after the request they serve.
  void drain();
  // What still runs ends, with an error in its own form.
  void end_drain();
  [[nodiscard]] std::size_t connections();
  [[nodiscard]] Nanos drain_deadline() const { return drain_deadline_; }

  // What it decides by now; null: there is none. From any thread.
  [[nodiscard]] std::shared_ptr<const router::RouterSnapshot> snapshot();
  // Of the router, for /metrics; from any thread. Empty while there is none.
  [[nodiscard]] std::vector<prometheus::MetricFamily> families();

 private:
  std::vector<std::string> open_log(const std::shared_ptr<const Policy>& policy);

  const Log& log_;
  std::vector<Descriptor> inherited_;
  Nanos drain_deadline_{};
  std::shared_ptr<const Policy> followed_;
  std::shared_ptr<const Policy> log_of_;  // whose access log is open
  std::mutex mutex_;  // of the pointers: the control thread starts the router, the admin thread reads it
  std::unique_ptr<router::Evidence> evidence_;
  std::unique_ptr<router::Router> router_;  // after what it writes to
};

}  // namespace perigee::gateway
