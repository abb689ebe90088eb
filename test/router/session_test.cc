// The journey of requests through a router between real sockets.
#include "router/session.h"

#include <gmock/gmock.h>

#include "test/router/router_lab.h"

namespace perigee::router {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

struct SessionTest : RouterLab {};

TEST_F(SessionTest, RelaysAnAnswerAndRenamesTheModel) {
  std::string asked;
  ScriptedEndpoint endpoint([&](Peer& peer) {
    asked = peer.read_message();
    peer.send(json_answer(R"({"id":"x","usage":{"prompt_tokens":3,"completion_tokens":4}})"));
    peer.wait_closed();
  });
  begin({endpoint.port()});
  const std::string answer =
      ask(chat(kAsk, "Authorization: Bearer secret\r\nCookie: c\r\nX-Request-Id: abc-1\r\n"));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(answer, HasSubstr(R"("prompt_tokens":3)"));
  EXPECT_THAT(answer, HasSubstr("abc-1"));
  EXPECT_THAT(asked, StartsWith("POST /v1/chat/completions HTTP/1.1\r\n"));
  EXPECT_THAT(asked, HasSubstr(R"({"model":"served","messages":[]})"));
  EXPECT_THAT(asked, Not(HasSubstr("secret")));
  EXPECT_THAT(asked, Not(HasSubstr("ookie")));
  const RequestRecord record = records.wait();
  EXPECT_EQ(record.ending, Ending::completed);
  EXPECT_EQ(record.endpoint, "e1");
  EXPECT_EQ(record.request_id, "abc-1");
  ASSERT_TRUE(record.usage);
  EXPECT_EQ(record.usage->completion, 4U);
  router.reset();
}

TEST_F(SessionTest, KeepsBothConnections) {
  ScriptedEndpoint endpoint([&](Peer& peer) {
    while (!peer.read_message().empty()) peer.send(json_answer("{}"));
  });
  begin({endpoint.port()});
  const auto peer = client();
  peer->send(chat(kAsk) + chat(kAsk));  // the second one waits for the first
  EXPECT_THAT(peer->read_message(), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(peer->read_message(), StartsWith("HTTP/1.1 200 "));
  peer->send(chat(kAsk));
  EXPECT_THAT(peer->read_message(), StartsWith("HTTP/1.1 200 "));
  records.wait(3);
  EXPECT_EQ(endpoint.connections(), 1);
  expect_nothing_held();
  router.reset();
}

TEST_F(SessionTest, PassesEventsUnchanged) {
  const std::string events =
      "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n: note\n\ndata: [DONE]\n\n";
  ScriptedEndpoint endpoint([&](Peer& peer) {
    peer.read_message();
    peer.send(kEventHead);
    peer.send(chunk(events.substr(0, 20)));
    peer.send(chunk(events.substr(20)) + "0\r\n\r\n");
    peer.wait_closed();
  });
  begin({endpoint.port()});
  const std::string answer = ask(chat(kAskStream));
  EXPECT_THAT(answer, HasSubstr("text/event-stream"));
  EXPECT_THAT(answer, HasSubstr("data: [DONE]\n\n"));
  EXPECT_THAT(answer, HasSubstr(": note\n\n"));
  const RequestRecord record = records.wait();
  EXPECT_EQ(record.ending, Ending::completed);
  EXPECT_EQ(record.events, 1U);
  EXPECT_TRUE(record.streamed);
  router.reset();
}

TEST_F(SessionTest, TriesAnotherEndpointBeforeTheFirstEvent) {
  std::atomic<int> asked = 0;
  const auto script = [&](Peer& peer) {
    peer.read_message();
    if (asked++ == 0) {
      peer.send(kEventHead);  // 200, and then nothing
      peer.reset();
      return;
    }
    peer.send(std::string(kEventHead) + chunk("data: [DONE]\n\n") + "0\r\n\r\n");
    peer.wait_closed();
  };
  ScriptedEndpoint one(script);
  ScriptedEndpoint two(script);
  begin({one.port(), two.port()});
  EXPECT_THAT(ask(chat(kAskStream)), HasSubstr("data: [DONE]"));
  const RequestRecord record = records.wait();
  EXPECT_EQ(record.attempts, 2U);
  EXPECT_EQ(one.connections(), 1);
  EXPECT_EQ(two.connections(), 1);
  router.reset();
}

TEST_F(SessionTest, TellsTheClientOfADeathInTheMiddle) {
  ScriptedEndpoint endpoint([&](Peer& peer) {
    peer.read_message();
    peer.send(std::string(kEventHead) + chunk("data: {\"choices\":[]}\n\n"));
    peer.reset();
  });
  begin({endpoint.port()});
  const std::string answer = ask(chat(kAskStream));
  EXPECT_THAT(answer, HasSubstr("\"error\""));
  EXPECT_THAT(answer, Not(HasSubstr("[DONE]")));
  EXPECT_EQ(records.wait().ending, Ending::broken_off);
  router.reset();
}

TEST_F(SessionTest, EndsNoStreamCleanlyThatLacksItsEnd) {
  ScriptedEndpoint endpoint([&](Peer& peer) {
    peer.read_message();
    peer.send(std::string(kEventHead) + chunk("data: {\"choices\":[]}\n\n") + "0\r\n\r\n");
    peer.wait_closed();
  });
  begin({endpoint.port()});
  EXPECT_THAT(ask(chat(kAskStream)), HasSubstr("\"error\""));
  EXPECT_EQ(records.wait().ending, Ending::broken_off);
  router.reset();
}

TEST_F(SessionTest, AsksOnlyThoseStreamsForAnEndThatPromiseOne) {
  ScriptedEndpoint endpoint([&](Peer& peer) {
    peer.read_message();
    peer.send(std::string(kEventHead) + chunk("data: {\"type\":\"speech.audio.done\"}\n\n") + "0\r\n\r\n");
    peer.wait_closed();
  });
  begin({endpoint.port()});
  std::string request = chat(kAskStream);
  request.replace(0, request.find(" HTTP"), "POST /v1/audio/speech");
  EXPECT_THAT(ask(request), Not(HasSubstr("\"error\"")));
  EXPECT_EQ(records.wait().ending, Ending::completed);
  router.reset();
}

TEST_F(SessionTest, CancelsWhenTheClientGoes) {
  std::atomic<bool> cancelled = false;
  ScriptedEndpoint endpoint([&](Peer& peer) {
    peer.read_message();
    peer.send(std::string(kEventHead) + chunk("data: {\"choices\":[]}\n\n"));
    cancelled = peer.wait_closed();  // before it wrote anything else
  });
  begin({endpoint.port()});
  const auto peer = client();
  peer->send(chat(kAskStream));
  EXPECT_TRUE(peer->read_until("choices"));
  peer->close();
  EXPECT_EQ(records.wait().ending, Ending::client_gone);
  expect_nothing_held();
  eventually([&] { return cancelled.load(); });
  router.reset();
}

TEST_F(SessionTest, CancelsBeforeTheHeadToo) {
  std::atomic<bool> cancelled = false;
  ScriptedEndpoint endpoint([&](Peer& peer) {
    peer.read_message();
    cancelled = peer.wait_closed();
  });
  begin({endpoint.port()});
  const auto peer = client();
  peer->send(chat(kAsk));
  while (endpoint.connections() == 0) std::this_thread::yield();
  peer->reset();
  EXPECT_EQ(records.wait().ending, Ending::client_gone);
  eventually([&] { return cancelled.load(); });
  router.reset();
}

TEST_F(SessionTest, GoesElsewhereFrom503AndRefusedConnections) {
  ScriptedEndpoint busy([&](Peer& peer) {
    peer.read_message();
    peer.send(json_answer("{}", 503, "Retry-After: 7\r\n"));
    peer.wait_closed();
  });
  begin({busy.port(), ScriptedEndpoint::free_port()});
  const std::string answer = ask(chat(kAsk));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 50"));
  EXPECT_THAT(answer, HasSubstr("\"error\""));
  EXPECT_EQ(records.wait().attempts, 2U);
  // The one that is left alone for seven seconds is not asked again.
  EXPECT_THAT(ask(chat(kAsk)), StartsWith("HTTP/1.1 50"));
  EXPECT_EQ(busy.connections(), 1);
  router.reset();
}

TEST_F(SessionTest, AClientsOwnErrorsMoveNothing) {
  ScriptedEndpoint endpoint([&](Peer& peer) {
    while (!peer.read_message().empty()) peer.send(json_answer(R"({"error":{"message":"no"}})", 400));
  });
  begin({endpoint.port()});
  const auto peer = client();
  for (int i = 0; i < 20; ++i) {
    peer->send(chat(kAsk));
    EXPECT_THAT(peer->read_message(), StartsWith("HTTP/1.1 400 "));
  }
  EXPECT_EQ(breaker_state(router->snapshot()->endpoints[0].counters->breaker, monotonic_now()),
            BreakerState::closed);
  EXPECT_EQ(endpoint.connections(), 1);
  router.reset();
}

TEST_F(SessionTest, TakesAFreshConnectionForAStaleOne) {
  ScriptedEndpoint endpoint([&](Peer& peer) {
    peer.read_message();
    peer.send(json_answer("{}"));
    peer.read_until("POST");  // the next request, which it never answers
    peer.reset();
  });
  begin({endpoint.port()}, "{}", "{retries: 0}");
  EXPECT_THAT(ask(chat(kAsk)), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(ask(chat(kAsk)), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(records.wait(2).attempts, 1U);
  EXPECT_EQ(endpoint.connections(), 2);
  router.reset();
}

TEST_F(SessionTest, RefusesWhatItDoesNotServe) {
  begin({ScriptedEndpoint::free_port()});
  EXPECT_THAT(ask("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(ask(chat(R"({"model":"other"})")), HasSubstr("model_not_found"));
  EXPECT_THAT(ask(chat(R"({"messages":[]})")), HasSubstr("missing_model"));
  EXPECT_THAT(ask(chat(R"({"model":"m","model":"n"})")), HasSubstr("duplicate_key"));
  EXPECT_THAT(ask(chat(R"({"model":"m")")), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(ask("GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n"), HasSubstr(R"("id":"m")"));
  records.wait(6);
  expect_nothing_held();
  router.reset();
}

TEST_F(SessionTest, ReadsLargeBodiesAndRefusesTooLargeOnes) {
  ScriptedEndpoint endpoint([&](Peer& peer) {
    while (true) {
      const std::string message = peer.read_message();
      if (message.empty()) return;
      peer.send(json_answer("{\"size\":" + std::to_string(message.size()) + "}"));
    }
  });
  begin({endpoint.port()}, "{body_octets: 12000000}");
  std::string body = R"({"model":"m","prompt":")";
  body.append(8'000'000, 'x').append("\"}");
  EXPECT_THAT(ask(chat(body)), StartsWith("HTTP/1.1 200 "));
  body.insert(20, 5'000'000, 'y');
  const auto peer = client();
  const std::string request = chat(body);
  peer->send(request.substr(0, request.find("\r\n\r\n") + 4));  // told by the head alone
  EXPECT_THAT(peer->read_all(), StartsWith("HTTP/1.1 413 "));
  records.wait(2);
  expect_nothing_held();
  router.reset();
}

TEST_F(SessionTest, AnswersExpectOnceAdmitted) {
  ScriptedEndpoint endpoint([&](Peer& peer) {
    peer.read_message();
    peer.send(json_answer("{}"));
    peer.wait_closed();
  });
  begin({endpoint.port()});
  const auto peer = client();
  const std::string request = chat(kAsk, "Expect: 100-continue\r\n");
  peer->send(request.substr(0, request.find("\r\n\r\n") + 4));
  EXPECT_EQ(peer->read_message(), "HTTP/1.1 100 Continue\r\n\r\n");
  peer->send(kAsk);
  EXPECT_THAT(peer->read_message(), StartsWith("HTTP/1.1 200 "));
  router.reset();
}

TEST_F(SessionTest, CutsSlowClients) {
  begin({ScriptedEndpoint::free_port()}, "{header_time: 100ms}");
  const auto peer = client();
  peer->send("POST /v1/chat");
  EXPECT_TRUE(peer->wait_closed());
  router.reset();
}

// The endpoint has the request, and may still work on it: SDKs are told not to have it done twice.
TEST_F(SessionTest, StopsWithinTheTimes) {
  ScriptedEndpoint silent([&](Peer& peer) {
    peer.read_message();
    peer.wait_closed();
  });
  begin({silent.port()}, "{}", "{}", "{connect: 1s, first_event: 100ms, idle: 100ms, total: 10s}");
  const std::string answer = ask(chat(kAskStream));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 504 "));
  EXPECT_THAT(answer, HasSubstr("endpoint_timeout"));
  EXPECT_THAT(answer, HasSubstr("x-should-retry: false\r\n"));
  EXPECT_THAT(answer, Not(HasSubstr("Retry-After")));
  EXPECT_EQ(records.wait().ending, Ending::timed_out);
  EXPECT_EQ(silent.connections(), 1) << "nor elsewhere by us";
  router.reset();
}

TEST_F(SessionTest, DrainsToTheLastEvent) {
  std::atomic<bool> go_on = false;
  ScriptedEndpoint endpoint([&](Peer& peer) {
    peer.read_message();
    peer.send(std::string(kEventHead) + chunk("data: {\"choices\":[]}\n\n"));
    while (!go_on) std::this_thread::yield();
    peer.send(chunk("data: [DONE]\n\n") + "0\r\n\r\n");
    peer.wait_closed();
  });
  begin({endpoint.port()});
  const auto idle = client();
  const auto peer = client();
  peer->send(chat(kAskStream));
  EXPECT_TRUE(peer->read_until("choices"));
  router->drain();
  EXPECT_TRUE(idle->wait_closed());
  go_on = true;
  EXPECT_THAT(peer->read_all(), HasSubstr("[DONE]"));
  EXPECT_EQ(records.wait().ending, Ending::completed);
  router.reset();
}

TEST_F(SessionTest, TheDrainsEndIsToldInBand) {
  ScriptedEndpoint endpoint([&](Peer& peer) {
    peer.read_message();
    peer.send(std::string(kEventHead) + chunk("data: {\"choices\":[]}\n\n"));
    peer.wait_closed();
  });
  begin({endpoint.port()});
  const auto peer = client();
  peer->send(chat(kAskStream));
  EXPECT_TRUE(peer->read_until("choices"));
  router->drain();
  router->end_drain();
  EXPECT_THAT(peer->read_all(), HasSubstr("\"error\""));
  EXPECT_EQ(records.wait().ending, Ending::drained);
  router.reset();
}

TEST_F(SessionTest, ModelsAreThoseOfThePolicyWithWhatAnEndpointTells) {
  begin({ScriptedEndpoint::free_port(), ScriptedEndpoint::free_port()});
  const std::string served(router->snapshot()->services[0].models[0].pool.served_name);
  const auto list = std::make_shared<const ModelList>(ModelList{{served, {17, "vllm", 4096}}, {"more", {}}});
  const Instant now = monotonic_now();
  router->publish(in_force, route(*in_force, Conditions{}, Route{}, now), now,
                  std::vector{std::shared_ptr<const ModelList>(), list});
  const std::string_view expected =
      R"({"id":"m","object":"model","created":17,"owned_by":"vllm","max_model_len":4096})";
  eventually([&] { return ask("GET /v1/models/m HTTP/1.1\r\nHost: a\r\n\r\n").ends_with(expected); });
  const std::string all = ask("GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(all, HasSubstr(std::string(expected)));
  EXPECT_THAT(all, Not(HasSubstr("more")));
}

}  // namespace
}  // namespace perigee::router
