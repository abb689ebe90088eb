// What Prometheus sees, made from the snapshot at scrape time. Counters and histograms of whatever the policy
// has exist at 0 from the start and go with it; what is unknown or stale is absent, never 0.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "contract/units.h"
#include "gateway/snapshot.h"

namespace perigee::gateway {

// Prometheus 3 refuses a scrape without the version.
inline constexpr const char* kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

class Metrics : public prometheus::Collectable {
 public:
  // What other parts have to add at each scrape.
  using More = std::function<std::vector<prometheus::MetricFamily>()>;

  explicit Metrics(const SnapshotCell& cell, More more = {}) : cell_(cell), more_(std::move(more)) {}
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const SnapshotCell& cell_;
  More more_;
};

// The same for one snapshot; families without a sample are left out.
std::vector<prometheus::MetricFamily> metric_families(const Snapshot& snapshot, Instant now);

// The text exposition format.
std::string metrics_text(const prometheus::Collectable& source);

}  // namespace perigee::gateway
