#include "router/router_metrics.h"

#include <gtest/gtest.h>

#include <map>
#include <thread>

namespace perigee::router {
namespace {

using namespace std::chrono_literals;
using prometheus::ClientMetric;
using prometheus::MetricFamily;

class RouterMetricsTest : public ::testing::Test {
 protected:
  RouterMetricsTest() {
    threads.push_back(std::make_unique<ThreadMetrics>());
    threads.push_back(std::make_unique<ThreadMetrics>());
  }
  static RequestRecord record_of(const std::string& model) {
    RequestRecord record;
    record.service = "ai";
    record.model = model;
    record.status = 200;
    record.attempts = 1;
    record.begun = Instant{1'000'000'000};
    record.body_wait = 5ms;
    record.sent = record.begun + 5ms + 80us;
    record.first_event = record.begun + 205ms;
    return record;
  }
  // The metric whose labels hold all of `labels`.
  [[nodiscard]] std::optional<ClientMetric> find(const std::string& family,
                                                 const std::map<std::string, std::string>& labels) const {
    for (const MetricFamily& each : request_families(threads)) {
      if (each.name != family) continue;
      for (const ClientMetric& metric : each.metric) {
        std::size_t same = 0;
        for (const auto& label : metric.label) {
          const auto found = labels.find(label.name);
          if (found != labels.end() && found->second == label.value) ++same;
        }
        if (same == labels.size()) return metric;
      }
    }
    return std::nullopt;
  }
  [[nodiscard]] double count(const std::string& family,
                             const std::map<std::string, std::string>& labels) const {
    const auto metric = find(family, labels);
    return metric ? metric->counter.value : -1;
  }

  std::vector<std::unique_ptr<ThreadMetrics>> threads;
};

TEST_F(RouterMetricsTest, SumsOverThreads) {
  RequestRecord record = record_of("m");
  record.usage = TokenUsage{10, 4, 1, 2};
  threads[0]->take(record);
  record.attempts = 3;
  threads[1]->take(record);
  EXPECT_EQ(
      count("perigee_router_requests_total", {{"model", "m"}, {"ending", "completed"}, {"code", "2xx"}}), 2);
  EXPECT_EQ(count("perigee_router_attempts_total", {{"service", "ai"}, {"model", "m"}}), 4);
  EXPECT_EQ(count("perigee_router_retries_total", {{"model", "m"}}), 2);
  EXPECT_EQ(count("perigee_router_tokens_total", {{"model", "m"}, {"kind", "prompt"}}), 20);
  EXPECT_EQ(count("perigee_router_tokens_total", {{"model", "m"}, {"kind", "reasoning"}}), 4);
}

TEST_F(RouterMetricsTest, TheWaitForTheBodyIsNotWhatTheGatewayAdds) {
  threads[0]->take(record_of("m"));
  const auto added = find("perigee_router_added_latency_seconds", {{"model", "m"}});
  ASSERT_TRUE(added);
  EXPECT_EQ(added->histogram.sample_count, 1U);
  EXPECT_DOUBLE_EQ(added->histogram.sample_sum, 80e-6);
  EXPECT_EQ(added->histogram.bucket[0].cumulative_count, 0U);  // 50 us
  EXPECT_EQ(added->histogram.bucket[1].cumulative_count, 1U);  // 100 us
}

TEST_F(RouterMetricsTest, ARetryIsNoAddedLatency) {
  RequestRecord record = record_of("m");
  record.attempts = 2;
  threads[0]->take(record);
  EXPECT_EQ(find("perigee_router_added_latency_seconds", {{"model", "m"}})->histogram.sample_count, 0U);
}

TEST_F(RouterMetricsTest, TakesTheGapsOfAStream) {
  StreamSeries& stream = threads[0]->begin_stream(record_of("m"), 1s);
  stream.gaps.add(20ms);
  stream.gaps.add(20ms);
  stream.gaps.add(3s);
  const auto gaps = find("perigee_router_event_gap_seconds", {{"model", "m"}});
  EXPECT_EQ(gaps->histogram.sample_count, 3U);
  EXPECT_DOUBLE_EQ(gaps->histogram.sample_sum, 3.04);
}

TEST_F(RouterMetricsTest, TellsTheFirstEventByModelAndByEndpoint) {
  RequestRecord record = record_of("m");
  record.endpoint = "mel-1";
  record.pop = "mel";
  threads[0]->begin_stream(record, 20ms);
  threads[1]->begin_stream(record, 40ms);
  record.endpoint = "per-1";
  threads[1]->begin_stream(record, 3s);
  EXPECT_DOUBLE_EQ(find("perigee_router_ttft_seconds", {{"model", "m"}})->histogram.sample_sum, 3.06);
  const auto mel = find("perigee_router_endpoint_ttft_seconds", {{"endpoint", "mel-1"}, {"pop", "mel"}});
  ASSERT_TRUE(mel);
  EXPECT_EQ(mel->histogram.sample_count, 2U);
  EXPECT_DOUBLE_EQ(mel->histogram.sample_sum, 0.06);
  for (std::size_t i = 0; i < ThreadMetrics::kMaxEndpoints + 5; ++i) {
    record.endpoint = "e" + std::to_string(i);
    threads[0]->begin_stream(record, 1s);
  }
  EXPECT_EQ(find("perigee_router_endpoint_ttft_seconds", {{"endpoint", "other"}})->histogram.sample_count,
            6U);
}

TEST_F(RouterMetricsTest, CountsErrorsByReason) {
  RequestRecord record = record_of("m");
  record.status = 429;
  record.error = "rate_limit_exceeded";
  record.ending = Ending::shed;
  threads[0]->take(record);
  EXPECT_EQ(count("perigee_router_errors_total", {{"reason", "rate_limit_exceeded"}}), 1);
  EXPECT_EQ(count("perigee_router_requests_total", {{"ending", "shed"}, {"code", "4xx"}}), 1);
}

TEST_F(RouterMetricsTest, SeriesAreBounded) {
  for (std::size_t i = 0; i < ThreadMetrics::kMaxSeries + 50; ++i)
    threads[0]->take(record_of("m" + std::to_string(i)));
  for (std::size_t i = 0; i < ThreadMetrics::kMaxReasons + 7; ++i) {
    RequestRecord record = record_of("m0");
    record.error = "e" + std::to_string(i);
    threads[0]->take(record);
  }
  EXPECT_EQ(count("perigee_router_attempts_total", {{"service", "other"}, {"model", "other"}}), 50);
  EXPECT_EQ(count("perigee_router_errors_total", {{"reason", "other"}}), 7);
}

TEST_F(RouterMetricsTest, WhatHasNoModelIsOther) {
  RequestRecord record = record_of("");
  record.ending = Ending::refused;
  record.status = 404;
  threads[0]->take(record);
  EXPECT_EQ(count("perigee_router_requests_total", {{"service", "ai"}, {"model", "other"}, {"code", "4xx"}}),
            1);
  record.service.clear();  // no proper request: its listener's service is not known yet
  threads[0]->take(record);
  EXPECT_EQ(count("perigee_router_requests_total", {{"service", "other"}, {"model", "other"}}), 1);
}

TEST_F(RouterMetricsTest, IsReadWhileItIsWritten) {
  std::thread writer([&] {
    for (int i = 0; i < 20'000; ++i) threads[0]->take(record_of("m" + std::to_string(i % 500)));
  });
  double last = 0;
  for (int i = 0; i < 5; ++i) {
    const double now = std::max(count("perigee_router_attempts_total", {{"model", "m0"}}), 0.0);
    EXPECT_GE(now, last);
    last = now;
  }
  writer.join();
  EXPECT_EQ(count("perigee_router_attempts_total", {{"model", "m499"}}), 40);
}

}  // namespace
}  // namespace perigee::router
