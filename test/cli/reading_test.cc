// The verbs that read, against a server that answers as docs/api.md says.
#include "cli/reading.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/cli/http_server.h"
#include "test/cli/run_words.h"

namespace perigee::cli {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

Ran ask(std::vector<std::string> words, const std::string& body, const std::string& status = "200 OK",
        const std::string& target = "") {
  HttpServer server(http_answer(status, body));
  words.insert(words.end(), {"--admin", server.url()});
  Ran ran = run_words(words);
  if (!target.empty()) {
    EXPECT_THAT(server.requests().at(0), StartsWith("GET " + target + " HTTP/1.1"));
  }
  return ran;
}

const char* const kLinks = R"({"links": [
  {"name": "syd-mel-a", "pop": "mel", "port": "link0", "vlan": 0, "peer": "172.31.1.2", "state": "up",
   "state_age_s": 192.1, "rtt_ms": {"min": 5.01, "p50": 5.04, "p99": 15.3, "samples": 400},
   "flow_rtt_ms": {"min": 7.1, "p50": 7.25, "samples": 30}, "witnesses_disagree": true,
   "loss_ratio": 0.0025, "last_sample_age_ms": 9.7},
  {"name": "syd-per", "pop": "per", "port": "link2", "vlan": 7, "peer": "172.31.3.2", "state": "unknown",
   "state_age_s": null, "rtt_ms": null, "loss_ratio": null, "last_sample_age_ms": null}]})";

TEST(Reading, Links) {
  const Ran ran = ask({"links"}, kLinks, "200 OK", "/api/v1/links");
  EXPECT_EQ(ran.code, kOk) << ran.err;
  EXPECT_EQ(ran.out,
            "LINK       POP  STATE    SINCE  MIN ms  P50 ms  P99 ms  SAMPLES  FLOWS ms   LOSS  LAST ms  PORT "
            "  VLAN  "
            "PEER\n"
            "syd-mel-a  mel  up       3m12s   5.010   5.040  15.300      400   7.250 !  0.25%    9.700  "
            "link0     0  "
            "172.31.1.2\n"
            "syd-per    per  unknown      -       -       -       -        -         -      -        -  "
            "link2     7  "
            "172.31.3.2\n");
}

TEST(Reading, JsonIsPassedOnAsItCame) {
  EXPECT_EQ(ask({"links", "--json"}, kLinks).out, std::string(kLinks) + "\n");
}

TEST(Reading, Endpoints) {
  const Ran ran = ask({"endpoints"}, R"({"endpoints": [
    {"name": "mel-1", "pop": "mel", "address": "10.2.1.1:8000", "health": "healthy", "health_age_s": 60.2,
     "accepts_new": true, "drain": false, "full": false, "flows": 3, "flows_created": 40, "capacity": 64,
     "check": {"outcome": "ok", "detail": "", "connect_rtt_ms": 5.2},
     "load": {"waiting": 3, "running": null, "kv_usage": 0.25, "age_ms": 140.12},
     "first_byte_ms": {"min": 90.0, "p50": 181.5, "samples": 9}},
    {"name": "mel-2", "health": "dead", "accepts_new": false, "flows": null, "capacity": null,
     "check": {"outcome": "refused", "detail": "10.2.1.2:8000", "connect_rtt_ms": null}},
    {"name": "per-1", "health": "unknown", "drain": true, "check": null}]})",
                      "200 OK", "/api/v1/endpoints");
  EXPECT_EQ(ran.code, kOk) << ran.err;
  EXPECT_EQ(
      ran.out,
      "ENDPOINT  POP  ADDRESS        HEALTH   SINCE  NEW FLOWS    FLOWS  CAPACITY  CREATED  CONNECT ms  "
      "FIRST BYTE ms  LOAD                                             LAST CHECK\n"
      "mel-1     mel  10.2.1.1:8000  healthy  1m00s  yes              3        64       40       5.200  "
      "      181.500  3 waiting, - running, KV 25.00%, 140.120 ms old  ok\n"
      "mel-2     -    -              dead         -  no               -         -        -           -  "
      "            -  -                                                refused: 10.2.1.2:8000\n"
      "per-1     -    -              unknown      -  no: drained      -         -        -           -  "
      "            -  -                                                -\n");
}

