#include "router/router_metrics.h"

#include <limits>
#include <map>
#include <utility>

#include "router/metric_family.h"

namespace perigee::router {
namespace {

constexpr std::string_view kOther = "other";
constexpr std::array<std::string_view, ModelSeries::kClasses> kClassNames{"none", "1xx", "2xx",
                                                                          "3xx",  "4xx", "5xx"};
constexpr std::array<std::string_view, ModelSeries::kTokens> kTokenNames{"prompt", "completion", "cached",
                                                                         "reasoning"};

}  // namespace

template <class T, std::size_t kMax>
T& ThreadMetrics::Table<T, kMax>::add(const std::string& key) {
  T& made = *owned.emplace_back(std::make_unique<T>());
  index.emplace(key, &made);
  const std::size_t at = size.load(std::memory_order_relaxed);
  entries[at].store(&made, std::memory_order_relaxed);
  return made;
}

ThreadMetrics::ThreadMetrics() {
  ModelSeries& other = series_.add("");
  other.service = other.model = kOther;
  series_.size.store(1, std::memory_order_release);
  endpoints_.add("").endpoint = kOther;
  endpoints_.size.store(1, std::memory_order_release);
  for (auto* table : {&reasons_, &shadows_}) {
    table->add("").code = kOther;
    table->size.store(1, std::memory_order_release);
  }
}

// The names in a record are the policy's, never a client's.
ModelSeries& ThreadMetrics::series(const RequestRecord& record) {
  if (last_ != nullptr && last_->model == record.model && last_->service == record.service) return *last_;
  key_.assign(record.service).append("\n").append(record.model);
  if (const auto found = series_.index.find(key_); found != series_.index.end())
    return *(last_ = found->second);
  const std::size_t size = series_.size.load(std::memory_order_relaxed);
  if (record.service.empty() || size > kMaxSeries) return *series_.owned.front();
  ModelSeries& made = series_.add(key_);
  made.service = record.service;
  made.model = record.model.empty() ? kOther : std::string_view(record.model);
  series_.size.store(size + 1, std::memory_order_release);
  return made;
}

EndpointSeries& ThreadMetrics::endpoint(const RequestRecord& record) {
  if (const auto found = endpoints_.index.find(record.endpoint); found != endpoints_.index.end())
    return *found->second;
  const std::size_t size = endpoints_.size.load(std::memory_order_relaxed);
  if (size > kMaxEndpoints) return *endpoints_.owned.front();
  EndpointSeries& made = endpoints_.add(record.endpoint);
  made.endpoint = record.endpoint;
  made.pop = record.pop;
  endpoints_.size.store(size + 1, std::memory_order_release);
  return made;
}

StreamSeries& ThreadMetrics::begin_stream(const RequestRecord& record, Nanos first_event) {
  endpoint(record).first_event.add(first_event);
  StreamSeries& stream = series(record).stream;
  stream.first_event.add(first_event);
  return stream;
}

Count& ThreadMetrics::reason(Table<Reason, kMaxReasons>& table, const std::string& code) {
  if (const auto found = table.index.find(code); found != table.index.end()) return found->second->count;
  const std::size_t size = table.size.load(std::memory_order_relaxed);
  if (size > kMaxReasons) return table.owned.front()->count;
  Reason& made = table.add(code);
  made.code = code;
  table.size.store(size + 1, std::memory_order_release);
  return made.count;
}

void ThreadMetrics::take(const RequestRecord& record) {
  ModelSeries& of = series(record);
  const std::size_t status_class = record.status < 100 || record.status > 599 ? 0 : record.status / 100;
  of.requests[static_cast<std::size_t>(record.ending)][status_class].add(1);
  if (!record.error.empty()) reason(reasons_, record.error).add(1);
  if (!record.would_refuse.empty()) reason(shadows_, std::string(record.would_refuse)).add(1);
  if (record.attempts > 0) of.attempts.add(record.attempts);
  const std::uint32_t firsts = record.hedge.empty() ? 1 : 2;  // a hedge is no retry
  if (record.attempts > firsts) of.retries.add(record.attempts - firsts);
  if (record.usage) {
    of.tokens[ModelSeries::prompt].add(record.usage->prompt);
    of.tokens[ModelSeries::completion].add(record.usage->completion);
    of.tokens[ModelSeries::cached].add(record.usage->cached);
    of.tokens[ModelSeries::reasoning].add(record.usage->reasoning);
  }
  if (record.attempts > 0 && record.rule != Rule::nothing_left)
    of.rules[static_cast<std::size_t>(record.rule)].add(1);
  if (record.spilled) of.spilled.add(1);
  if (record.attempts == 1 && record.streamed && !record.first_event.never() && record.expected.network)
    of.expected.add(record.expected.total());
  // A later attempt waited for the endpoints before it: that is not what the gateway adds.
  const Nanos queued = std::max(record.queued, Nanos(0));
  if (record.queued >= Nanos(0)) of.queued.add(record.queued);
  if (record.attempts == 1 && !record.sent.never())
    of.added.add(record.sent - record.begun - record.body_wait - queued);
}

// The sum over threads of one of their series.
class MetricsReading {
 public:
  using Key = std::pair<std::string_view, std::string_view>;

