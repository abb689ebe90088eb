// One check, against real sockets on loopback.
#include "gateway/health_check.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <csignal>

#include "test/gateway/fake_dataplane.h"
#include "test/gateway/loopback.h"
#include "test/gateway/tls_endpoint.h"

namespace perigee::gateway::test {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

const IpAddress kLoopback = IpAddress::v4(127, 0, 0, 1);

Policy::Health patient_check() {
  Policy::Health check;
  check.timeout = 10s;
  return check;
}

CheckResult check(std::uint16_t port, const Policy::Health& what,
                  const std::shared_ptr<const router::TlsClient>& tls = nullptr) {
  asio::io_context io;
  std::optional<CheckResult> result;
  asio::co_spawn(io, check_endpoint({kLoopback, port}, what, {tls, ""}),
                 [&](std::exception_ptr failed, CheckResult checked) {
                   if (failed) std::rethrow_exception(failed);
                   result = std::move(checked);
                 });
  io.run();
  return result.value();
}

CheckResult check_against(const std::string& response, const Policy::Health& what) {
  const ScriptedEndpoint endpoint(answering(response));
  return check(endpoint.port(), what);
}

TEST(HealthCheckTest, AGoodStatusPasses) {
  const CheckResult result = check_against(http_response("200 OK", "fine"), patient_check());
  EXPECT_EQ(result.finding, CheckFinding::ok) << result.detail;
  EXPECT_EQ(result.outcome(), CheckOutcome::passed);
  EXPECT_EQ(result.status, 200U);
  ASSERT_TRUE(result.connect_rtt);
  EXPECT_GT(*result.connect_rtt, 0ns);
}

TEST(HealthCheckTest, AsksForThePathWithAHost) {
  std::string request;
  {
    const ScriptedEndpoint endpoint([&](const Socket& client) {
      request = client.read_until("\r\n\r\n");
      client.send(http_response("204 No Content", ""));
    });
    Policy::Health what = patient_check();
    what.path = "/v1/health?full=1";
    what.status = 204;
    EXPECT_EQ(check(endpoint.port(), what).finding, CheckFinding::ok);
    EXPECT_NE(request.find("Host: 127.0.0.1:" + std::to_string(endpoint.port()) + "\r\n"), std::string::npos);
  }
  EXPECT_EQ(request.find("GET /v1/health?full=1 HTTP/1.1\r\n"), 0U) << request;
}

TEST(HealthCheckTest, AnotherStatusFails) {
  const CheckResult result = check_against(http_response("500 No", "fine"), patient_check());
  EXPECT_EQ(result.finding, CheckFinding::bad_status);
  EXPECT_EQ(result.outcome(), CheckOutcome::failed);
  EXPECT_EQ(result.detail, "status 500, not 200");
}

TEST(HealthCheckTest, TheBodyMustContainTheText) {
  Policy::Health what = patient_check();
  what.body = "\"ready\":true";
  EXPECT_EQ(check_against(http_response("200 OK", "{\"ready\":true}"), what).finding, CheckFinding::ok);
  EXPECT_EQ(check_against(http_response("200 OK", "{\"ready\":false}"), what).finding,
            CheckFinding::bad_body);
  EXPECT_EQ(check_against("HTTP/1.1 200 OK\r\n\r\n{\"ready\":true}", what).finding, CheckFinding::ok)
      << "a body that ends with the connection";
}

TEST(HealthCheckTest, ABodyWithoutEndIsTooLarge) {
  Policy::Health what = patient_check();
  what.body = "needle";
  const std::string endless(kMaxCheckResponse + 1, 'x');
  EXPECT_EQ(check_against("HTTP/1.1 200 OK\r\n\r\n" + endless, what).finding, CheckFinding::too_large);
  EXPECT_EQ(check_against("HTTP/1.1 200 OK\r\nX: " + endless, what).finding, CheckFinding::too_large);
}

TEST(HealthCheckTest, NothingListening) {
  const CheckResult result = check(closed_port(), patient_check());
  EXPECT_EQ(result.finding, CheckFinding::refused);
  EXPECT_EQ(result.outcome(), CheckOutcome::connect_refused);
  EXPECT_FALSE(result.connect_rtt);
}

TEST(HealthCheckTest, OnlyTheEndpointItselfCanBeDead) {
  CheckResult result;
  result.finding = CheckFinding::unreachable;
  EXPECT_EQ(result.outcome(), CheckOutcome::failed) << "a router's word, or a route of ours is missing";
}

TEST(HealthCheckTest, ACheckThatThisHostCannotMake) {
  asio::io_context io;
  const asio::ip::tcp::socket opens_the_reactor(io);
  CheckResult result;
  asio::co_spawn(io, check_endpoint({kLoopback, closed_port()}, patient_check(), EndpointAccess{}),
                 [&](std::exception_ptr, CheckResult checked) { result = std::move(checked); });
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  io.run();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(result.finding, CheckFinding::not_made) << result.detail;
  EXPECT_EQ(result.outcome(), CheckOutcome::failed);
}

TEST(HealthCheckTest, AnEndpointThatNeverAnswers) {
  Policy::Health what;
  what.timeout = 50ms;
  const ScriptedEndpoint endpoint([](const Socket& client) { (void)client.read_all(); });
  const CheckResult result = check(endpoint.port(), what);
  EXPECT_EQ(result.finding, CheckFinding::timeout);
  EXPECT_EQ(result.outcome(), CheckOutcome::failed) << "it did connect";
}

TEST(HealthCheckTest, ConnectionsThatBreakAndNonsense) {
  EXPECT_EQ(check_against("", patient_check()).finding, CheckFinding::reset);
  EXPECT_EQ(check_against("HTTP/1.1 200", patient_check()).finding, CheckFinding::reset);
  EXPECT_EQ(check_against("SSH-2.0-OpenSSH_9.2\r\n\r\n", patient_check()).finding, CheckFinding::malformed);
}

TEST(HealthCheckTest, TcpOnlyConnects) {
  Policy::Health what = patient_check();
  what.type = Policy::Health::Type::tcp;
  const Listener listener;
  EXPECT_EQ(check(listener.port(), what).finding, CheckFinding::ok);
  EXPECT_EQ(check(closed_port(), what).finding, CheckFinding::refused);
}

class HttpsCheckTest : public testing::Test {
 protected:
  HttpsCheckTest() {
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to sockets whose peer may be gone
    what_.type = Policy::Health::Type::https;
    good_.ca = issuer_.file();
    good_.name = "gpu.example";
  }
  CheckResult check_by(const Policy::EndpointTls& settings, const ScriptedEndpoint& endpoint) {
    return check(endpoint.port(), what_, router::TlsClient::load(settings).value());
  }

