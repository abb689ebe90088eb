// A Prometheus family while it is filled.
#pragma once

#include <prometheus/metric_family.h>

#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace perigee::router {

using Labels = std::vector<prometheus::ClientMetric::Label>;

class Family {
 public:
  Family(prometheus::MetricType type, const char* name, const char* help) : family_{name, help, type, {}} {}

  template <class Number>
  requires std::is_arithmetic_v<Number>
  void add(Labels labels, Number value) {
    prometheus::ClientMetric metric;
    const auto number = static_cast<double>(value);
    metric.label = std::move(labels);
    metric.counter.value = family_.type == prometheus::MetricType::Counter ? number : 0;
    metric.gauge.value = family_.type == prometheus::MetricType::Gauge ? number : 0;
    family_.metric.push_back(std::move(metric));
  }
  void add(prometheus::ClientMetric metric) { family_.metric.push_back(std::move(metric)); }

  // Without a sample it is left out.
  void move_into(std::vector<prometheus::MetricFamily>& families) {
    if (!family_.metric.empty()) families.push_back(std::move(family_));
  }

 private:
  prometheus::MetricFamily family_;
};

inline Family counter(const char* name, const char* help) {
  return {prometheus::MetricType::Counter, name, help};
}
inline Family gauge(const char* name, const char* help) {
  return {prometheus::MetricType::Gauge, name, help};
}

inline Labels with(Labels labels, const char* name, std::string value) {
  labels.push_back({name, std::move(value)});
  return labels;
}

}  // namespace perigee::router
