// The poll of engines' load against real sockets on loopback.
#include "gateway/load_poller.h"

#include <atomic>
#include <csignal>
#include <mutex>

#include "test/gateway/one_endpoint.h"
#include "test/gateway/tls_endpoint.h"

namespace perigee::gateway::test {
namespace {

using namespace std::chrono_literals;

std::string page(int waiting) { return "vllm:num_requests_waiting " + std::to_string(waiting) + "\n"; }

// Polled often, as no policy may say.
Policy policy_with(std::uint16_t port) {
  Policy policy = one_endpoint(port);
  policy.endpoints[0].load = {"/metrics", 20ms, false, 0};
  return policy;
}

class LoadPollerTest : public OneEndpointTest {
 protected:
  [[nodiscard]] EndpointLoad state() const { return poller_.report(monotonic_now()).front(); }
  [[nodiscard]] std::uint64_t seen(CheckFinding finding) const {
    return state().polls[static_cast<std::size_t>(finding)];
  }
  void answer(const std::string& text) {
    const std::lock_guard lock(mutex_);
    answer_ = text;
  }

  std::uint32_t waiting_ = 0;  // as the sink got it last
  std::size_t taken_ = 0;      // how often
  LoadPoller poller_{io_.get_executor(), log_,
                     [this](const Policy::Endpoint& of, const EngineLoad& load, const EngineRate&) {
                       EXPECT_EQ(of.name, "one");
                       waiting_ = load.waiting.value_or(999);
                       ++taken_;
                     }};
  std::mutex mutex_;
  std::string answer_ = http_response("200 OK", page(3));
  std::atomic<int> most_ = 1000;  // answers on one connection
  std::string request_;
  const ScriptedEndpoint endpoint_{[this](const Socket& client) {
    for (int i = 0; i < most_; ++i) {
      const std::string request = client.read_until("\r\n\r\n");
      if (request.empty()) return;
      const std::lock_guard lock(mutex_);
      request_ = request;
      client.send(answer_);
      if (answer_.empty()) return;
    }
  }};
};

TEST_F(LoadPollerTest, AsksAgainAndAgainOverOneConnection) {
  poller_.follow(policy_with(endpoint_.port()), {});
  EXPECT_FALSE(state().load);
  ASSERT_TRUE(run_until([&] { return taken_ >= 5; }));
  EXPECT_EQ(waiting_, 3U);
  EXPECT_EQ(endpoint_.connections(), 1);
  EXPECT_EQ(seen(CheckFinding::ok), taken_);
  {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(request_.find("GET /metrics HTTP/1.1\r\n"), 0U) << request_;
    EXPECT_EQ(request_.find("Authorization"), std::string::npos);
  }
  answer(http_response("200 OK", page(4)));
  ASSERT_TRUE(run_until([&] { return waiting_ == 4; }));
  EXPECT_EQ(lines_.count("endpoint_load"), 0) << lines_.text();
  poller_.follow(Policy{}, {});  // it stops the connection too, or the endpoint would wait for long
}

TEST_F(LoadPollerTest, ShowsItsCredentialToTheEndpointAndNotToAnotherPort) {
  Policy policy = policy_with(endpoint_.port());
  const std::vector<EndpointAccess> access{{nullptr, "Bearer secret"}};
  const auto shown = [this] {
    const std::lock_guard lock(mutex_);
    return request_.find("\r\nAuthorization: Bearer secret\r\n") != std::string::npos;
  };
  poller_.follow(policy, access);
  ASSERT_TRUE(run_until([&] { return taken_ >= 1; }));
  EXPECT_TRUE(shown());
  policy.endpoints[0].load.port = endpoint_.port();
  policy.endpoints[0].port = closed_port();
  poller_.follow(policy, access);
  const auto before = taken_;
  ASSERT_TRUE(run_until([&] { return taken_ > before; }));
  EXPECT_FALSE(shown());
  poller_.follow(Policy{}, {});
}

// A kept connection that its server closes when it pleases is no failure.
TEST_F(LoadPollerTest, AConnectionThatWasClosedIsMadeAnew) {
  most_ = 2;
  poller_.follow(policy_with(endpoint_.port()), {});
  ASSERT_TRUE(run_until([&] { return taken_ >= 6; }));
  EXPECT_GE(endpoint_.connections(), 3);
  EXPECT_EQ(seen(CheckFinding::ok), taken_);
  EXPECT_EQ(seen(CheckFinding::reset), 0U);
  most_ = 0;
  poller_.follow(Policy{}, {});
}

TEST_F(LoadPollerTest, WhatCannotBeReadIsUnknownNotIdle) {
  poller_.follow(policy_with(endpoint_.port()), {});
  ASSERT_TRUE(run_until([&] { return state().load.has_value(); }));
  answer(http_response("200 OK", "go_goroutines 3\n"));
  ASSERT_TRUE(run_until([&] { return !state().load && seen(CheckFinding::bad_body) >= 3; }));
  EXPECT_EQ(waiting_, 3U) << "nothing came after it";
  EXPECT_EQ(lines_.count("endpoint_load"), 1) << lines_.text();
  answer(http_response("401 Unauthorized", page(1)));
  ASSERT_TRUE(run_until([&] { return seen(CheckFinding::bad_status) >= 1; }));
  answer("HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return seen(CheckFinding::too_large) >= 1; }));
  answer("nonsense\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return seen(CheckFinding::malformed) >= 1; }));
  EXPECT_EQ(lines_.count("endpoint_load"), 1) << "said once";
  answer(http_response("200 OK", page(0)));
  ASSERT_TRUE(run_until([&] { return state().load.has_value(); }));
  EXPECT_EQ(state().load->waiting, 0U);
  EXPECT_EQ(lines_.count("endpoint_load"), 2) << lines_.text();
  poller_.follow(Policy{}, {});
}

TEST_F(LoadPollerTest, AnEndpointThatGoesIsNoLongerAsked) {
  Policy policy = policy_with(endpoint_.port());
  poller_.follow(policy, {});
  ASSERT_TRUE(run_until([&] { return taken_ >= 2; }));
  poller_.follow(policy, {});
  EXPECT_TRUE(state().load) << "it goes on";
  EXPECT_EQ(endpoint_.connections(), 1);
  policy.endpoints[0].load.interval = 10ms;
  poller_.follow(policy, {});
  EXPECT_GE(seen(CheckFinding::ok), 2U) << "and is counted on";
  policy.endpoints[0].load.metrics.clear();
  poller_.follow(policy, {});
  EXPECT_FALSE(state().load);
  io_.run_for(1ms);
  const std::size_t before = taken_;
  io_.run_for(50ms);
  EXPECT_EQ(taken_, before);
  poller_.follow(Policy{}, {});
  EXPECT_TRUE(poller_.report(monotonic_now()).empty());
}

TEST_F(LoadPollerTest, NobodyListens) {
  poller_.follow(policy_with(closed_port()), {});
  ASSERT_TRUE(run_until([&] { return seen(CheckFinding::refused) >= 3; }));
  EXPECT_FALSE(state().load);
}

TEST_F(LoadPollerTest, OverTlsWithItsCertificateVerified) {
  std::signal(SIGPIPE, SIG_IGN);
  router::TestIssuer issuer("issuer");
  const router::TestIssuer stranger("a stranger");
  const TlsIdentity identity(issuer.issue("IP:127.0.0.1"));
  const ScriptedEndpoint secure(identity.answering(http_response("200 OK", page(5))));
  Policy policy = policy_with(secure.port());
  policy.endpoints[0].tls = Policy::EndpointTls{issuer.file(), "127.0.0.1", true, "", ""};
  poller_.follow(policy, router::load_endpoint_access(policy).each);
  ASSERT_TRUE(run_until([&] { return waiting_ == 5; }));
  policy.endpoints[0].tls->ca = stranger.file();
  poller_.follow(policy, router::load_endpoint_access(policy).each);
  ASSERT_TRUE(run_until([&] { return seen(CheckFinding::tls_failed) >= 1; }));
  poller_.follow(Policy{}, {});
}

}  // namespace
}  // namespace perigee::gateway::test