  explicit MetricsReading(const std::vector<std::unique_ptr<ThreadMetrics>>& threads) {
    for (const auto& thread : threads) {
      each(thread->series_, [this](const ModelSeries& series) {
        series_[{series.service, series.model}].push_back(&series);
      });
      each(thread->endpoints_, [this](const EndpointSeries& series) {
        endpoints_[{series.endpoint, series.pop}].push_back(&series.first_event);
      });
      each(thread->reasons_, [this](const auto& reason) { reasons_[reason.code] += reason.count.get(); });
      each(thread->shadows_, [this](const auto& limit) { shadows_[limit.code] += limit.count.get(); });
    }
  }

  std::vector<prometheus::MetricFamily> families() {
    for (const auto& [key, all] : series_) add(key, all);
    for (const auto& [key, all] : endpoints_) {
      prometheus::ClientMetric metric =
          histogram({{"endpoint", std::string(key.first)}, {"pop", std::string(key.second)}}, all);
      if (metric.histogram.sample_count > 0) endpoint_first_.add(std::move(metric));
    }
    for (const auto& [code, count] : reasons_)
      if (count > 0) errors_.add({{"reason", std::string(code)}}, count);
    for (const auto& [limit, count] : shadows_)
      if (count > 0) shadow_.add({{"limit", std::string(limit)}}, count);
    std::vector<prometheus::MetricFamily> out;
    for (Family* family : {&requests_, &attempts_, &retries_, &tokens_, &errors_, &shadow_, &choices_,
                           &spills_, &added_, &queued_, &expected_, &first_, &gaps_, &endpoint_first_})
      family->move_into(out);
    return out;
  }

 private:
  using All = std::vector<const ModelSeries*>;
  using Histograms = std::vector<const DurationHistogram*>;

  template <class Table, class Visit>
  static void each(const Table& table, Visit visit) {
    const std::size_t size = table.size.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < size; ++i) visit(*table.entries[i].load(std::memory_order_relaxed));
  }
  template <class Pick>
  static std::uint64_t sum(const All& all, Pick pick) {
    std::uint64_t sum = 0;
    for (const ModelSeries* series : all) sum += pick(*series).get();
    return sum;
  }

  void add(const Key& key, const All& all) {
    const Labels labels{{"service", std::string(key.first)}, {"model", std::string(key.second)}};
    for (std::size_t ending = 0; ending < static_cast<std::size_t>(Ending::count_); ++ending)
      for (std::size_t code = 0; code < ModelSeries::kClasses; ++code) {
        const auto count =
            sum(all, [&](const ModelSeries& s) -> const Count& { return s.requests[ending][code]; });
        if (count == 0) continue;
        requests_.add(with(with(labels, "ending", std::string(name_of(static_cast<Ending>(ending)))), "code",
                           std::string(kClassNames[code])),
                      count);
      }
    attempts_.add(labels, sum(all, [](const ModelSeries& s) -> const Count& { return s.attempts; }));
    retries_.add(labels, sum(all, [](const ModelSeries& s) -> const Count& { return s.retries; }));
    for (std::size_t kind = 0; kind < ModelSeries::kTokens; ++kind)
      tokens_.add(with(labels, "kind", std::string(kTokenNames[kind])),
                  sum(all, [&](const ModelSeries& s) -> const Count& { return s.tokens[kind]; }));
    for (std::size_t rule = 0; rule < ModelSeries::kRules; ++rule)
      choices_.add(with(labels, "rule", name_of(static_cast<Rule>(rule))),
                   sum(all, [&](const ModelSeries& s) -> const Count& { return s.rules[rule]; }));
    spills_.add(labels, sum(all, [](const ModelSeries& s) -> const Count& { return s.spilled; }));
    const auto add_durations = [&](Family& family, auto which) {
      Histograms histograms;
      for (const ModelSeries* series : all) histograms.push_back(&which(*series));
      family.add(histogram(labels, histograms));
    };
    add_durations(
        expected_, [](const ModelSeries& s) -> const auto& { return s.expected; });
    add_durations(
        added_, [](const ModelSeries& s) -> const auto& { return s.added; });
    add_durations(
        queued_, [](const ModelSeries& s) -> const auto& { return s.queued; });
    add_durations(
        first_, [](const ModelSeries& s) -> const auto& { return s.stream.first_event; });
    add_durations(
        gaps_, [](const ModelSeries& s) -> const auto& { return s.stream.gaps; });
  }