  router::TestIssuer issuer_{"issuer"};
  TlsIdentity identity_{issuer_.issue("DNS:gpu.example")};
  Policy::Health what_ = patient_check();
  Policy::EndpointTls good_;
};

TEST_F(HttpsCheckTest, JudgesTheAnswerOfTheEndpointItself) {
  const ScriptedEndpoint fine(identity_.answering(http_response("200 OK", "")));
  const CheckResult result = check_by(good_, fine);
  EXPECT_EQ(result.finding, CheckFinding::ok) << result.detail;
  const ScriptedEndpoint ill(identity_.answering(http_response("503 No", "")));
  EXPECT_EQ(check_by(good_, ill).finding, CheckFinding::bad_status);
  const ScriptedEndpoint plain([](const Socket& client) { client.send(http_response("200 OK", "")); });
  EXPECT_EQ(check_by(good_, plain).finding, CheckFinding::tls_failed);
}

TEST_F(HttpsCheckTest, ACertificateOfAnotherNameOrIssuerFails) {
  const ScriptedEndpoint endpoint(identity_.answering(http_response("200 OK", "")));
  Policy::EndpointTls other = good_;
  other.name = "other.example";
  CheckResult result = check_by(other, endpoint);
  EXPECT_EQ(result.finding, CheckFinding::tls_failed);
  EXPECT_EQ(result.detail, "certificate: hostname mismatch");
  EXPECT_EQ(result.outcome(), CheckOutcome::failed) << "it did connect";
  other = good_;
  other.ca.clear();
  result = check_by(other, endpoint);
  EXPECT_EQ(result.finding, CheckFinding::tls_failed);
  EXPECT_EQ(result.detail, "certificate: unable to get local issuer certificate");
  other.verify = false;
  EXPECT_EQ(check_by(other, endpoint).finding, CheckFinding::ok) << "the policy says so";
}

TEST_F(HttpsCheckTest, LooksAtTheCertificateEachTime) {
  TlsIdentity identity = identity_;
  const std::string page = "HTTP/1.1 200 OK\r\n\r\nready";
  const ScriptedEndpoint endpoint([&](const Socket& client) { identity.answering(page)(client); });
  what_.body = "ready";
  const auto tls = router::TlsClient::load(good_).value();
  EXPECT_EQ(check(endpoint.port(), what_, tls).finding, CheckFinding::ok);
  identity.present(issuer_.issue("DNS:other.example"));  // but it still knows its tickets
  EXPECT_EQ(check(endpoint.port(), what_, tls).finding, CheckFinding::tls_failed);
}

TEST_F(HttpsCheckTest, ShowsItsOwnCertificate) {
  const TlsIdentity asking(issuer_.issue("DNS:gpu.example"), issuer_.file());
  const ScriptedEndpoint endpoint(asking.answering(http_response("200 OK", "")));
  EXPECT_NE(check_by(good_, endpoint).finding, CheckFinding::ok);
  const router::CertificateFiles own = issuer_.issue("DNS:router.example");
  good_.certificate = own.chain;
  good_.key = own.key;
  const CheckResult result = check_by(good_, endpoint);
  EXPECT_EQ(result.finding, CheckFinding::ok) << result.detail;
}

}  // namespace
}  // namespace perigee::gateway::test
