// What one client or endpoint does wrong stays with it.
#include <gmock/gmock.h>
#include <sys/resource.h>

#include "router/breaker.h"
#include "test/router/router_lab.h"

namespace perigee::router {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

struct SessionFaultsTest : RouterLab {
  static std::string post(std::string_view path, std::string_view body) {
    std::string request = chat(body);
    return request.replace(0, request.find(" HTTP"), "POST " + std::string(path));
  }
};

TEST_F(SessionFaultsTest, AnOperationThatAnEngineLacksTakesNoModelAway) {
  ScriptedEndpoint endpoint([](Peer& peer) {
    for (std::string asked = peer.read_message(); !asked.empty(); asked = peer.read_message()) {
      peer.send(asked.starts_with("POST /v1/chat") ? json_answer("{}")
                                                   : json_answer(R"({"detail":"?"})", 404));
    }
  });
  begin({endpoint.port()});
  EXPECT_THAT(ask(post("/v1/score", kAsk)), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(ask(post("/v1/responses", R"({"model":"m","previous_response_id":"resp_1"})")),
              StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(ask(post("/v1/embeddings", kAsk)), StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(ask(chat(kAsk)), StartsWith("HTTP/1.1 200 "));
  router.reset();
}

TEST_F(SessionFaultsTest, AMissingModelIsAskedForElsewhere) {
  ScriptedEndpoint endpoint([](Peer& peer) {
    for (; !peer.read_message().empty();) peer.send(json_answer("{}", 404));
  });
  begin({endpoint.port()});
  EXPECT_THAT(ask(chat(kAsk)), HasSubstr("model_not_loaded"));
  EXPECT_THAT(ask(chat(kAsk)), HasSubstr("no_endpoint"));
  router.reset();
}

TEST_F(SessionFaultsTest, NoConnectionIsKeptWithAnUnfinishedRequestOnIt) {
  std::atomic<int> first = 0;
  ScriptedEndpoint endpoint([&](Peer& peer) {
    peer.read_until("\r\n\r\n");  // the head; the rest is not read before the answer
    if (first++ == 0) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    peer.send(json_answer("{}", first == 1 ? 413 : 200));
    peer.wait_closed();
  });
  begin({endpoint.port()}, "{}", "{body_hold: 64KiB}");
  std::string body = R"({"model":"m","prompt":")";
  body.append(8'000'000, 'x').append("\"}");
  const std::string request =
      "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
      "Transfer-Encoding: chunked\r\n\r\n" +
      chunk(body) + "0\r\n\r\n";
  const auto peer = client();
  std::thread sending([&] { peer->send(request); });
  EXPECT_TRUE(peer->read_until("HTTP/1.1 413 "));
  sending.join();
  EXPECT_THAT(ask(chat(kAsk)), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(endpoint.connections(), 2);
  router.reset();
}

// The body is read and framed to its end, and the endpoint takes but a part of its last chunk before it
// answers.
TEST_F(SessionFaultsTest, NoConnectionIsKeptWithHalfAChunkOnIt) {
  constexpr std::size_t kHeld = 64 * 1024;
  std::atomic<bool> first_part_read = false;
  std::atomic<bool> last_part_sent = false;
  ScriptedEndpoint endpoint([&](Peer& peer) {
    const int octets = 4096;
    EXPECT_EQ(::setsockopt(peer.other_end(), SOL_SOCKET, SO_SNDBUF, &octets, sizeof octets), 0);
    for (std::size_t left = kHeld; left > 0;) left -= std::min(left, peer.read_more());
    first_part_read = true;
    while (!last_part_sent) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // until its socket is full
    peer.send(json_answer("{}"));
    peer.wait_closed();
  });
  endpoint.take_little();
  begin({endpoint.port()}, "{}", "{body_hold: 64KiB}");
  const auto peer = client();
  peer->send(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
      "Transfer-Encoding: chunked\r\n\r\n" +
      chunk(R"({"model":"m","prompt":")" + std::string(kHeld, 'x')));
  eventually([&] { return first_part_read.load(); });
  peer->send(chunk(std::string(60'000, 'y') + "\"}") + "0\r\n\r\n");
  last_part_sent = true;
  EXPECT_THAT(peer->read_message(), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(records.wait().ending, Ending::completed);
  EXPECT_EQ(router->thread_counters().idle, 0U);
  router.reset();
}

TEST_F(SessionFaultsTest, ABadBodyAfterAnEarlyAnswerIsNoSecondAnswer) {
  ScriptedEndpoint endpoint([](Peer& peer) {
    peer.read_until("\r\n\r\n");
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nearly");
    peer.wait_closed();
  });
  begin({endpoint.port()}, "{}", "{body_hold: 64KiB}");
  const auto peer = client();
  std::string body = R"({"model":"m","prompt":")";
  body.append(200'000, 'x');
  peer->send(post("/v1/chat/completions", body + std::string(1000, 'y')).substr(0, 200'000));
  EXPECT_TRUE(peer->read_until("early"));
  peer->send("\x01");
  EXPECT_THAT(peer->read_all(), Not(HasSubstr("HTTP/1.1 400")));
  EXPECT_EQ(records.wait().ending, Ending::refused);
  router.reset();
}

TEST_F(SessionFaultsTest, HeadGetsTheHeadAlone) {
  begin({ScriptedEndpoint::free_port()});
  const auto peer = client();
  peer->send("HEAD /v1/models HTTP/1.1\r\nHost: a\r\n\r\nGET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(peer->read_until("HTTP/1.1 200 "));
  const std::string& seen = peer->seen();
  EXPECT_EQ(seen.find("\r\n\r\n") + 4, seen.find("HTTP/1.1 200 "));
  router.reset();
}

TEST_F(SessionFaultsTest, HalfAHeadHoldsNothingUp) {
  begin({ScriptedEndpoint::free_port()}, "{header_time: 10m}");
  const auto peer = client();
  peer->send("GET /");
  eventually([&] { return router->connections() == 1; });
  router->drain();
  router->end_drain();
  EXPECT_TRUE(peer->wait_closed());
  router.reset();
}

TEST_F(SessionFaultsTest, AnEndpointThatStopsReadingIsNotTheClientsFault) {
  std::atomic<bool> over = false;
  ScriptedEndpoint endpoint([&](Peer& peer) {
    peer.read_until("\r\n\r\n");
    while (!over) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  });
  begin({endpoint.port()}, "{}", "{body_hold: 64KiB}",
        "{connect: 1s, first_event: 1m, idle: 200ms, total: 10m}");
  std::string body = R"({"model":"m","prompt":")";
  body.append(30'000'000, 'x').append("\"}");
  const std::string request = chat(body);
  const auto peer = client();
  std::thread sending([&] { peer->send(request); });
  EXPECT_TRUE(peer->read_until("HTTP/1.1 504 "));
  EXPECT_EQ(records.wait().ending, Ending::timed_out);
  over = true;
  router.reset();
  sending.join();
}

// Publishes a Route that finds the endpoints dead, as a host that fell silent is.
void find_dead(RouterLab& lab) {
  Route decided = route(lab.policy, Conditions{}, Route{}, monotonic_now());
  for (EndpointRoute& endpoint : decided.endpoints) endpoint.dead = true;
  EXPECT_TRUE(lab.router->publish(lab.in_force, decided, monotonic_now()).empty());
}

TEST_F(SessionFaultsTest, ASilentAnswerEndsOnceItsEndpointIsFoundDead) {
  ScriptedEndpoint endpoint([](Peer& peer) {
    peer.read_message();
    peer.send(std::string(kEventHead) + chunk("data: {}\n\n"));
    peer.wait_closed();
  });
  begin({endpoint.port()});
  const auto peer = client();
  peer->send(chat(kAskStream));
  ASSERT_TRUE(peer->read_until("data: {}"));
  find_dead(*this);
  EXPECT_TRUE(peer->read_until("endpoint_broke_off"));
  EXPECT_EQ(records.wait().ending, Ending::broken_off);
  expect_nothing_held();
  router.reset();
}

TEST_F(SessionFaultsTest, ARequestThatADeadEndpointDidNotAnswerIsTriedElsewhere) {
  std::atomic<bool> first = true;
  const auto script = [&first](Peer& peer) {
    peer.read_message();
    if (!first.exchange(false)) peer.send(json_answer("{}"));
    peer.wait_closed();
  };
  ScriptedEndpoint one(script);
  ScriptedEndpoint two(script);
  begin({one.port(), two.port()});
  const auto peer = client();
  peer->send(chat(kAsk));
  eventually([&first] { return !first; });
  find_dead(*this);
  EXPECT_THAT(peer->read_message(), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(records.wait().attempts, 2U);
  router.reset();
}

TEST_F(SessionFaultsTest, ATrialIsOverWithItsFirstEvent) {
  std::atomic<int> connections = 0;
  std::atomic<bool> over = false;
  ScriptedEndpoint endpoint([&](Peer& peer) {
    peer.read_message();
    if (connections++ == 0) return peer.reset();
    peer.send(std::string(kEventHead) + chunk("data: {\"choices\":[]}\n\n"));
    while (!over) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    peer.send(chunk("data: [DONE]\n\n") + "0\r\n\r\n");
    peer.wait_closed();
  });
  begin({endpoint.port()}, "{}", "{breaker: {failures: 1, open: 100ms, successes: 1}}");
  const auto state = [&] {
    return breaker_state(router->snapshot()->endpoints[0].counters->breaker, monotonic_now());
  };
  EXPECT_THAT(ask(chat(kAskStream)), StartsWith("HTTP/1.1 502 "));
  eventually([&] { return state() == BreakerState::half_open; });
  const auto peer = client();
  peer->send(chat(kAskStream));
  EXPECT_TRUE(peer->read_until("choices"));
  eventually([&] { return state() == BreakerState::closed; });
  over = true;
  EXPECT_TRUE(peer->read_until("[DONE]"));
  router.reset();
}

TEST_F(SessionFaultsTest, AModelThatAnEndpointDoesNotListIsNotAskedOfIt) {
  const auto script = [](Peer& peer) {
    while (!peer.read_message().empty()) peer.send(json_answer("{}"));
  };
  ScriptedEndpoint one(script), two(script);
  begin({one.port(), two.port()});
  Conditions conditions;
  conditions.endpoints.resize(2);
  const auto publish = [&] {
    const Instant now = monotonic_now();
    router->publish(in_force, route(*in_force, conditions, Route{}, now), now);
  };
  conditions.endpoints[0].absent_models = {"served"};
  publish();
  for (int i = 0; i < 8; ++i) EXPECT_THAT(ask(chat(kAsk)), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(one.connections(), 0);
  conditions.endpoints[1].absent_models = {"served"};
  publish();
  EXPECT_THAT(ask(chat(kAsk)), AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("no_endpoint")));
  router.reset();
}

TEST_F(SessionFaultsTest, AnOldClientIsToldByAReset) {
  ScriptedEndpoint endpoint([](Peer& peer) {
    peer.read_message();
    peer.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" +
              chunk("half"));
    peer.reset();
  });
  begin({endpoint.port()});
  const auto peer = client();
  std::string request = chat(kAsk);
  request.replace(request.find("HTTP/1.1"), 8, "HTTP/1.0");
  peer->send(request);
  EXPECT_TRUE(peer->wait_reset());
  router.reset();
}

// Of a request, what the time in all says about the endpoint.
struct TotalTimeTest : SessionFaultsTest {
  ~TotalTimeTest() override { router.reset(); }
  void begin_one(const ScriptedEndpoint& endpoint) {
    begin({endpoint.port()}, "{}", "{breaker: {failures: 1}}",
          "{connect: 200ms, first_event: 200ms, idle: 200ms, total: 400ms}");
  }
  BreakerState breaker() const {
    return breaker_state(router->snapshot()->endpoints[0].counters->breaker, monotonic_now());
  }
};

TEST_F(TotalTimeTest, AnEndpointThatAnswersOthersIsOnlySlow) {
  ScriptedEndpoint endpoint([](Peer& peer) {
    for (std::string asked = peer.read_message(); !asked.empty(); asked = peer.read_message())
      if (asked.find("/embeddings") != std::string::npos) peer.send(json_answer("{}"));
  });
  begin_one(endpoint);
  const auto slow = client();
  slow->send(chat(kAsk));
  eventually([&] { return endpoint.connections() == 1; });
  EXPECT_THAT(ask(post("/v1/embeddings", kAsk)), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(slow->read_message(), StartsWith("HTTP/1.1 504 "));
  EXPECT_EQ(records.wait(2).ending, Ending::timed_out);
  EXPECT_EQ(breaker(), BreakerState::closed);
}

TEST_F(TotalTimeTest, AnEndpointThatAnswersNobodyIsNot) {
  ScriptedEndpoint endpoint([](Peer& peer) { peer.wait_closed(); });
  begin_one(endpoint);
  EXPECT_THAT(ask(chat(kAsk)), StartsWith("HTTP/1.1 504 "));
  eventually([&] { return breaker() == BreakerState::open; });
}

TEST_F(TotalTimeTest, AStreamThatIsTooLongIsNotItsEndpointsFault) {
  ScriptedEndpoint endpoint([](Peer& peer) {
    peer.read_message();
    peer.send(kEventHead);
    while (!peer.closed()) {
      peer.send(chunk("data: {\"choices\":[]}\n\n"));
      peer.read_for(20);
    }
  });
  begin_one(endpoint);
  const std::string answer = ask(chat(kAskStream));
  EXPECT_THAT(answer, HasSubstr("endpoint_timeout"));
  EXPECT_THAT(answer, Not(HasSubstr("[DONE]")));
  EXPECT_EQ(records.wait().ending, Ending::broken_off);
  EXPECT_EQ(breaker(), BreakerState::closed);
}

// What waits for long answers must not be forgotten on the way, nor wait for a host that is gone.
TEST_F(SessionFaultsTest, SilentConnectionsToEndpointsAreProbed) {
  std::atomic<int> asked = -1;
  ScriptedEndpoint endpoint([&](Peer& peer) {
    asked = peer.other_end();
    peer.wait_closed();
  });
  begin({endpoint.port()});
  const auto peer = client();
  peer->send(chat(kAsk));
  eventually([&] { return asked >= 0; });
  int on = 0;
  socklen_t size = sizeof on;
  EXPECT_EQ(::getsockopt(asked, SOL_SOCKET, SO_KEEPALIVE, &on, &size), 0);
  EXPECT_NE(on, 0);
  router.reset();
}

TEST_F(SessionFaultsTest, AGatewayWithoutDescriptorsBlamesNoEndpoint) {
  ScriptedEndpoint endpoint([](Peer& peer) {
    while (!peer.read_message().empty()) peer.send(json_answer("{}"));
  });
  begin({endpoint.port()}, "{}", "{breaker: {failures: 1}}");
  std::vector<std::unique_ptr<Peer>> clients;
  for (std::size_t i = 0; i < 20; ++i) clients.push_back(client());
  eventually([&] { return router->connections() == clients.size(); });
  const auto& peer = clients.front();
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const int next = ::dup(0);
  ::close(next);
  const rlimit few_more{static_cast<rlim_t>(next) + 4, before.rlim_max};  // less than the reserve
  ::setrlimit(RLIMIT_NOFILE, &few_more);
  peer->send(chat(kAsk));
  const std::string answer = peer->read_message();
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(answer, HasSubstr("no_descriptors"));
  EXPECT_EQ(endpoint.connections(), 0);
  peer->send(chat(kAsk));
  EXPECT_THAT(peer->read_message(), StartsWith("HTTP/1.1 200 "));
  router.reset();
}

}  // namespace
}  // namespace perigee::router
