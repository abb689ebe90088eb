// A second attempt beside one that takes long: real requests at endpoints in two other PoPs.
#include <gmock/gmock.h>

#include "router/breaker.h"
#include "router/evidence.h"
#include "test/router/hedge_lab.h"

namespace perigee::router {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

const std::string kFirst = chunk("data: {\"choices\":[{\"delta\":{\"content\":\"one\"}}]}\n\n");
const std::string kRest =
    chunk(": between\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"two\"}}]}\n\ndata: [DONE]\n\n") +
    "0\r\n\r\n";
const std::string kStream = std::string(kEventHead) + kFirst + kRest;
constexpr std::string_view kEmbed = R"({"model":"m","input":"x"})";

std::string embeddings() {
  std::string request = chat(kEmbed);
  return request.replace(0, request.find(" HTTP"), "POST /v1/embeddings");
}

// Of chunks: where one ends is not the client's business.
std::string body_of(const std::string& message) {
  std::string out;
  for (std::size_t at = message.find("\r\n\r\n") + 4; at < message.size();) {
    const std::size_t size = std::stoul(message.substr(at), nullptr, 16);
    at = message.find("\r\n", at) + 2;
    out += message.substr(at, size);
    at += size + 2;
  }
  return out;
}

// What a test tells an endpoint, and sees of it.
struct Stage {
  std::atomic<int> asked = 0;    // requests that came
  std::atomic<int> gone = 0;     // of them, those that were reset before the test let the answer go
  std::atomic<bool> go = false;  // answer

