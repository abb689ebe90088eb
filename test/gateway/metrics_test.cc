#include "gateway/metrics.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <functional>

#include "test/gateway/known_snapshot.h"

namespace perigee::gateway::test {
namespace {

// Serves one snapshot at one moment.
class Fixed : public prometheus::Collectable {
 public:
  Fixed(Snapshot snapshot, Instant now) : snapshot_(std::move(snapshot)), now_(now) {}
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override {
    return metric_families(snapshot_, now_);
  }

 private:
  Snapshot snapshot_;
  Instant now_;
};

std::string text_of(const Snapshot& snapshot, Instant now = kNow) {
  return metrics_text(Fixed(snapshot, now));
}

// The samples (no comments) whose line has `part`.
std::string lines_with(const std::string& text, const std::string& part) {
  std::istringstream in(text);
  std::string found;
  for (std::string line; std::getline(in, line);) {
    if (line[0] != '#' && line.find(part) != std::string::npos) found += line + "\n";
  }
  return found;
}

constexpr const char* kLink = R"({src_pop="syd",dst_pop="mel",link="syd-mel")";

std::string link_line(const std::string& name, const std::string& more, const std::string& value) {
  return name + kLink + (more.empty() ? "" : "," + more) + "} " + value + "\n";
}

TEST(MetricsTest, ALinksGaugesAndCounters) {
  const std::string text = text_of(known_snapshot());
  EXPECT_EQ(lines_with(lines_with(text, "syd-mel"), "perigee_link_rtt_window_seconds"),
            link_line("perigee_link_rtt_window_seconds", "stat=\"min\"", "0.004") +
                link_line("perigee_link_rtt_window_seconds", "stat=\"p50\"", "0.0045") +
                link_line("perigee_link_rtt_window_seconds", "stat=\"p99\"", "0.008"));
  EXPECT_EQ(lines_with(lines_with(text, "syd-mel"), "perigee_link_state"),
            link_line("perigee_link_state", "state=\"up\"", "0") +
                link_line("perigee_link_state", "state=\"degraded\"", "1") +
                link_line("perigee_link_state", "state=\"down\"", "0") +
                link_line("perigee_link_state", "state=\"unknown\"", "0"));
  const std::string all = lines_with(text, "syd-mel");
  for (const std::string& line :
       {link_line("perigee_link_up", "", "1"), link_line("perigee_link_loss_ratio", "", "0.02"),
        link_line("perigee_link_probes_sent_total", "", "110"),
        link_line("perigee_link_probes_received_total", "", "100"),
        link_line("perigee_link_probes_lost_total", "", "5"),
        link_line("perigee_link_probes_late_total", "", "4"),
        link_line("perigee_link_probes_duplicate_total", "", "3"),
        link_line("perigee_link_probes_reordered_total", "", "2"),
        link_line("perigee_link_probes_invalid_total", "reason=\"ttl\"", "7"),
        link_line("perigee_link_probes_invalid_total", "reason=\"malformed\"", "0"),
        link_line("perigee_link_last_sample_age_seconds", "", "0.25")}) {
    EXPECT_NE(all.find(line), std::string::npos) << line << "\n" << all;
  }
}

TEST(MetricsTest, TheHistogramIsCumulativeAtTheExportedEdges) {
  const std::string all =
      lines_with(lines_with(text_of(known_snapshot()), "syd-mel"), "perigee_link_rtt_seconds_");
  for (const std::string& line : {link_line("perigee_link_rtt_seconds_count", "", "100"),
                                  link_line("perigee_link_rtt_seconds_sum", "", "1.5"),
                                  link_line("perigee_link_rtt_seconds_bucket", "le=\"0.0001\"", "1"),
                                  link_line("perigee_link_rtt_seconds_bucket", "le=\"0.003\"", "1"),
                                  link_line("perigee_link_rtt_seconds_bucket", "le=\"0.005\"", "99"),
                                  link_line("perigee_link_rtt_seconds_bucket", "le=\"1\"", "99"),
                                  link_line("perigee_link_rtt_seconds_bucket", "le=\"+Inf\"", "100")}) {
    EXPECT_NE(all.find(line), std::string::npos) << line << "\n" << all;
  }
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 21 + 2);
}

TEST(MetricsTest, AnUnmeasuredLinkHasCountersAtZeroAndNothingElse) {
  const std::string all = lines_with(text_of(known_snapshot()), "syd-per");
  for (const char* there :
       {"perigee_link_rtt_seconds_count", "perigee_link_probes_sent_total", "perigee_link_probes_lost_total",
        "perigee_link_probes_invalid_total", "state=\"unknown\"} 1"}) {
    EXPECT_NE(all.find(there), std::string::npos) << there;
  }
  for (const char* absent : {"perigee_link_rtt_window_seconds", "perigee_link_up", "perigee_link_loss_ratio",
                             "perigee_link_last_sample_age_seconds"}) {
    EXPECT_EQ(all.find(absent), std::string::npos) << all;
  }
}

TEST(MetricsTest, WhatIsStaleIsAbsentAndCountersStay) {
  const std::string all = lines_with(text_of(stale_snapshot()), "syd-mel");
  for (const char* absent : {"perigee_link_rtt_window_seconds", "perigee_link_up", "perigee_link_loss_ratio",
                             "perigee_link_last_sample_age_seconds"}) {
    EXPECT_EQ(all.find(absent), std::string::npos) << all;
  }
  EXPECT_NE(all.find(link_line("perigee_link_state", "state=\"unknown\"", "1")), std::string::npos);
  EXPECT_NE(all.find(link_line("perigee_link_probes_sent_total", "", "110")), std::string::npos);
  const std::string text = text_of(stale_snapshot());
  for (const char* absent : {"perigee_dataplane_flows", "perigee_dataplane_poll_gap",
                             "perigee_snat_ports_used", "perigee_dataplane_table_generation"}) {
    EXPECT_EQ(text.find(absent), std::string::npos) << absent;
  }
}

TEST(MetricsTest, AWindowOlderThanTheSteeringWindowIsStale) {
  using namespace std::chrono_literals;
  EXPECT_NE(text_of(known_snapshot(), kNow + 9s).find("perigee_link_loss_ratio"), std::string::npos);
  EXPECT_EQ(text_of(known_snapshot(), kNow + 11s).find("perigee_link_loss_ratio"), std::string::npos);
}

TEST(MetricsTest, LoadOfEnginesWhileItIsFresh) {
  using namespace std::chrono_literals;
  Snapshot snapshot = known_snapshot();
  EXPECT_EQ(text_of(snapshot).find("perigee_endpoint_engine"), std::string::npos) << "nobody is asked";
  auto policy = std::make_shared<Policy>(*snapshot.policy);
  policy->endpoints[0].load = {"/metrics", 250ms, false, 0};
  snapshot.policy = policy;
  EngineLoad load{.taken = kNow - 500ms, .waiting = 3, .kv_use = 0.25};
  snapshot.health[0].load.load = load;
  snapshot.health[0].load.polls[static_cast<std::size_t>(CheckFinding::timeout)] = 2;
  const std::string text = lines_with(text_of(snapshot), "perigee_endpoint_engine");
  const std::string labels = R"({endpoint="mel-1",pop="mel")";
  for (const std::string& line :
       {"waiting_requests" + labels + "} 3\n", "kv_usage_ratio" + labels + "} 0.25\n",
        "load_age_seconds" + labels + "} 0.5\n", "polls_total" + labels + R"(,result="timeout"} 2)",
        "polls_total" + labels + R"(,result="ok"} 0)"})
    EXPECT_NE(text.find("perigee_endpoint_engine_" + line), std::string::npos) << text;
  EXPECT_EQ(text.find("running"), std::string::npos) << "it did not say";
  EXPECT_EQ(text.find("per-1"), std::string::npos);
  const std::string stale = lines_with(text_of(snapshot, kNow + 251ms), "perigee_endpoint_engine");
  EXPECT_EQ(stale, lines_with(stale, "perigee_endpoint_engine_polls_total")) << "three intervals passed";
}

TEST(MetricsTest, EndpointsAndServices) {
  const std::string text = text_of(known_snapshot());
  EXPECT_EQ(lines_with(text, "perigee_endpoint_healthy"),
            "perigee_endpoint_healthy{endpoint=\"mel-1\",pop=\"mel\"} 1\n")
      << "per-1 is unknown, so absent";
  EXPECT_EQ(lines_with(text, "perigee_service_active_endpoint"),
            "perigee_service_active_endpoint{service=\"chat\",endpoint=\"mel-1\",pop=\"mel\"} 1\n"
            "perigee_service_active_endpoint{service=\"chat\",endpoint=\"per-1\",pop=\"per\"} 0\n");
  EXPECT_EQ(lines_with(text, "perigee_service_panic"), "perigee_service_panic{service=\"chat\"} 0\n");
  EXPECT_EQ(lines_with(text, "perigee_service_healthy_ratio"),
            "perigee_service_healthy_ratio{service=\"chat\"} 1\n");
  EXPECT_EQ(
      lines_with(text, "perigee_steering_frozen"),
      "perigee_steering_frozen{reason=\"checks\"} 0\nperigee_steering_frozen{reason=\"dataplane\"} 0\n");
  EXPECT_NE(text.find("perigee_link_flap_penalty{src_pop=\"syd\""), std::string::npos);
  EXPECT_EQ(lines_with(text, "perigee_service_switches_total"),
            "perigee_service_switches_total{service=\"chat\",reason=\"initial\"} 1\n"
            "perigee_service_switches_total{service=\"chat\",reason=\"rtt\"} 0\n"
            "perigee_service_switches_total{service=\"chat\",reason=\"failure\"} 0\n"
            "perigee_service_switches_total{service=\"chat\",reason=\"recovery\"} 0\n"
            "perigee_service_switches_total{service=\"chat\",reason=\"policy\"} 0\n"
            "perigee_service_switches_total{service=\"chat\",reason=\"capacity\"} 0\n");
}

TEST(MetricsTest, TheFlowsOfADrainedEndpoint) {
  const std::string name = "perigee_endpoint_drain_flows";
  EXPECT_EQ(lines_with(text_of(constrained_snapshot()), name + "{"),
            name + "{endpoint=\"mel-1\",pop=\"mel\"} 3\n");
  EXPECT_EQ(lines_with(text_of(known_snapshot()), name + "{"), "");
}

TEST(MetricsTest, AModelOfARoutedServiceIsCountedLikeAService) {
  const std::string text = text_of(known_snapshot(kRouted));
  EXPECT_EQ(
      lines_with(lines_with(text, "perigee_service_active_endpoint"), "ai"),
      "perigee_service_active_endpoint{service=\"ai\",model=\"llama\",endpoint=\"mel-1\",pop=\"mel\"} 1\n"
      "perigee_service_active_endpoint{service=\"ai\",model=\"llama\",endpoint=\"per-1\",pop=\"per\"} 0\n"
      "perigee_service_active_endpoint{service=\"ai\",model=\"llama/canary\",endpoint=\"per-1\",pop=\"per\"} "
      "1\n");
  EXPECT_NE(text.find("perigee_service_switches_total{service=\"ai\",model=\"llama\",reason=\"rtt\"} 0\n"),
            std::string::npos);
}

TEST(MetricsTest, DataPlaneAndGateway) {
  const std::string text = text_of(known_snapshot());
  for (const char* line :
       {"perigee_dataplane_up 1\n", "perigee_dataplane_packets_total{result=\"local\"} 1\n",
        "perigee_dataplane_packets_total{result=\"dropped\"} 5\n",
        "perigee_dataplane_drops_total{reason=\"no_flow\"} 5\n",
        "perigee_dataplane_drops_total{reason=\"too_short\"} 0\n", "perigee_dataplane_flows 10\n",
        "perigee_dataplane_poll_gap_seconds 0.002\n", "perigee_snat_ports_used_ratio 0.25\n",
        "perigee_table_generation 12\n", "perigee_dataplane_table_generation 12\n",
        "perigee_policy_last_reload_successful 1\n", "perigee_build_info{version=\""}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

TEST(MetricsTest, WithNothingAtAllTheCountersOfTheDataPlaneExist) {
  const std::string text = text_of(Snapshot{});
  EXPECT_NE(text.find("perigee_dataplane_drops_total{reason=\"no_table\"} 0\n"), std::string::npos);
  EXPECT_NE(text.find("perigee_dataplane_up 0\n"), std::string::npos);
  EXPECT_NE(text.find("perigee_policy_last_reload_successful 0\n"), std::string::npos);
  EXPECT_EQ(text.find("perigee_table_generation"), std::string::npos);
  EXPECT_EQ(text.find("perigee_link"), std::string::npos);
}

TEST(MetricsTest, PromtoolHasNothingToSay) {
  if (std::system("command -v promtool >/dev/null") != 0) GTEST_SKIP() << "promtool is not installed";
  for (const Snapshot& snapshot : {known_snapshot(), stale_snapshot(), Snapshot{}}) {
    FILE* promtool = ::popen("promtool check metrics", "w");
    const std::string text = text_of(snapshot);
    std::fwrite(text.data(), 1, text.size(), promtool);
    EXPECT_EQ(::pclose(promtool), 0);
  }
}

TEST(MetricsTest, ConnectionsAndProbesThatDisagreeAreTold) {
  using namespace std::chrono_literals;
  const auto told = [](std::optional<Nanos> rtt, bool alive = true) {
    Snapshot snapshot = known_snapshot();
    snapshot.health[0].connection_rtt = rtt;
    if (!alive) snapshot.conditions.dataplane_alive = false;
    const std::string text = text_of(snapshot);
    return lines_with(text, "perigee_endpoint_connection_rtt_seconds") +
           lines_with(text, "perigee_endpoint_rtt_disagreement");
  };
  const std::string labels = "{endpoint=\"mel-1\",pop=\"mel\"} ";
  const std::string least = "perigee_endpoint_connection_rtt_seconds" + labels;
  const std::string apart = "perigee_endpoint_rtt_disagreement" + labels;
  EXPECT_EQ(told(std::nullopt), "");
  EXPECT_EQ(told(5ms), least + "0.005\n" + apart + "0\n") << "the probes say 4.5 ms";
  EXPECT_EQ(told(8ms), least + "0.008\n" + apart + "1\n");
  EXPECT_EQ(told(8ms, false), least + "0.008\n");
}

TEST(MetricsTest, WhatForwardedConnectionsMet) {
  using namespace std::chrono_literals;
  const std::string text = text_of(snapshot_with_flows(5120us));
  EXPECT_EQ(lines_with(text, "perigee_link_flow_rtt"),
            link_line("perigee_link_flow_rtt_window_seconds", "stat=\"min\"", "0.00512") +
                link_line("perigee_link_flow_rtt_window_seconds", "stat=\"p50\"", "0.005184"));
  const std::string endpoint = R"({endpoint="mel-1",pop="mel",)";
  EXPECT_EQ(lines_with(text, "first_byte_window"),
            "perigee_endpoint_first_byte_window_seconds" + endpoint + "stat=\"min\"} 0.128\n" +
                "perigee_endpoint_first_byte_window_seconds" + endpoint + "stat=\"p50\"} 0.256\n");
  EXPECT_EQ(lines_with(text, "perigee_flow_"),
            "perigee_flow_handshakes_total" + endpoint + "link=\"syd-mel\"} 40\n" +
                "perigee_flow_handshake_seconds_total" + endpoint + "link=\"syd-mel\"} 0.2\n" +
                "perigee_flow_first_bytes_total" + endpoint + "link=\"syd-mel\"} 20\n" +
                "perigee_flow_first_byte_seconds_total" + endpoint + "link=\"syd-mel\"} 3\n");
  const std::string unknown = text_of(known_snapshot());
  for (const char* absent : {"perigee_link_flow_rtt", "first_byte", "perigee_flow_", "perigee_link_rtt_dis"})
    EXPECT_EQ(lines_with(unknown, absent), "");
  // Beyond its PoP a link's probes say nothing.
  EXPECT_EQ(lines_with(text_of(snapshot_with_flows(5120us, "syd-per")), "perigee_link_flow_rtt"), "");
}

TEST(MetricsTest, FlowsAndProbesThatDisagreeAreTold) {
  using namespace std::chrono_literals;
  const auto told = [](const Snapshot& snapshot, Instant now = kNow) {
    return lines_with(text_of(snapshot, now), "perigee_link_rtt_disagreement");
  };
  EXPECT_EQ(told(snapshot_with_flows(5ms)), link_line("perigee_link_rtt_disagreement", "", "0"))
      << "the probes say 4.5 ms";
  EXPECT_EQ(told(snapshot_with_flows(6ms)), link_line("perigee_link_rtt_disagreement", "", "1"));
  EXPECT_EQ(told(snapshot_with_flows(1ms)), link_line("perigee_link_rtt_disagreement", "", "1"));
  EXPECT_EQ(told(snapshot_with_flows(6ms), kNow + 31s), "") << "the probes' window is stale";
  Snapshot few = snapshot_with_flows(6ms);
  few.conditions.links[0].flow_rtt->samples = 2;
  EXPECT_EQ(told(few), "") << "fewer than min_samples";
  Snapshot lost = snapshot_with_flows(6ms);
  lost.conditions = conditions_of(*lost.policy, &*lost.telemetry, lost.health, kNow + 2s);
  EXPECT_EQ(told(lost), "") << "the data plane is gone";
}

}  // namespace
}  // namespace perigee::gateway::test
