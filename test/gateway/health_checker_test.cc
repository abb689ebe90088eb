// The checker of all endpoints, against real sockets on loopback.
#include "gateway/health_checker.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>

#include "test/gateway/one_endpoint.h"
#include "test/gateway/tls_endpoint.h"

namespace perigee::gateway::test {
namespace {

using namespace std::chrono_literals;

Policy policy_with(std::uint16_t port) {
  Policy policy = one_endpoint(port);
  Policy::Health& health = policy.endpoints[0].health;
  health.interval = 5ms;
  health.timeout = 10s;
  health.fall = 3;
  health.rise = 2;
  return policy;
}

class HealthCheckerTest : public OneEndpointTest {
 protected:
  [[nodiscard]] Health verdict() const { return checker_.report().front().state.verdict; }
  [[nodiscard]] std::uint64_t seen(CheckFinding finding) const {
    return checker_.report().front().findings[static_cast<std::size_t>(finding)];
  }

  HealthChecker checker_{io_.get_executor(), log_};
};

TEST_F(HealthCheckerTest, FallsAndRisesByTheLaw) {
  std::atomic<bool> good = true;
  const ScriptedEndpoint endpoint([&](const Socket& client) {
    (void)client.read_until("\r\n\r\n");
    client.send(http_response(good ? "200 OK" : "503 No", ""));
  });
  checker_.set_dataplane_alive(true);
  checker_.follow(policy_with(endpoint.port()), {});
  EXPECT_EQ(verdict(), Health::unknown);
  ASSERT_TRUE(run_until([&] { return verdict() == Health::healthy; }));
  good = false;
  ASSERT_TRUE(run_until([&] { return verdict() == Health::unhealthy; }));
  EXPECT_GE(seen(CheckFinding::bad_status), 3U);
  good = true;
  ASSERT_TRUE(run_until([&] { return verdict() == Health::healthy; }));
  EXPECT_EQ(lines_.count("endpoint_health"), 3) << lines_.text();
  EXPECT_NE(lines_.text().find("\"detail\":\"status 503, not 200\""), std::string::npos) << lines_.text();
}

TEST_F(HealthCheckerTest, AnEndpointNobodyListensAtIsDead) {
  checker_.set_dataplane_alive(true);
  checker_.follow(policy_with(closed_port()), {});
  ASSERT_TRUE(run_until([&] { return verdict() == Health::dead; }));
}

TEST_F(HealthCheckerTest, WithoutADataPlaneChecksAreShownButDoNotCount) {
  checker_.follow(policy_with(closed_port()), {});
  ASSERT_TRUE(run_until([&] { return seen(CheckFinding::refused) > 5; }));
  EXPECT_EQ(verdict(), Health::unknown);
  EXPECT_EQ(checker_.report().front().last->finding, CheckFinding::refused);
}

TEST_F(HealthCheckerTest, AReloadKeepsWhatIsKnownOfTheSamePlaceOnly) {
  const ScriptedEndpoint endpoint(answering(http_response("200 OK", "")));
  checker_.set_dataplane_alive(true);
  Policy policy = policy_with(endpoint.port());
  checker_.follow(policy, {});
  ASSERT_TRUE(run_until([&] { return verdict() == Health::healthy; }));
  checker_.follow(policy, {});
  EXPECT_EQ(verdict(), Health::healthy);
  policy.endpoints[0].health.fall = 5;
  checker_.follow(policy, {});
  EXPECT_EQ(verdict(), Health::healthy);
  policy.endpoints[0].port = closed_port();
  checker_.follow(policy, {});
  EXPECT_EQ(verdict(), Health::unknown);
  ASSERT_TRUE(run_until([&] { return verdict() == Health::dead; }));
  const auto known = checker_.report();
  checker_.follow(Policy{}, {});
  EXPECT_TRUE(checker_.report().empty());
  checker_.follow(policy, {});
  EXPECT_EQ(verdict(), Health::unknown);
  checker_.recall(known);
  EXPECT_EQ(verdict(), Health::dead) << "a change that was taken back";
}

// An endpoint that passes its checks and lists what `listed` says.
class DiscoverTest : public HealthCheckerTest {
 protected:
  DiscoverTest() {
    policy_.endpoints[0].discover = "/v1/models";
    Policy::Model model;
    model.name = "m";
    model.pool.served_name = "phi";
    model.pool.endpoints = {0};
    policy_.routed.emplace_back().models = {model};
  }
  void list(const std::string& answer) {
    const std::lock_guard lock(mutex_);
    listed_ = answer;
  }
  [[nodiscard]] std::optional<std::vector<std::string>> absent() const {
    return discovering_.report().front().absent_models;
  }
  // The executor runs both; this one asks often.
  HealthChecker discovering_{io_.get_executor(), log_, 300ms};
  std::mutex mutex_;
  std::string listed_ = http_response("200 OK", R"({"data":[{"id":"phi","max_model_len":4096}]})");
  std::atomic<int> asked_ = 0, checked_ = 0;
  std::atomic<bool> stalls_ = false;  // its list
  std::vector<Socket> held_;
  std::array<std::string, 2> last_;  // request for health, and for the list
  const ScriptedEndpoint endpoint_{[this](const Socket& client) {
    const std::string request = client.read_until("\r\n\r\n");
    const std::lock_guard lock(mutex_);
    const bool asks = request.starts_with("GET /v1/models HTTP/1.1\r\n");
    if (asks && stalls_) held_.push_back(Socket(::dup(client.fd())));
    if (asks && stalls_) return;
    ++(asks ? asked_ : checked_);
    last_[asks] = request;
    client.send(asks ? listed_ : http_response("200 OK", ""));
  }};
  Policy policy_ = policy_with(endpoint_.port());
};

TEST_F(DiscoverTest, AModelThatIsNotListedIsAbsent) {
  const std::vector<std::string> none;
  discovering_.follow(policy_, {});
  EXPECT_FALSE(absent());
  ASSERT_TRUE(run_until([&] { return absent() == none; }));
  EXPECT_EQ(discovering_.report().front().models->at("phi").max_model_len, 4096);
  list(http_response("200 OK", R"({"data":[{"id":"other"}]})"));
  ASSERT_TRUE(run_until([&] { return absent() == std::vector<std::string>{"phi"}; }));
  EXPECT_NE(lines_.text().find("\"absent\":[\"phi\"]"), std::string::npos) << lines_.text();
  list(http_response("200 OK", R"({"data":[{"id":"phi"}]})"));
  ASSERT_TRUE(run_until([&] { return absent() == none; }));
  policy_.endpoints[0].discover.clear();
  discovering_.follow(policy_, {});
  EXPECT_FALSE(absent());
  EXPECT_EQ(discovering_.report().front().models, nullptr);
}

TEST_F(DiscoverTest, WhatCannotBeReadChangesNothingUntilItCountsAsDeclared) {
  list(http_response("200 OK", R"({"data":[]})"));
  discovering_.follow(policy_, {});
  ASSERT_TRUE(run_until([&] { return absent().has_value(); }));
  list(http_response("401 Unauthorized", R"({"data":[{"id":"phi"}]})"));
  const int before = asked_;
  ASSERT_TRUE(run_until([&] { return asked_ > before + 1; }));
  EXPECT_EQ(absent(), std::vector<std::string>{"phi"});
  ASSERT_TRUE(run_until([&] { return !absent(); }));
  list("HTTP/1.1 200 OK\r\n\r\n" + std::string(kMaxCheckResponse + 1, ' ') + R"({"data":[]})");
  const int later = asked_;
  ASSERT_TRUE(run_until([&] { return asked_ > later + 2; }));
  EXPECT_FALSE(absent()) << "too large";
}

TEST_F(DiscoverTest, AsksForTheListWithTheCredentialAndForHealthWithout) {
  policy_.endpoints[0].credential.environment = "PERIGEE_TEST_TOKEN";
  ::unsetenv("PERIGEE_TEST_TOKEN");
  const auto errors = router::load_endpoint_access(policy_).errors;
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_EQ(errors[0].text().find("endpoints.one.credential: PERIGEE_TEST_TOKEN: "), 0U) << errors[0].text();
  ::setenv("PERIGEE_TEST_TOKEN", "secret", 1);
  discovering_.follow(policy_, router::load_endpoint_access(policy_).each);
  ::unsetenv("PERIGEE_TEST_TOKEN");
  ASSERT_TRUE(run_until([&] { return absent().has_value(); }));
  const std::lock_guard lock(mutex_);
  EXPECT_EQ(last_[false].find("Authorization"), std::string::npos) << last_[false];
  EXPECT_NE(last_[true].find("\r\nAuthorization: Bearer secret\r\n"), std::string::npos) << last_[true];
}

TEST_F(DiscoverTest, AListThatDoesNotComeKeepsNoCheckWaiting) {
  stalls_ = true;
  discovering_.follow(policy_, {});
  ASSERT_TRUE(run_until([&] {
    const std::lock_guard lock(mutex_);
    return !held_.empty();
  }));
  const int before = checked_;
  EXPECT_TRUE(run_until([&] { return checked_ > before + 5; }));
  const std::lock_guard lock(mutex_);
  EXPECT_EQ(held_.size(), 1U) << "asked once";
}

TEST_F(HealthCheckerTest, AReloadTakesTheCertificatesOfThen) {
  std::signal(SIGPIPE, SIG_IGN);
  router::TestIssuer issuer("issuer");
  const router::TestIssuer stranger("a stranger");
  const TlsIdentity identity(issuer.issue("IP:127.0.0.1"));
  const ScriptedEndpoint endpoint(identity.answering(http_response("200 OK", "")));
  Policy policy = policy_with(endpoint.port());
  policy.endpoints[0].health.type = Policy::Health::Type::https;
  policy.endpoints[0].tls = Policy::EndpointTls{issuer.file(), "127.0.0.1", true, "", ""};
  checker_.set_dataplane_alive(true);
  checker_.follow(policy, router::load_endpoint_access(policy).each);
  ASSERT_TRUE(run_until([&] { return verdict() == Health::healthy; }));
  policy.endpoints[0].tls->ca = stranger.file();
  checker_.follow(policy, router::load_endpoint_access(policy).each);
  EXPECT_EQ(verdict(), Health::healthy) << "until the certificate was looked at";
  ASSERT_TRUE(run_until([&] { return verdict() == Health::unhealthy; }));
  policy.endpoints[0].tls->ca = "/nonexistent.pem";
  const auto errors = router::load_endpoint_access(policy).errors;
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_EQ(errors[0].text().find("endpoints.one.tls: /nonexistent.pem: "), 0U) << errors[0].text();
}

}  // namespace
}  // namespace perigee::gateway::test
