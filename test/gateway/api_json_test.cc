#include "gateway/api_json.h"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "test/gateway/known_snapshot.h"

namespace perigee::gateway::test {
namespace {

namespace json = boost::json;

TEST(ApiJsonTest, StatusOfAGatewayThatIsReady) {
  const json::value status = status_json(known_snapshot(), kNow);
  EXPECT_EQ(status.at("pop"), json::value("syd"));
  EXPECT_EQ(status.at("ready"), json::value(true));
  EXPECT_EQ(status.at("reasons"), json::value(json::array{}));
  EXPECT_EQ(status.at("policy").at("loaded"), json::value(true));
  EXPECT_EQ(status.at("table").at("state"), json::value("in_force"));
  EXPECT_EQ(status.at("table").at("instance"), json::value("0000000000000001"));
  const json::value& dataplane = status.at("dataplane");
  EXPECT_EQ(dataplane.at("in_force").at("generation"), json::value(12U));
  EXPECT_EQ(dataplane.at("refused"), json::value(nullptr));
  EXPECT_EQ(dataplane.at("heartbeat_age_ms"), json::value(10.0));
  EXPECT_EQ(dataplane.at("snat_ports"), (json::value{{"used", 16U}, {"total", 64U}}));
  EXPECT_EQ(dataplane.at("drops"), (json::value{{"no_flow", 5U}}));
}

TEST(ApiJsonTest, StatusOfAGatewayThatKnowsNothing) {
  const json::value status = status_json(Snapshot{}, kNow);
  EXPECT_EQ(status.at("pop"), json::value(nullptr));
  EXPECT_EQ(status.at("ready"), json::value(false));
  EXPECT_EQ(status.at("reasons").as_array().size(), 3U);
  EXPECT_EQ(status.at("table"), json::value(nullptr));
  EXPECT_EQ(status.at("dataplane").at("flows"), json::value(nullptr));
  const json::value known = status_json(known_snapshot(), kNow);
  EXPECT_EQ(status.at("dataplane").as_object().size(), known.at("dataplane").as_object().size());
}

TEST(ApiJsonTest, AGatewayThatStoppedToDecideIsNotReady) {
  Snapshot snapshot = known_snapshot();
  EXPECT_EQ(readiness_json(snapshot, kNow + kAcknowledgeGrace).at("ready"), json::value(true));
  EXPECT_EQ(readiness_json(snapshot, kNow + kAcknowledgeGrace + Nanos(1)).at("ready"), json::value(false));
  Policy slow = *snapshot.policy;
  slow.steering.tick = std::chrono::seconds(1);
  snapshot.policy = std::make_shared<const Policy>(slow);
  EXPECT_EQ(readiness_json(snapshot, kNow + kMaxSnapshotTicks * slow.steering.tick).at("ready"),
            json::value(true));
}

TEST(ApiJsonTest, Links) {
  const json::value links = links_json(known_snapshot(), kNow);
  const json::value& measured = links.at("links").as_array().at(0);
  EXPECT_EQ(measured.at("name"), json::value("syd-mel"));
  EXPECT_EQ(measured.at("pop"), json::value("mel"));
  EXPECT_EQ(measured.at("state"), json::value("degraded"));
  EXPECT_EQ(measured.at("state_age_s"), json::value(12.0));
  EXPECT_EQ(measured.at("rtt_ms"),
            (json::value{{"min", 4.0}, {"p50", 4.5}, {"p99", 8.0}, {"samples", 100U}}));
  EXPECT_EQ(measured.at("loss_ratio"), json::value(0.02));
  EXPECT_EQ(measured.at("probes").at("invalid").at("ttl"), json::value(7U));
  const json::value& unknown = links.at("links").as_array().at(1);
  EXPECT_EQ(unknown.at("state"), json::value("unknown"));
  for (const char* absent : {"rtt_ms", "loss_ratio", "last_sample_age_ms", "state_age_s"}) {
    EXPECT_EQ(unknown.at(absent), json::value(nullptr)) << absent;
  }
}

TEST(ApiJsonTest, WhatFlowsMet) {
  using namespace std::chrono_literals;
  const Snapshot snapshot = snapshot_with_flows(6400us);
  const json::value links = links_json(snapshot, kNow);
  const json::value& link = links.at("links").as_array().at(0);
  EXPECT_EQ(link.at("flow_rtt_ms"), (json::value{{"min", 6.4}, {"p50", 6.464}, {"samples", 3U}}));
  EXPECT_EQ(link.at("witnesses_disagree"), json::value(true));
  const json::value endpoints = endpoints_json(snapshot, kNow);
  EXPECT_EQ(endpoints.at("endpoints").as_array().at(0).at("first_byte_ms"),
            (json::value{{"min", 128.0}, {"p50", 256.0}, {"samples", 3U}}));
  EXPECT_EQ(links.at("links").as_array().at(1).at("flow_rtt_ms"), json::value(nullptr));
  EXPECT_EQ(links.at("links").as_array().at(1).at("witnesses_disagree"), json::value(nullptr));
  EXPECT_EQ(endpoints.at("endpoints").as_array().at(1).at("first_byte_ms"), json::value(nullptr));
}

TEST(ApiJsonTest, StaleLinksAreUnknown) {
  const json::value links = links_json(stale_snapshot(), kNow);
  const json::value& link = links.at("links").as_array().at(0);
  EXPECT_EQ(link.at("state"), json::value("unknown"));
  EXPECT_EQ(link.at("rtt_ms"), json::value(nullptr));
  EXPECT_EQ(link.at("probes").at("sent"), json::value(110U));
}

TEST(ApiJsonTest, Endpoints) {
  const json::value endpoints = endpoints_json(known_snapshot(), kNow);
  const json::value& checked = endpoints.at("endpoints").as_array().at(0);
  EXPECT_EQ(checked.at("address"), json::value("10.2.1.1:8000"));
  EXPECT_EQ(checked.at("health"), json::value("healthy"));
  EXPECT_EQ(checked.at("check").at("connect_rtt_ms"), json::value(5.0));
  EXPECT_EQ(checked.at("check").at("outcome"), json::value("ok"));
  EXPECT_EQ(checked.at("flows"), json::value(3U));
  EXPECT_EQ(checked.at("labels"), (json::value{{"gpu", "h100"}}));
  const json::value& unknown = endpoints.at("endpoints").as_array().at(1);
  for (const char* absent : {"check", "flows", "capacity", "health_age_s"}) {
    EXPECT_EQ(unknown.at(absent), json::value(nullptr)) << absent;
  }
}

TEST(ApiJsonTest, TheLoadOfAnEngineWithItsAge) {
  using namespace std::chrono_literals;
  Snapshot snapshot = known_snapshot();
  snapshot.health[0].load.load =
      EngineLoad{.taken = kNow - 500ms, .engine = Engine::sglang, .waiting = 3, .kv_use = 0.25};
  snapshot.health[0].load.prefill_rate = 8000.5;
  const auto load_at = [&](Instant now) {
    return endpoints_json(snapshot, now).at("endpoints").as_array().at(0).at("load");
  };
  EXPECT_EQ(load_at(kNow), (json::value{{"engine", "sglang"},
                                        {"age_ms", 500.0},
                                        {"waiting", 3U},
                                        {"running", nullptr},
                                        {"kv_usage", 0.25},
                                        {"prefill_tokens_per_s", 8000.5},
                                        {"prompt_tokens", nullptr}}));
  EXPECT_TRUE(load_at(kNow + 251ms).is_null());
}

TEST(ApiJsonTest, Services) {
  const json::value services = services_json(known_snapshot(), kNow);
  const json::value& chat = services.at("services").as_array().at(0);
  EXPECT_EQ(chat.at("vip"), json::value("203.0.113.10:8000"));
  EXPECT_EQ(chat.at("max_rtt_ms"), json::value(nullptr));
  const json::value active = {{"endpoint", "mel-1"}, {"pop", "mel"}, {"link", "syd-mel"}, {"weight", 100U}};
  EXPECT_EQ(chat.at("active"), json::value(json::array{active}));
  EXPECT_EQ(chat.at("tiers").as_array().at(0), json::value(json::array{active}));
  EXPECT_EQ(chat.at("switches").at("initial"), json::value(1U));
  EXPECT_EQ(chat.at("switches").at("rtt"), json::value(0U));
}

TEST(ApiJsonTest, WhatTheOperatorRulesOut) {
  const Snapshot snapshot = constrained_snapshot();
  const json::value endpoints = endpoints_json(snapshot, kNow);
  EXPECT_EQ(endpoints.at_pointer("/endpoints/0/draining"),
            (json::value{{"flows_left", 3U}, {"deadline_s", 540.0}}));
  EXPECT_EQ(
      endpoints_json(snapshot, kNow + std::chrono::hours(1)).at_pointer("/endpoints/0/draining/deadline_s"),
      json::value(0.0));
  EXPECT_EQ(endpoints.at_pointer("/endpoints/0/maintenance"), json::value(nullptr));
  EXPECT_EQ(endpoints.at_pointer("/endpoints/1/draining"), json::value(nullptr));
  EXPECT_EQ(endpoints.at_pointer("/endpoints/1/maintenance"),
            (json::value{{"until", "2026-12-01T03:00:00Z"}, {"note", "fans"}}));
  EXPECT_EQ(endpoints.at_pointer("/endpoints/1/accepts_new"), json::value(false));
  EXPECT_EQ(links_json(snapshot, kNow).at_pointer("/links/1/maintenance/until"),
            json::value("2026-12-01T04:00:00Z"));
  const json::value chat = services_json(snapshot, kNow).at_pointer("/services/0");
  EXPECT_EQ(chat.at("pops"), json::value(json::array{"mel", "per"}));
  EXPECT_EQ(
      chat.at("pin"),
      (json::value{{"to", json::array{"mel-1"}}, {"until", "2026-12-01T02:00:00Z"}, {"in_force", false}}));
  EXPECT_EQ(chat.at_pointer("/excluded/1/reason"), json::value("maintenance"));
}

TEST(ApiJsonTest, RoutedServices) {
  Snapshot snapshot = known_snapshot(kRouted);
  snapshot.switches[id_from_name<ServiceId>("ai/llama")][1] = 3;
  const json::value services = services_json(snapshot, kNow);
  EXPECT_EQ(services.at("services").as_array().size(), 1U);
  const json::value& ai = services.at("routed").as_array().at(0);
  EXPECT_EQ(ai.at("listeners"), json::value(json::array{json::object{
                                    {"name", "front"}, {"address", "203.0.113.11:80"}, {"tls", false}}}));
  EXPECT_EQ(ai.at("residency"), json::value(nullptr));
  const json::value& model = ai.at("models").as_array().at(0);
  EXPECT_EQ(model.at("name"), json::value("llama"));
  EXPECT_EQ(model.at("aliases"), json::value(json::array{"l"}));
  EXPECT_EQ(model.at("served_name"), json::value("meta/llama"));
  EXPECT_EQ(model.at("active").as_array().at(0).at("endpoint"), json::value("mel-1"));
  EXPECT_EQ(model.at("switches").at("rtt"), json::value(3U));
  EXPECT_EQ(model.at("canary").at("percent"), json::value(5.0));
  EXPECT_EQ(model.at("canary").at("active").as_array().at(0).at("link"), json::value("syd-per"));
}

TEST(ApiJsonTest, Explanation) {
  const Snapshot snapshot = known_snapshot();
  const auto explained =
      explain(*snapshot.policy, *snapshot.route, "chat", IpAddress::v4(198, 51, 100, 10), std::nullopt, kNow);
  ASSERT_TRUE(explained) << explained.error().text();
  const json::value value = explanation_json(snapshot, *explained, {});
  EXPECT_EQ(value.at("client"), json::value("198.51.100.10"));
  EXPECT_EQ(value.at("port"), json::value(nullptr));
  EXPECT_EQ(value.at("generation"), json::value(12U));
  const json::value& first = value.at("candidates").as_array().at(0);
  EXPECT_EQ(first.at("endpoint"), json::value("mel-1"));
  EXPECT_EQ(first.at("tier"), json::value(0U));
  EXPECT_EQ(first.at("cost_ms").at("rtt"), json::value(4.5));
  EXPECT_EQ(value.at("candidates").as_array().at(1).at("cost_ms").at("rtt"), json::value(nullptr));
}

TEST(ApiJsonTest, Changes) {
  EXPECT_EQ(json::serialize(change_json({ChangeResult::invalid, 7, "why", {"a", "b"}})),
            R"({"result":"invalid","generation":7,"reason":"why","errors":["a","b"]})");
}

}  // namespace
}  // namespace perigee::gateway::test