TEST(Reading, WhatTheOperatorRulesOut) {
  const std::string endpoints = ask({"endpoints"}, R"({"endpoints": [
    {"name": "a", "drain": true, "draining": {"flows_left": 3, "deadline_s": 540.0}, "flows": 3},
    {"name": "b", "drain": true, "draining": {"flows_left": 0, "deadline_s": 0.0}},
    {"name": "c", "accepts_new": false, "maintenance": {"until": "2026-12-01T04:00:00Z", "note": ""}}]})",
                                    "200 OK", "/api/v1/endpoints")
                                    .out;
  for (const char* part :
       {"no: drained, 9m00s left", "no: drained, over", "no: maintenance until 2026-12-01T04:00:00Z"})
    EXPECT_NE(endpoints.find(part), std::string::npos) << endpoints;
  const std::string links = ask({"links"}, R"({"links": [{"name": "x", "state": "up", "maintenance": {}}]})",
                                "200 OK", "/api/v1/links")
                                .out;
  EXPECT_NE(links.find("up, in maintenance"), std::string::npos) << links;
  const std::string services = ask({"services"}, R"({
    "services": [{"name": "chat", "tiers": [], "pin": {"to": ["a", "b"], "until": "T1", "in_force": true}}],
    "routed": [{"name": "ai", "models": [], "pin": {"to": ["c"], "until": "T2", "in_force": false}}]})",
                                   "200 OK", "/api/v1/services")
                                   .out;
  EXPECT_TRUE(services.ends_with("chat: pinned until T1 to a, b\nai: its pin expired at T2, it was to c\n"))
      << services;
}

TEST(Reading, Services) {
  const Ran ran = ask({"services"}, R"({"services": [
    {"name": "chat", "vip": "203.0.113.10:8000", "protocol": "tcp", "deliver": "nat", "changed_age_s": 31,
     "tiers": [[{"endpoint": "mel-1", "pop": "mel", "link": "syd-mel-a", "weight": 100}],
               [{"endpoint": "syd-1", "pop": "syd", "link": null, "weight": 50}]],
     "excluded": [{"endpoint": "per-1", "pop": "per", "link": "syd-per", "reason": "link_down"}]},
    {"name": "web", "vip": "203.0.113.11", "protocol": "any", "deliver": "host", "tiers": []},
    {"name": "none", "vip": "203.0.113.12:80", "protocol": "tcp", "deliver": "nat", "tiers": []}],
    "routed": [{"name": "ai", "listeners": [{"name": "a", "address": "203.0.113.11:443", "tls": true}], "models": [
      {"name": "llama", "changed_age_s": null,
       "tiers": [[{"endpoint": "mel-1", "pop": "mel", "link": "syd-mel-a", "weight": 100}]],
       "canary": {"percent": 2.5, "tiers": [[{"endpoint": "per-1", "pop": "per", "link": "syd-per", "weight": 9}]]}},
      {"name": "phi", "tiers": [], "canary": null}]}]})",
                      "200 OK", "/api/v1/services");
  EXPECT_EQ(ran.code, kOk) << ran.err;
  EXPECT_EQ(
      ran.out,
      "SERVICE          VIP                PROTOCOL  TIER  ENDPOINT  POP  LINK       WEIGHT  NOTE\n"
      "chat             203.0.113.10:8000  tcp          0  mel-1     mel  syd-mel-a     100  new flows, "
      "since 31s\n"
      "                                                 1  syd-1     syd  -              50\n"
      "                                                 -  per-1     per  syd-per         -  excluded: "
      "link_down\n"
      "web              203.0.113.11       any          -  -         -    -               -  delivered to "
      "this host\n"
      "none             203.0.113.12:80    tcp          -  -         -    -               -  no candidate: "
      "refused\n"
      "ai/llama         203.0.113.11:443   https        0  mel-1     mel  syd-mel-a     100  requests\n"
      "ai/llama/canary  203.0.113.11:443   https        0  per-1     per  syd-per         9  2.5% of keys "
      "and "
      "sessions\n"
      "ai/phi           203.0.113.11:443   https        -  -         -    -               -  no candidate: "
      "refused\n");
}

TEST(Reading, Explain) {
  const Ran ran = ask({"explain", "chat", "--client", "198.51.100.10", "--port", "4711"}, R"({
    "service": "chat", "client": "198.51.100.10", "port": 4711, "summary": "new flows go to mel-1",
    "generation": 12, "candidates": [
    {"endpoint": "mel-1", "pop": "mel", "link": "syd-mel-a", "tier": 0, "weight": 100, "share": 0.5, "probability": 0.5,
     "cost_ms": {"total": 6.04, "rtt": 5.04, "declared": 0, "policy": 1, "loss": 0}, "verdict": "serves"},
    {"endpoint": "per-1", "pop": "per", "link": "syd-per", "tier": null, "weight": 100, "share": 0,
     "cost_ms": {"total": null, "rtt": null, "declared": 0, "policy": 0, "loss": 0}, "verdict": "excluded"}]})",
                      "200 OK", "/api/v1/services/chat/explain?client=198.51.100.10&port=4711");
  EXPECT_EQ(ran.code, kOk) << ran.err;
  EXPECT_EQ(ran.out,
            "chat for 198.51.100.10, table generation 12: new flows go to mel-1\n\n"
            "TIER  ENDPOINT  POP  LINK       COST ms    RTT  DECLARED  POLICY   LOSS  WEIGHT   SHARE    ODDS "
            " VERDICT\n"
            "   0  mel-1     mel  syd-mel-a    6.040  5.040     0.000   1.000  0.000     100  50.00%  50.00% "
            " serves\n"
            "   -  per-1     per  syd-per          -      -     0.000   0.000  0.000     100   0.00%       - "
            " excluded\n");
}

