// What users of other gateways were hurt by, in the numbers of docs/acceptance.md. Times are scaled down:
// they are configured values. Nothing here is timed: an endpoint waits for what its client saw, and the other
// way round.
#include <gmock/gmock.h>

#include "router/breaker.h"
#include "test/router/router_lab.h"

namespace perigee::router {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr std::string_view kEvent = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
constexpr std::string_view kDone = "data: [DONE]\n\n";

void rest(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

struct AcceptanceTest : RouterLab {
  ~AcceptanceTest() override { router.reset(); }
};

// Each event is written only once the client has the one before: held back, the stream would stand still.
TEST_F(AcceptanceTest, L7_01_NoEventWaitsForAnother) {
  for (const int events : {1, 2000}) {
    std::atomic<int> seen = 0;
    ScriptedEndpoint endpoint([&](Peer& peer) {
      peer.read_message();
      peer.send(kEventHead);
      for (int i = 0; i < events; ++i) {
        while (seen < i) std::this_thread::yield();
        peer.send(chunk(kEvent));
      }
      peer.send(chunk(kDone) + "0\r\n\r\n");
      peer.wait_closed();
    });
    begin({endpoint.port()});
    const auto peer = client();
    peer->send(chat(kAskStream));
    std::size_t at = 0;
    for (; seen < events; ++seen) {
      while (peer->seen().find("\n\n", at) == std::string::npos) ASSERT_GT(peer->read_more(), 0U) << seen;
      at = peer->seen().find("\n\n", at) + 2;
    }
    EXPECT_TRUE(peer->read_until("[DONE]"));
    router.reset();
  }
}

// The idle limit is that of one gap, not of the stream.
TEST_F(AcceptanceTest, L7_02_AStreamLivesUntilItIsSilentForTheIdleLimit) {
  ScriptedEndpoint endpoint([&](Peer& peer) {
    peer.read_message();
    peer.send(kEventHead);
    for (int i = 0; i < 30; ++i) {
      peer.send(chunk(kEvent));
      rest(50);
    }
    peer.wait_closed();
  });
  begin({endpoint.port()}, "{}", "{}", "{connect: 1s, first_event: 1s, idle: 1s, total: 1m}");
  const std::string answer = ask(chat(kAskStream));
  EXPECT_EQ(records.wait().events, 30U);
  EXPECT_THAT(answer, HasSubstr("\"error\""));
  EXPECT_THAT(answer, Not(HasSubstr("[DONE]")));
}

TEST_F(AcceptanceTest, L7_03_ALongCallWithoutAStreamSucceedsWhenConfigured) {
  ScriptedEndpoint endpoint([&](Peer& peer) {
    peer.read_message();
    rest(400);
    peer.send(json_answer("{}"));
    peer.wait_closed();
  });
  begin({endpoint.port()}, "{}", "{}", "{connect: 1s, first_event: 100ms, idle: 100ms, total: 1m}");
  EXPECT_THAT(ask(chat(kAsk)), StartsWith("HTTP/1.1 200 "));
  router.reset();
}

// The endpoint sees the end before it writes the next token. In the queue: SessionQueueTest.
TEST_F(AcceptanceTest, L7_04_AClientThatGoesFreesItsSlot) {
  for (const bool streamed : {true, false}) {
    for (const bool answering : {true, false}) {
      std::atomic<bool> asked = false;
      std::atomic<bool> freed = false;
      ScriptedEndpoint endpoint([&](Peer& peer) {
        peer.read_message();
        asked = true;
        if (answering && streamed) peer.send(std::string(kEventHead) + chunk(kEvent));
        if (answering && !streamed) peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{");
        freed = peer.wait_closed();
      });
      begin({endpoint.port()});
      const auto peer = client();
      peer->send(chat(streamed ? kAskStream : kAsk));
      eventually([&] { return asked.load(); });
      if (answering) {
        EXPECT_TRUE(peer->read_until("\r\n\r\n"));
      }
      peer->close();
      eventually([&] { return freed.load(); });
      expect_nothing_held();
      router.reset();
    }
  }
}

TEST_F(AcceptanceTest, L7_08_AThousandClientErrorsMoveNoBreaker) {
  ScriptedEndpoint endpoint([&](Peer& peer) {
    while (!peer.read_message().empty()) peer.send(json_answer(R"({"error":{"message":"no"}})", 400));
  });
  begin({endpoint.port()});
  const auto peer = client();
  for (int i = 0; i < 1000; ++i) {
    peer->send(chat(kAsk));
    ASSERT_THAT(peer->read_message(), StartsWith("HTTP/1.1 400 ")) << i;
  }
  const auto& counters = *router->snapshot()->endpoints[0].counters;
  EXPECT_EQ(breaker_state(counters.breaker, monotonic_now()), BreakerState::closed);
  EXPECT_EQ(counters.breaker_opened, 0U);
  router.reset();
}

TEST_F(AcceptanceTest, L7_09_AFastFailureIsNotTakenForAFastEndpoint) {
  constexpr int kRequests = 400;
  std::atomic<int> failures = 0;
  ScriptedEndpoint failing([&](Peer& peer) {
    for (; !peer.read_message().empty(); ++failures) peer.send(json_answer("{}", 503, "Retry-After: 60\r\n"));
  });
  ScriptedEndpoint good([&](Peer& peer) {
    while (!peer.read_message().empty()) peer.send(json_answer("{}"));
  });
  begin({failing.port(), good.port()});
  const auto peer = client();
  for (int i = 0; i < kRequests; ++i) {
    peer->send(chat(kAsk));
    ASSERT_THAT(peer->read_message(), StartsWith("HTTP/1.1 200 ")) << i;
  }
  EXPECT_LT(failures, kRequests / 20);
  router.reset();
}

TEST_F(AcceptanceTest, L7_10_BodiesOf1And8And33Megabytes) {
  ScriptedEndpoint endpoint([&](Peer& peer) {
    for (std::string asked = peer.read_message(); !asked.empty(); asked = peer.read_message())
      peer.send(
          json_answer("{\"octets\":" + std::to_string(asked.size() - asked.find("\r\n\r\n") - 4) + "}"));
  });
  begin({endpoint.port()});
  for (const std::size_t size : {1'000'000, 8'000'000}) {
    const std::string request = chat(R"({"prompt":")" + std::string(size, 'x') + R"(","model":"m"})");
    // Found at the end, the model comes too late for a body that is not held whole.
    const std::string begun = chat(R"({"model":"m","prompt":")" + std::string(size, 'x') + "\"}");
    EXPECT_THAT(ask(begun), HasSubstr("{\"octets\":" + std::to_string(size + 30)));
    EXPECT_THAT(ask(request), StartsWith(size > 1'000'000 ? "HTTP/1.1 400 " : "HTTP/1.1 200 "));
  }
  const std::string refused =
      ask("POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
          "Content-Length: 34603008\r\n\r\n");
  EXPECT_THAT(refused, StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(refused, HasSubstr("{\"error\":{\"message\":"));
  router.reset();
}

// Whatever the endpoint does in the middle, the client is told and never sees an end that there was not.
TEST_F(AcceptanceTest, L7_12_AStreamThatBreaksEndsInAnError) {
  for (const std::string_view fault : {"cut", "silent", "broken"}) {
    SCOPED_TRACE(fault);
    ScriptedEndpoint endpoint([&](Peer& peer) {
      peer.read_message();
      peer.send(kEventHead);
      for (int i = 0; i < 40; ++i) peer.send(chunk(kEvent));
      if (fault == "cut") return peer.reset();
      if (fault == "broken")
        peer.send(chunk("data: {\"choices\":[{\"delta\n\n") + chunk(kDone) + "0\r\n\r\n");
      peer.wait_closed();
    });
    begin({endpoint.port()}, "{}", "{}", "{connect: 1s, first_event: 1s, idle: 300ms, total: 1m}");
    const auto peer = client();
    peer->send(chat(kAskStream));
    const std::string answer = peer->read_message();
    EXPECT_THAT(answer, HasSubstr("data: {\"error\":"));
    EXPECT_THAT(answer, Not(HasSubstr("[DONE]")));
    router.reset();
  }
  EXPECT_EQ(records.wait(3).ending, Ending::broken_off);
}

struct FailoverTest : AcceptanceTest {
  ~FailoverTest() override { router.reset(); }
  // Asks until a request met the failing endpoint first; every one is answered well, in two attempts at most.
  void expect_next_is_asked() {
    for (std::size_t count = 1; count < 200; ++count) {
      EXPECT_THAT(ask(chat(kAsk)), StartsWith("HTTP/1.1 200 "));
      const RequestRecord record = records.wait(count);
      EXPECT_LE(record.attempts, 2U);
      if (record.attempts == 2) return;
    }
    ADD_FAILURE() << "the failing endpoint was never asked";
  }
  ScriptedEndpoint good{[](Peer& peer) {
    while (!peer.read_message().empty()) peer.send(json_answer("{}"));
  }};
};

TEST_F(FailoverTest, L7_13_ARefusedConnectionGoesToTheNextEndpoint) {
  begin({ScriptedEndpoint::free_port(), good.port()});
  expect_next_is_asked();
}

TEST_F(FailoverTest, L7_13_AFailedHandshakeGoesToTheNextEndpoint) {
  ScriptedEndpoint plain([](Peer& peer) {
    peer.read_more();
    peer.send("HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  begin({plain.port(), good.port()});
  policy.endpoints[0].tls.emplace().verify = false;
  ASSERT_EQ(put_in_force(), "");
  expect_next_is_asked();
}

TEST_F(FailoverTest, L7_13_AResetBeforeTheHeadGoesToTheNextEndpoint) {
  ScriptedEndpoint failing([](Peer& peer) {
    peer.read_message();
    peer.reset();
  });
  begin({failing.port(), good.port()});
  expect_next_is_asked();
}

TEST_F(FailoverTest, L7_13_A503BeforeTheBodyGoesToTheNextEndpoint) {
  ScriptedEndpoint failing([](Peer& peer) {
    peer.read_message();
    peer.send("HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\n");
    peer.wait_closed();
  });
  begin({failing.port(), good.port()});
  expect_next_is_asked();
}

// The only endpoint of the region fails in every attempt: the one abroad is not even connected to.
TEST_F(AcceptanceTest, L7_21_ResidencyHoldsInEveryAttempt) {
  ScriptedEndpoint failing([](Peer& peer) {
    peer.read_message();
    peer.reset();
  });
  ScriptedEndpoint abroad([](Peer& peer) { peer.wait_closed(); });
  begin({failing.port(), abroad.port()}, "{}", "{breaker: {failures: 1, open: 1m}}");
  // As if the policy's PoPs had regions, and the service one of them.
  policy.regions = {"au", "eu"};
  policy.pops[0].region = 0;
  policy.pops.push_back(policy.pops[0]);
  policy.pops[1].name = "far";
  policy.pops[1].region = 1;
  policy.endpoints[1].pop = 1;
  policy.routed[0].residency = {0};
  ASSERT_EQ(put_in_force(), "");
  for (int i = 0; i < 5; ++i) EXPECT_THAT(ask(chat(kAsk)), StartsWith("HTTP/1.1 50"));  // in the end in panic
  EXPECT_GE(failing.connections(), 2);
  EXPECT_EQ(abroad.connections(), 0);
}

TEST_F(AcceptanceTest, L7_22_AttemptsAreBoundedAndTheClientLearnsWhenToComeBack) {
  std::atomic<int> asked = 0;
  const auto busy = [&](Peer& peer) {
    while (!peer.read_message().empty())
      peer.send(json_answer("{}", asked++ % 2 == 0 ? 429 : 503, "Retry-After: 7\r\n"));
  };
  std::list<ScriptedEndpoint> endpoints;
  std::vector<std::uint16_t> ports;
  for (int i = 0; i < 5; ++i) ports.push_back(endpoints.emplace_back(busy).port());
  begin(ports, "{}", "{retries: 2}");
  const std::string answer = ask(chat(kAsk));
  EXPECT_THAT(answer, AnyOf(StartsWith("HTTP/1.1 429 "), StartsWith("HTTP/1.1 503 ")));
  EXPECT_THAT(answer, HasSubstr("Retry-After: 7\r\n"));
  EXPECT_THAT(answer, HasSubstr("retry-after-ms: 7000\r\n"));
  EXPECT_EQ(asked, 3);
}

TEST_F(AcceptanceTest, L7_23_ChangesAndDrainBreakNoStream) {
  constexpr int kStreams = 50;
  std::atomic<bool> go_on = false;
  ScriptedEndpoint endpoint([&](Peer& peer) {
    peer.read_message();
    peer.send(std::string(kEventHead) + chunk(kEvent));
    while (!go_on) rest(1);
    peer.send(chunk(kEvent) + chunk(kDone) + "0\r\n\r\n");
    peer.wait_closed();
  });
  begin({endpoint.port()});
  std::vector<std::unique_ptr<Peer>> streams;
  for (int i = 0; i < kStreams; ++i) {
    streams.push_back(client());
    streams.back()->send(chat(kAskStream));
    EXPECT_TRUE(streams.back()->read_until("choices"));
  }
  for (const bool without : {true, false}) {  // the endpoint is drained and comes back, the listener goes
    policy.endpoints[0].drain = without;
    ASSERT_EQ(put_in_force(), "");
  }
  router->drain();
  eventually([&] { return Peer::try_connect(port) == nullptr; });
  go_on = true;
  for (const auto& stream : streams) EXPECT_THAT(stream->read_all(), HasSubstr("[DONE]"));
  for (std::size_t i = 1; i <= kStreams; ++i) EXPECT_EQ(records.wait(i).ending, Ending::completed);
  router.reset();
}

}  // namespace
}  // namespace perigee::router