  static prometheus::ClientMetric histogram(const Labels& labels, const Histograms& all) {
    prometheus::ClientMetric metric;
    metric.label = labels;
    std::uint64_t count = 0, sum_ns = 0;
    for (const DurationHistogram* each : all) sum_ns += each->sum_ns.get();
    for (std::size_t i = 0; i < kDurationBuckets; ++i) {
      for (const DurationHistogram* each : all) count += each->buckets[i].get();
      const double edge = i < kDurationEdgesUs.size() ? static_cast<double>(kDurationEdgesUs[i]) / 1e6
                                                      : std::numeric_limits<double>::infinity();
      metric.histogram.bucket.push_back({count, edge});
    }
    metric.histogram.sample_count = count;
    metric.histogram.sample_sum = static_cast<double>(sum_ns) / 1e9;
    return metric;
  }

  std::map<Key, All> series_;
  std::map<Key, Histograms> endpoints_;
  std::map<std::string_view, std::uint64_t> reasons_;
  std::map<std::string_view, std::uint64_t> shadows_;
  Family requests_ =
      counter("perigee_router_requests_total", "Requests that ended, by how and by class of status.");
  Family attempts_ = counter("perigee_router_attempts_total", "Attempts at endpoints.");
  Family retries_ = counter("perigee_router_retries_total", "Attempts after the first one of a request.");
  Family tokens_ = counter("perigee_router_tokens_total", "Tokens as endpoints reported them.");
  Family choices_ = counter("perigee_router_choices_total",
                            "Requests by the rule that chose the last endpoint they were sent to.");
  Family spills_ = counter("perigee_router_spills_total",
                           "Requests whose last endpoint was cheaper than those of a nearer tier.");
  Family expected_{prometheus::MetricType::Histogram, "perigee_router_expected_ttft_seconds",
                   "Time until the first event as it was expected when the endpoint was chosen; of streams, "
                   "first attempts."};
  Family errors_ =
      counter("perigee_router_errors_total", "Errors that were answered by the router, by reason.");
  Family shadow_ = counter("perigee_router_shadow_refusals_total",
                           "Requests that a limit in shadow would have refused, by limit.");
  Family added_{prometheus::MetricType::Histogram, "perigee_router_added_latency_seconds",
                "From a request's head read to its last octet sent, without waiting for its body or a place; "
                "first attempts."};
  Family queued_{prometheus::MetricType::Histogram, "perigee_router_queue_wait_seconds",
                 "For a place among the requests of a service with max_in_flight; of those that waited."};
  Family first_{
      prometheus::MetricType::Histogram, "perigee_router_ttft_seconds",
      "From a request's head read to the first event with data, without waiting for the request's body."};
  Family endpoint_first_{prometheus::MetricType::Histogram, "perigee_router_endpoint_ttft_seconds",
                         "perigee_router_ttft_seconds by the endpoint that answered."};
  Family gaps_{prometheus::MetricType::Histogram, "perigee_router_event_gap_seconds",
               "Between two reads of events with data."};
};

std::vector<prometheus::MetricFamily> request_families(
    const std::vector<std::unique_ptr<ThreadMetrics>>& threads) {
  return MetricsReading(threads).families();
}

}  // namespace perigee::router