TEST(Reading, ExplainEncodesTheName) {
  ask({"explain", "a/b?c", "--client", "2001:db8::1"}, "{}", "200 OK",
      "/api/v1/services/a%2Fb%3Fc/explain?client=2001%3Adb8%3A%3A1");
}

const char* const kStatus = R"({"version": "0.1.0", "pop": "syd", "ready": true, "reasons": [],
 "policy": {"file": "/etc/perigee/policy.yaml", "loaded_at": "2026-11-30T00:40:00.000Z",
            "last_reload_successful": false, "errors": ["policy.yaml:3:1: bad"]},
 "table": {"generation": 12, "state": "in_force", "reason": ""},
 "dataplane": {"alive": true, "pid": 4711, "uptime_s": 3600.1, "in_force": {"generation": 12},
               "refused": {"generation": 11, "reason": "no port link9"}, "flows": 10, "flow_capacity": 1000,
               "snat_ports": {"used": 10, "total": 64512}, "packets": {"local": 1, "nat": 2},
               "drops": {}, "ports": [{"name": "edge0", "link_up": true}, {"name": "link0", "link_up": false}]}})";

TEST(Reading, Status) {
  const Ran ran = ask({"status"}, kStatus, "200 OK", "/api/v1/status");
  EXPECT_EQ(ran.code, kOk) << ran.err;
  EXPECT_EQ(
      ran.out,
      "gateway     version 0.1.0, PoP syd\n"
      "ready       yes\n"
      "policy      /etc/perigee/policy.yaml, loaded 2026-11-30T00:40:00.000Z, last reload successful: no\n"
      "            policy.yaml:3:1: bad\n"
      "table       generation 12, in_force\n"
      "data plane  alive, pid 4711, up 1h00m, serves generation 12\n"
      "refused     generation 11: no port link9\n"
      "flows       10 of 1000, SNAT ports 10 of 64512\n"
      "packets     local 1, nat 2\n"
      "drops       none\n"
      "ports       edge0 up, link0 down\n");
}

TEST(Reading, StatusWithNothingKnown) {
  const Ran ran =
      ask({"status"}, R"({"ready": false, "reasons": ["no policy", "no data plane"], "table": null,
    "dataplane": {"alive": false, "reason": "no telemetry", "flows": null, "refused": null}})");
  EXPECT_EQ(ran.code, kOk);
  EXPECT_THAT(ran.out, HasSubstr("ready       no: no policy, no data plane\n"));
  EXPECT_THAT(ran.out, HasSubstr("table       none yet\n"));
  EXPECT_THAT(ran.out, HasSubstr("data plane  not alive: no telemetry\n"));
  EXPECT_THAT(ran.out, HasSubstr("flows       - of -"));
  EXPECT_THAT(ran.out, HasSubstr("drops       -\n"));
  EXPECT_THAT(ran.out, Not(HasSubstr("refused")));
}

TEST(Reading, AnEmptyObjectIsNoTrouble) {
  EXPECT_EQ(ask({"links"}, "{}").out, "no links\n");
  EXPECT_EQ(ask({"endpoints"}, R"({"endpoints": 5})").out, "no endpoints\n");
  EXPECT_EQ(ask({"services"}, R"({"services": []})").out, "no services\n");
  EXPECT_EQ(ask({"links"}, R"({"links": [7, null, {}]})").code, kOk);
  EXPECT_EQ(ask({"status"}, "{}").code, kOk);
}

TEST(Reading, ErrorsAreMessagesAndExitOne) {
  const Ran missing =
      ask({"explain", "chta", "--client", "10.0.0.1"}, R"({"error": "no service chta"})", "404 Not Found");
  EXPECT_EQ(missing.code, kFailed);
  EXPECT_THAT(missing.err, HasSubstr("status 404: no service chta"));
  EXPECT_EQ(missing.out, "");
  EXPECT_THAT(ask({"links"}, "oops", "500 Internal Server Error").err, HasSubstr("status 500"));
  for (const char* body : {"", "<html>", "[]", "{\"links\": "}) {
    const Ran ran = ask({"links", "--json"}, body);
    EXPECT_EQ(ran.code, kFailed) << body;
    EXPECT_THAT(ran.err, HasSubstr("no JSON object"));
    EXPECT_EQ(ran.out, "");
  }
}

}  // namespace
}  // namespace perigee::cli
