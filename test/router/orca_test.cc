#include "router/orca.h"

#include "router/engine_reading.h"
#include "test/router/router_lab.h"

namespace perigee::router {
namespace {

using namespace std::chrono_literals;

TEST(Orca, TextAndJson) {
  const OrcaReport both{3, 0.25};
  EXPECT_EQ(parse_orca("TEXT named_metrics.kv_cache_usage_perc=0.25, named_metrics.num_requests_waiting=3.0"),
            both);
  EXPECT_EQ(parse_orca("text cpu_utilization=0.3,named_metrics.num_requests_waiting = 3 ,eps=1,"
                       "named_metrics.kv_cache_utilization=2.5e-1"),
            both);
  EXPECT_EQ(
      parse_orca(R"(JSON {"named_metrics": {"kv_cache_usage_perc": 0.25, "num_requests_waiting": 3.0}})"),
      both);
  EXPECT_EQ(parse_orca(R"(JSON {"cpu_utilization":0.1,"named_metrics":{"kv_cache_utilization":7}})"),
            (OrcaReport{std::nullopt, 1.0}));
}

TEST(Orca, WhatIsNotUnderstoodIsUnknown) {
  for (const char* value :
       {"", "TEXT", "TEXT ", "JSON", "JSON {", "JSON []", R"(JSON {"named_metrics": 3})", "BIN CZqZmZmZmbk/",
        "named_metrics.num_requests_waiting=3", "TEXT num_requests_waiting=3",
        "TEXT named_metrics.num_requests_waiting=-3", "TEXT named_metrics.num_requests_waiting=nan",
        "TEXT named_metrics.num_requests_waiting=3x", "TEXT named_metrics.num_requests_waiting",
        R"(JSON {"num_requests_waiting": 3})", R"(JSON {"named_metrics": {"num_requests_waiting": "3"}})",
        R"(JSON {"named_metrics": {"num_requests_waiting": 1e999}})"})
    EXPECT_EQ(parse_orca(value), OrcaReport{}) << value;
  EXPECT_EQ(parse_orca("TEXT named_metrics.num_requests_waiting=1e300").waiting, 0xffffffffU);
}

TEST(EngineReading, PollsWriteAllReportsTheQueue) {
  EngineReading reading;
  const Instant now{1'000'000'000};
  publish(OrcaReport{}, now, 1s, reading);
  EXPECT_EQ(reading.taken, 0) << "nothing was said";
  publish(EngineLoad{.taken = now, .waiting = 3, .kv_use = 0.5, .prompt_tokens_total = 9}, EngineRate{}, 1s,
          reading);
  EXPECT_EQ(reading.waiting, 3);
  EXPECT_EQ(reading.kv_use, 5000);
  EXPECT_EQ(reading.running, -1);
  EXPECT_EQ(reading.prompt_tokens_total, 9);
  EXPECT_EQ(reading.prefill_rate, -1);
  EXPECT_EQ(reading.counts_until, (now + 1s).ns);
  publish(OrcaReport{std::nullopt, 0.75}, now + 500ms, 1s, reading);
  EXPECT_EQ(reading.kv_use, 7500);
  EXPECT_EQ(reading.waiting, 3);
  EXPECT_EQ(reading.taken, now.ns) << "of the queue it said nothing";
  publish(OrcaReport{7, std::nullopt}, now + 600ms, 1s, reading);
  EXPECT_EQ(reading.waiting, 7);
  EXPECT_EQ(reading.taken, (now + 600ms).ns);
  EXPECT_EQ(reading.counts_until, (now + 1600ms).ns);
  EXPECT_EQ(reading.polled_until, (now + 1s).ns);
  publish(OrcaReport{std::nullopt, 0.1}, now + 2s, 1s, reading);
  EXPECT_EQ(reading.waiting, -1) << "what was known of it was stale";
  EXPECT_EQ(reading.taken, (now + 2s).ns);
}

TEST(EngineReading, ReportsAreAddedToAnOlderLoad) {
  EngineReading reading;
  const Instant now{1'000'000'000};
  std::optional<EngineLoad> load;
  add_reports(reading, now, load);
  EXPECT_FALSE(load) << "none came";
  publish(OrcaReport{7, std::nullopt}, now, 1s, reading);
  add_reports(reading, now + 999ms, load);
  EXPECT_EQ(load, (EngineLoad{.taken = now, .waiting = 7}));
  load = EngineLoad{.taken = now - 1ms, .engine = Engine::vllm, .waiting = 1, .running = 2, .kv_use = 0.5};
  add_reports(reading, now, load);
  EXPECT_EQ(load,
            (EngineLoad{.taken = now, .engine = Engine::vllm, .waiting = 7, .running = 2, .kv_use = 0.5}));
  load->waiting = 3;
  add_reports(reading, now, load);
  EXPECT_EQ(load->waiting, 3U) << "it is as new";
  load.reset();
  add_reports(reading, now + 1s, load);
  EXPECT_FALSE(load) << "stale";
}

constexpr std::string_view kReport =
    "endpoint-load-metrics: TEXT named_metrics.num_requests_waiting=4, "
    "named_metrics.kv_cache_usage_perc=0.5\r\n";

struct OrcaLab : RouterLab {
  std::mutex mutex;
  std::string asked;  // what came to the endpoint last
  ScriptedEndpoint endpoint{[this](Peer& peer) {
    const std::string request = peer.read_message();
    const std::lock_guard lock(mutex);
    asked = request;
    peer.send(json_answer("{}", 200, kReport));
  }};

  std::string ask_it(std::string_view fields) {
    const std::string answer = ask(chat(kAsk, fields));
    EXPECT_EQ(answer.find("HTTP/1.1 200"), 0U) << answer;
    EXPECT_EQ(answer.find("endpoint-load"), std::string::npos) << answer;
    const std::lock_guard lock(mutex);
    return asked;
  }
  [[nodiscard]] const EngineReading& reading() const {
    return router->snapshot()->endpoints[0].counters->engine;
  }
};

TEST_F(OrcaLab, AsksForItAndTakesItButPassesNeitherOn) {
  more_policy = "load: {orca: true}\n";
  begin({endpoint.port()});
  const std::string request = ask_it(
      "Endpoint-Load-Metrics-Format: bin\r\nendpoint-load-metrics: TEXT "
      "named_metrics.num_requests_waiting=9\r\n");
  EXPECT_NE(request.find("\r\nendpoint-load-metrics-format: text\r\n"), std::string::npos) << request;
  EXPECT_EQ(request.find("bin"), std::string::npos) << request;
  EXPECT_EQ(request.find("waiting=9"), std::string::npos) << request;
  EXPECT_EQ(reading().waiting, 4);
  EXPECT_EQ(reading().kv_use, 5000);
  EXPECT_EQ(reading().counts_until - reading().taken, Nanos(750ms).count());
}

TEST_F(OrcaLab, WhoIsNotAskedIsNotBelieved) {
  begin({endpoint.port()});
  const std::string request = ask_it("endpoint-load-metrics-format: text\r\n");
  EXPECT_EQ(request.find("ndpoint-load"), std::string::npos) << request;
  EXPECT_EQ(reading().waiting, -1);
}

}  // namespace
}  // namespace perigee::router
