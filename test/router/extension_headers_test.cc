// A gateway in front that speaks the Gateway API inference extension, through a router between real sockets.
#include "router/extension_headers.h"

#include <gmock/gmock.h>

#include "test/router/router_lab.h"

namespace perigee::router {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr const char* kListed = "{}, extension_headers_from: [127.0.0.0/8]";
constexpr std::string_view kDropped = "x-llm-d-request-dropped-reason: ";

// Endpoints that keep the heads they got and answer with their number.
struct ExtensionHeadersTest : RouterLab {
  void begin_with(std::size_t count, const std::string& listener) {
    std::vector<std::uint16_t> ports;
    for (std::size_t i = 0; i < count; ++i) {
      endpoints.push_back(std::make_unique<ScriptedEndpoint>([this, i](Peer& peer) {
        for (std::string asked = peer.read_message(); !asked.empty(); asked = peer.read_message()) {
          const std::lock_guard lock(mutex);
          heads += asked;
          if (silent == i + 1) return peer.reset();
          peer.send(json_answer("{\"by\":" + std::to_string(i + 1) + "}"));
        }
      }));
      ports.push_back(endpoints.back()->port());
    }
    begin(ports, listener);
  }
  void TearDown() override { router.reset(); }
  [[nodiscard]] std::string at(std::size_t number) const {
    return "127.0.0.1:" + std::to_string(endpoints[number - 1]->port());
  }
  std::string ask_with(const std::string& fields) const { return ask(chat(kAsk, fields)); }

