// What one thread of the router counts, for Prometheus: written by that thread alone and read by any, so that
// neither waits for the other.
#pragma once

#include <prometheus/metric_family.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "router/durations.h"
#include "router/request_record.h"

namespace perigee::router {

// Of one model of one service.
struct ModelSeries {
  static constexpr std::size_t kClasses = 6;  // of status codes; 0: none was sent
  static constexpr std::size_t kRules = static_cast<std::size_t>(Rule::nothing_left);
  enum Token : std::uint8_t { prompt, completion, cached, reasoning, kTokens };

  std::string service;
  std::string model;
  std::array<std::array<Count, kClasses>, static_cast<std::size_t>(Ending::count_)> requests;
  Count attempts;
  Count retries;
  std::array<Count, kTokens> tokens;
  std::array<Count, kRules> rules;  // that chose the last endpoint
  Count spilled;
  DurationHistogram expected;  // of streams, where the first event came from the first attempt
  DurationHistogram added;     // from head to sent, without the waits for the body and for a place
  DurationHistogram queued;
  StreamSeries stream;
};

struct EndpointSeries {
  std::string endpoint;
  std::string pop;
  DurationHistogram first_event;  // as StreamSeries has it
};

class ThreadMetrics {
 public:
  // Models with series of their own; further ones share one, named "other". Policies name fewer; those of
  // earlier ones stay.
  static constexpr std::size_t kMaxSeries = 1000;
  static constexpr std::size_t kMaxReasons = 128;
  static constexpr std::size_t kMaxEndpoints = 1000;  // the same

  ThreadMetrics();
  void take(const RequestRecord& record);
  StreamSeries& begin_stream(const RequestRecord& record, Nanos first_event);  // as RecordSink says

 private:
  friend class MetricsReading;
  struct Reason {
    std::string code;
    Count count;
  };
  // Grows at its end, and never moves: who reads sees the first `size` entries.
  template <class T, std::size_t kMax>
  struct Table {
    std::array<std::atomic<T*>, kMax + 1> entries{};  // with "other" as the first one
    std::atomic<std::size_t> size{0};
    std::vector<std::unique_ptr<T>> owned;
    std::unordered_map<std::string, T*> index;

    T& add(const std::string& key);
  };

  ModelSeries& series(const RequestRecord& record);
  EndpointSeries& endpoint(const RequestRecord& record);
  static Count& reason(Table<Reason, kMaxReasons>& table, const std::string& code);

  Table<ModelSeries, kMaxSeries> series_;
  Table<EndpointSeries, kMaxEndpoints> endpoints_;
  Table<Reason, kMaxReasons> reasons_;
  Table<Reason, kMaxReasons> shadows_;
  std::string key_;
  ModelSeries* last_ = nullptr;  // found last: mostly the next one too
};

// The sum of all threads, as metrics perigee_router_*.
[[nodiscard]] std::vector<prometheus::MetricFamily> request_families(
    const std::vector<std::unique_ptr<ThreadMetrics>>& threads);

}  // namespace perigee::router