  void wait_go() const {
    for (int i = 0; i < 20'000 && !go; ++i) std::this_thread::sleep_for(1ms);
  }
};

struct SessionHedgeTest : HedgeLab {
  // It never answers.
  static ScriptedEndpoint::Script waits(Stage& stage) {
    return [&stage](Peer& peer) {
      if (peer.read_message().empty()) return;
      ++stage.asked;
      peer.read_for(20'000);
      if (peer.closed()) ++stage.gone;
    };
  }
  // It does once it is told to.
  static ScriptedEndpoint::Script answers(Stage& stage, std::string answer = kStream) {
    return [&stage, answer](Peer& peer) {
      while (!peer.read_message().empty()) {
        ++stage.asked;
        stage.wait_go();
        peer.send(answer);
      }
    };
  }
  // The one hedge refused for that reason, and the first attempt answers as ever.
  void expect_refused(HedgeRefusal reason) {
    const auto peer = client();
    peer->send(chat(kAskStream));
    eventually([&] { return refused(reason) == 1; });
    EXPECT_EQ(first.asked, 1);
    EXPECT_EQ(second.asked, 0);
    first.go = true;
    EXPECT_THAT(peer->read_message(), HasSubstr("[DONE]"));
    EXPECT_EQ(records.wait().attempts, 1U);
    expect_nothing_held();
    router.reset();
  }

  Stage first, second;
};

TEST_F(SessionHedgeTest, TheSecondAnswersAndTheFirstIsCancelledBeforeTheNextEvent) {
  ScriptedEndpoint e1(waits(first));
  ScriptedEndpoint e2([&](Peer& peer) {
    peer.read_message();
    ++second.asked;
    peer.send(std::string(kEventHead) + kFirst);
    eventually([&] { return first.gone == 1; });  // the next event is written after that
    peer.send(kRest);
    peer.wait_closed();
  });
  begin_two(e1, e2);
  know();
  const auto peer = client();
  peer->send(chat(kAskStream));
  const std::string answer = peer->read_message();
  EXPECT_EQ(body_of(answer), body_of(kStream)) << "octet by octet as one endpoint's";
  const RequestRecord record = records.wait();
  EXPECT_EQ(record.ending, Ending::completed);
  EXPECT_EQ(record.attempts, 2U);
  EXPECT_EQ(record.endpoint, "e2");
  EXPECT_EQ(record.pop, "per");
  EXPECT_EQ(record.hedge, "won");
  EXPECT_EQ(record.hedge_endpoint, "e1");
  EXPECT_EQ(record.events, 2U);
  EXPECT_EQ(record.rule, Rule::hedge);
  EXPECT_EQ(ended(HedgeEnd::won), 1U);
  expect_nothing_held();
  const auto decisions = records.decisions();
  ASSERT_EQ(decisions.size(), 2U);
  EXPECT_EQ(decisions[1].rule, Rule::hedge);
  EXPECT_EQ(decisions[1].chosen, "e2");
  EXPECT_EQ(decisions[1].attempt, 2U);
  EXPECT_EQ(replay(decisions[1]), "");
  const auto& attempts = router->snapshot()->endpoints[0].counters->attempts;
  EXPECT_EQ(attempts[static_cast<std::size_t>(AttemptResult::neutral)], 1U) << "slow is not broken";
  router.reset();
}

TEST_F(SessionHedgeTest, TheFirstMayStillAnswerAndTheSecondIsCancelled) {
  ScriptedEndpoint e1(answers(first)), e2(waits(second));
  begin_two(e1, e2);
  know();
  const auto peer = client();
  peer->send(chat(kAskStream));
  eventually([&] { return second.asked == 1; });
  first.go = true;
  const std::string answer = peer->read_message();
  EXPECT_EQ(body_of(answer), body_of(kStream));
  const RequestRecord record = records.wait();
  EXPECT_EQ(record.endpoint, "e1");
  EXPECT_EQ(record.hedge, "lost");
  EXPECT_EQ(record.hedge_endpoint, "e2");
  eventually([&] { return second.gone == 1; });
  EXPECT_EQ(ended(HedgeEnd::lost), 1U);
  expect_nothing_held();
  router.reset();
}

TEST_F(SessionHedgeTest, BothAtOnceAreOneAnswer) {
  ScriptedEndpoint e1(answers(first)), e2(answers(first));
  begin_two(e1, e2);
  know();
  for (std::uint64_t i = 1; i <= 8; ++i) {
    first.asked = 0;
    first.go = false;
    const auto peer = client();
    peer->send(chat(kAskStream));
    eventually([&] { return first.asked == 2; });
    first.go = true;
    const std::string answer = peer->read_message();
    EXPECT_EQ(body_of(answer), body_of(kStream));
    EXPECT_EQ(records.wait(i).events, 2U);
  }
  EXPECT_EQ(ended(HedgeEnd::won) + ended(HedgeEnd::lost), 8U);
  expect_nothing_held();
  router.reset();
}

TEST_F(SessionHedgeTest, AClientThatGoesCancelsBoth) {
  ScriptedEndpoint e1(waits(first)), e2(waits(second));
  begin_two(e1, e2);
  know();
  const auto peer = client();
  peer->send(chat(kAskStream));
  eventually([&] { return second.asked == 1; });
  peer->reset();
  eventually([&] { return first.gone == 1 && second.gone == 1; });
  const RequestRecord record = records.wait();
  EXPECT_EQ(record.ending, Ending::client_gone);
  EXPECT_EQ(record.hedge, "abandoned");
  EXPECT_EQ(ended(HedgeEnd::abandoned), 1U);
  expect_nothing_held();
  router.reset();
}

TEST_F(SessionHedgeTest, TheEndOfOurDrainEndsBoth) {
  ScriptedEndpoint e1(waits(first)), e2(waits(second));
  begin_two(e1, e2);
  know();
  const auto peer = client();
  peer->send(chat(kAskStream));
  eventually([&] { return second.asked == 1; });
  router->drain();
  router->end_drain();
  EXPECT_THAT(peer->read_message(), HasSubstr("draining"));
  eventually([&] { return first.gone == 1 && second.gone == 1; });
  EXPECT_EQ(records.wait().ending, Ending::drained);
  expect_nothing_held();
  router.reset();
}

TEST_F(SessionHedgeTest, WhenTheFirstBreaksTheSecondIsTheRetry) {
  ScriptedEndpoint e1([&](Peer& peer) {
    if (peer.read_message().empty()) return;
    first.wait_go();
  });
  ScriptedEndpoint e2(answers(second));
  begin_two(e1, e2);
  know();
  const auto peer = client();
  peer->send(chat(kAskStream));
  eventually([&] { return second.asked == 1; });
  first.go = true;
  eventually([&] { return router->snapshot()->endpoints[0].counters->in_flight == 0; });
  EXPECT_EQ(router->counters().retries.retrying, 0U) << "outside the budget of retries";
  second.go = true;
  EXPECT_THAT(peer->read_message(), HasSubstr("[DONE]"));
  const RequestRecord record = records.wait();
  EXPECT_EQ(record.attempts, 2U);
  EXPECT_EQ(record.hedge, "won");
  EXPECT_EQ(second.asked, 1);
  expect_nothing_held();
  router.reset();
}

TEST_F(SessionHedgeTest, WhatIsNoGoodAnswerOfTheSecondIsNone) {
  for (const unsigned status : {500U, 400U, 503U, 302U}) {
    Stage one, two;
    two.go = true;
    ScriptedEndpoint e1(answers(one)), e2(answers(two, json_answer("{}", status)));
    begin_two(e1, e2);
    know();
    const std::uint64_t before = records.count();
    const auto peer = client();
    peer->send(chat(kAskStream));
    eventually([&] { return two.asked == 1 && router->snapshot()->endpoints[1].counters->in_flight == 0; });
    one.go = true;
    EXPECT_THAT(peer->read_message(), HasSubstr("[DONE]")) << status;
    const RequestRecord record = records.wait(before + 1);
    EXPECT_EQ(record.endpoint, "e1");
    EXPECT_EQ(record.hedge, "failed");
    EXPECT_EQ(ended(HedgeEnd::failed), 1U);
    expect_nothing_held();
    router.reset();
  }
}

TEST_F(SessionHedgeTest, EmbeddingsHaveThemToo) {
  second.go = true;
  ScriptedEndpoint e1(waits(first)), e2(answers(second, json_answer(R"({"data":[]})")));
  begin_two(e1, e2);
  know();
  EXPECT_THAT(ask(embeddings()), HasSubstr(R"({"data":[]})"));
  EXPECT_EQ(records.wait().hedge, "won");
  expect_nothing_held();
  router.reset();
}

TEST_F(SessionHedgeTest, OtherRequestsNeverDo) {
  ScriptedEndpoint e1(answers(first)), e2(answers(second));
  begin_two(e1, e2);
  know();
  std::string completion = chat(R"({"model":"m","stream":true,"prompt":"x"})");
  completion.replace(0, completion.find(" HTTP"), "POST /v1/completions");
  const auto whole = client(), legacy = client();
  whole->send(chat(kAsk));
  legacy->send(completion);
  eventually([&] { return first.asked == 2; });
  std::this_thread::sleep_for(60ms);  // ten times what a hedge waits for
  EXPECT_EQ(second.asked, 0);
  first.go = true;
  whole->read_message();
  legacy->read_message();
  EXPECT_EQ(hedges().refusals[0] + hedges().refusals[1] + hedges().refusals[2], 0U);
  router.reset();
}

TEST_F(SessionHedgeTest, NotWhileAnEngineQueues) {
  ScriptedEndpoint e1(answers(first)), e2(answers(second));
  begin_two(e1, e2);
  know();
  EngineReading& engine = router->snapshot()->endpoints[0].counters->engine;
  engine.waiting = 1;
  engine.counts_until = (monotonic_now() + 60s).ns;
  expect_refused(HedgeRefusal::queue);
}

TEST_F(SessionHedgeTest, NotToTheSamePop) {
  ScriptedEndpoint e1(answers(first)), e2(answers(first));
  begin_two(e1, e2, "", "mel");
  know();
  expect_refused(HedgeRefusal::no_endpoint);
}

TEST_F(SessionHedgeTest, NotOutsideTheResidency) {
  more_service = ", residency: [au]";
  ScriptedEndpoint e1(answers(first)), e2(answers(second));
  begin_two(e1, e2);
  know();
  expect_refused(HedgeRefusal::no_endpoint);
}

TEST_F(SessionHedgeTest, NotToAnEndpointThatIsDrainedMeanwhile) {
  ScriptedEndpoint e1(answers(first)), e2(answers(second));
  begin_two(e1, e2);
  for (int i = 0; i < 100; ++i) {
    add_first_event(hedges(), HedgeKind::stream, 300ms);
    earn(hedges(), HedgeLaw{}, 1000);
  }
  publish();
  const auto peer = client();
  peer->send(chat(kAskStream));
  eventually([&] { return first.asked == 1; });
  policy.endpoints[1].drain = true;
  in_force = std::make_shared<const Policy>(policy);
  ASSERT_TRUE(router->prepare(in_force, monotonic_now()).empty());
  publish();
  eventually([&] { return refused(HedgeRefusal::no_endpoint) == 1; });
  EXPECT_EQ(second.asked, 0);
  first.go = true;
  EXPECT_THAT(peer->read_message(), HasSubstr("[DONE]"));
  router.reset();
}

TEST_F(SessionHedgeTest, NotBeyondTheBudgetAndNotBeforeEnoughIsKnown) {
  ScriptedEndpoint e1(answers(first)), e2(answers(second));
  begin_two(e1, e2);
  first.go = true;
  for (std::size_t i = 0; i < 20; ++i) {
    EXPECT_THAT(ask(chat(kAskStream)), HasSubstr("[DONE]"));
    records.wait(i + 1);
    EXPECT_FALSE(hedge_after(hedges(), HedgeKind::stream)) << i;
  }
  publish();
  EXPECT_TRUE(hedge_after(hedges(), HedgeKind::stream)) << "real requests teach it";
  first.go = false;
  const auto peer = client();
  peer->send(chat(kAskStream));
  eventually([&] { return refused(HedgeRefusal::budget) == 1; });
  first.go = true;
  EXPECT_THAT(peer->read_message(), HasSubstr("[DONE]"));
  EXPECT_EQ(second.asked, 0);
  expect_nothing_held();
  router.reset();
}

TEST_F(SessionHedgeTest, ACommentOfOursCommitsTheFirst) {
  ScriptedEndpoint e1(answers(first)), e2(waits(second));
  begin_two(e1, e2, ", sse_keep_alive: 150ms");
  know();
  const auto peer = client();
  peer->send(chat(kAskStream));
  eventually([&] { return second.asked == 1; });
  EXPECT_TRUE(peer->read_until(": keep-alive"));
  eventually([&] { return second.gone == 1; });
  first.go = true;
  EXPECT_THAT(peer->read_message(), HasSubstr("[DONE]"));
  EXPECT_EQ(records.wait().hedge, "lost");
  expect_nothing_held();
  router.reset();
}

TEST_F(SessionHedgeTest, ItsMetricsAreThereFromTheStart) {
  ScriptedEndpoint e1(waits(first)), e2(answers(second));
  Evidence evidence(1);
  sinks = evidence.sinks();
  begin_two(e1, e2);
  const auto value = [&](const std::string& family, const std::string& label) {
    for (const auto& each : evidence.families(*router, monotonic_now()))
      for (const auto& metric : each.metric)
        if (each.name == family && metric.label.at(0).value == "chat" && metric.label.at(1).value == label)
          return metric.counter.value + metric.gauge.value;
    return -1.0;
  };
  for (const char* result : {"won", "lost", "failed", "abandoned"})
    EXPECT_EQ(value("perigee_router_hedges_total", result), 0);
  for (const char* reason : {"queue", "no_endpoint", "budget"})
    EXPECT_EQ(value("perigee_router_hedges_refused_total", reason), 0);
  EXPECT_EQ(value("perigee_router_hedge_after_seconds", "stream"), -1) << "not known yet";
  know();
  EXPECT_NEAR(value("perigee_router_hedge_after_seconds", "stream"), 0.005, 0.001);
  second.go = true;
  ask(chat(kAskStream));
  eventually([&] { return value("perigee_router_hedges_total", "won") == 1; });
  EXPECT_THAT(value("perigee_router_hedges_total", "lost"), 0);
  router.reset();
}

}  // namespace
}  // namespace perigee::router