  std::mutex mutex;
  std::string heads;
  std::size_t silent = 0;  // the number of an endpoint that dies of its requests
  std::vector<std::unique_ptr<ScriptedEndpoint>> endpoints;
};

TEST_F(ExtensionHeadersTest, WhoIsToldByDiagnosticsGetsANameAndNoAddress) {
  begin_with(1, "{}, diagnostics: true");
  const std::string answer = ask_with("");
  EXPECT_THAT(answer, HasSubstr("x-gateway-destination-endpoint-served: e1\r\n"));
  EXPECT_THAT(answer, Not(HasSubstr(at(1))));
}

TEST_F(ExtensionHeadersTest, ADestinationIsTakenInItsOrderAndWhoServedIsTold) {
  begin_with(3, kListed);
  const std::string order = "x-gateway-destination-endpoint: " + at(3) + ", 10.9.9.9:1,x," + at(1) + "\r\n";
  for (int i = 0; i < 4; ++i) {
    const std::string answer = ask_with(order);
    EXPECT_THAT(answer, HasSubstr("\"by\":3"));
    EXPECT_THAT(answer, HasSubstr("x-gateway-destination-endpoint-served: " + at(3) + "\r\n"));
  }
  {
    const std::lock_guard lock(mutex);
    silent = 3;
  }
  EXPECT_THAT(ask_with(order), HasSubstr("\"by\":1"));
  EXPECT_EQ(records.wait(5).attempts, 2U);
  const std::lock_guard lock(mutex);
  EXPECT_THAT(heads, Not(HasSubstr("gateway")));
}

TEST_F(ExtensionHeadersTest, ASubsetAndADestinationAllowWhatBothDo) {
  begin_with(3, kListed);
  for (int i = 0; i < 4; ++i) {
    EXPECT_THAT(ask_with("X-Gateway-Destination-Endpoint-Subset: " + at(2) + "\r\n"), HasSubstr("\"by\":2"));
    EXPECT_THAT(
        ask_with("x-gateway-destination-endpoint: " + at(1) + "\r\nx-gateway-destination-endpoint: " + at(2) +
                 "\r\nx-gateway-destination-endpoint-subset: " + at(2) + "," + at(3) + "\r\n"),
        HasSubstr("\"by\":2"));
  }
}

TEST_F(ExtensionHeadersTest, WhatIsNoEndpointOfTheModelIsNone) {
  begin_with(1, kListed);
  ScriptedEndpoint other([](Peer& peer) { peer.wait_closed(); });
  for (const std::string& list :
       {std::string(), "127.0.0.1:" + std::to_string(other.port()), std::string(",")}) {
    const std::string answer = ask_with("x-gateway-destination-endpoint-subset: " + list + "\r\n");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 "));
    EXPECT_THAT(answer, HasSubstr("no_endpoint"));
    EXPECT_THAT(answer, HasSubstr(std::string(kDropped) + "rejected-no-endpoints\r\n"));
  }
  EXPECT_EQ(other.connections(), 0);
}

TEST_F(ExtensionHeadersTest, AModelIsTakenInsteadOfTheBodysIfTheServiceHasIt) {
  begin_with(1, kListed);
  const std::string_view body = R"({"model":"unknown","messages":[]})";
  for (const std::string name : {"x-llm-d-model-name-rewrite", "x-gateway-model-name-rewrite"}) {
    EXPECT_THAT(ask(chat(body, name + ": m\r\n")), StartsWith("HTTP/1.1 200 "));
    EXPECT_THAT(ask(chat(kAsk, name + ": unknown\r\n")), StartsWith("HTTP/1.1 404 "));
  }
  EXPECT_EQ(records.wait().model, "m");
  EXPECT_EQ(records.wait().model_asked, "unknown");
  const std::lock_guard lock(mutex);
  EXPECT_THAT(heads, HasSubstr(R"({"model":"served","messages":[]})"));
}

TEST_F(ExtensionHeadersTest, FromAnybodyElseTheyMeanNothing) {
  begin_with(2, "{}, extension_headers_from: [127.0.0.2/32]");
  const std::string answer = ask_with(
      "x-gateway-destination-endpoint: 10.9.9.9:1\r\n"
      "x-gateway-destination-endpoint-subset: 10.9.9.9:1\r\n"
      "x-llm-d-model-name-rewrite: unknown\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(answer, Not(HasSubstr("x-gateway")));
  const std::lock_guard lock(mutex);
  EXPECT_THAT(heads, Not(HasSubstr("gateway")));
  EXPECT_THAT(heads, Not(HasSubstr("llm-d")));
}

// The queue has no room: whoever finds the one place taken is sent away.
struct ExtensionQueueTest : RouterLab {
  void begin_with(const std::string& listener, const std::string& queue) {
    more_service = "    max_in_flight: 1\n    queue: " + queue + "\n";
    begin({endpoint.port()}, listener);
    first = client();
    first->send(chat(kAsk));
    eventually([&] { return endpoint.connections() == 1; });
  }
  void TearDown() override {
    first.reset();
    router.reset();
  }

  ScriptedEndpoint endpoint{[](Peer& peer) { peer.wait_closed(); }};
  std::unique_ptr<Peer> first;
};

TEST_F(ExtensionQueueTest, WhyARequestWasDroppedIsToldWhereDiagnosticsAre) {
  begin_with("{}, diagnostics: true", "{size: 0, time: 1m}");
  EXPECT_THAT(ask(chat(kAsk)), HasSubstr(std::string(kDropped) + "rejected-saturated\r\n"));
}

TEST_F(ExtensionQueueTest, WhyARequestWasDroppedIsToldToNobodyElse) {
  begin_with("{}", "{size: 1, time: 1ms}");
  EXPECT_THAT(ask(chat(kAsk)), AllOf(StartsWith("HTTP/1.1 503 "), Not(HasSubstr(std::string(kDropped)))));
}

TEST_F(ExtensionQueueTest, AnObjectiveOnlyLowersThePriority) {
  begin_with(kListed, "{size: 2, time: 1m}");
  const auto depths = [&] { return router->snapshot()->services[0].gate->depths(); };
  const auto low = client();
  low->send(chat(kAsk, "x-llm-d-inference-objective: low\r\n"));
  eventually([&] { return depths()[static_cast<std::size_t>(Priority::low)] == 1; });
  const auto high = client();
  high->send(chat(kAsk, "x-gateway-inference-objective: high\r\n"));
  eventually([&] { return depths()[static_cast<std::size_t>(Priority::normal)] == 1; });
  const auto normal = client();
  normal->send(chat(kAsk));
  EXPECT_THAT(low->read_message(), HasSubstr(std::string(kDropped) + "rejected-saturated\r\n"));
}

TEST_F(ExtensionQueueTest, WaitingForTooLongHasAReasonOfItsOwn) {
  begin_with(kListed, "{size: 1, time: 1ms}");
  EXPECT_THAT(ask(chat(kAsk)), HasSubstr(std::string(kDropped) + "rejected-ttl-expired\r\n"));
}

}  // namespace
}  // namespace perigee::router
