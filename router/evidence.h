// Where the records of requests go: metrics, the access log and the usage records.
#pragma once

#include <prometheus/metric_family.h>

#include <memory>
#include <string>
#include <vector>

#include "router/line_log.h"
#include "router/router_metrics.h"
#include "router/usage_spool.h"
#include "steering/policy.h"

namespace perigee::router {

class Router;

// Outlives the Router whose threads write to it.
class Evidence {
 public:
  explicit Evidence(std::size_t threads);
  ~Evidence();

  // One for each thread of the router.
  [[nodiscard]] const std::vector<RecordSink*>& sinks() const { return sinks_; }
  // As policy `router` says it; also to open the files again after they were rotated. From one thread. An
  // error leaves the one it is about as it was.
  Result<void> open(const Policy::Router& router);
  // Metrics perigee_router_* of all requests and of the router's parts as they are at `now`. From any thread,
  // while `router` is there.
  [[nodiscard]] std::vector<prometheus::MetricFamily> families(Router& router, Instant now) const;

 private:
  class Sink;

  LineLog log_;
  LineLog decisions_;
  UsageSpool usage_;
  std::vector<std::unique_ptr<ThreadMetrics>> metrics_;
  std::vector<std::unique_ptr<Sink>> owned_;
  std::vector<RecordSink*> sinks_;
};

}  // namespace perigee::router
