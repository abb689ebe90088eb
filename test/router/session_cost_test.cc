// What requests teach about the cost of endpoints, and what choices make of it: real requests.
#include <gmock/gmock.h>

#include <map>

#include "test/router/router_lab.h"

namespace perigee::router {
namespace {

constexpr std::string_view kEvent = "data: {\"choices\":[{}]}\n\n";
const std::string kStream = std::string(kEventHead) + chunk(kEvent) + chunk("data: [DONE]\n\n") + "0\r\n\r\n";

// A stream's request with a prompt of so many octets.
std::string long_prompt(std::size_t octets, std::string_view start = "") {
  return chat(R"({"messages":[{"role":"user","content":")" + std::string(start) + std::string(octets, 'x') +
              R"("}],"model":"m","stream":true})");
}

struct SessionCostTest : RouterLab {
  [[nodiscard]] const EndpointCounters& counters(std::size_t endpoint) const {
    return *router->snapshot()->endpoints[endpoint].counters;
  }
  [[nodiscard]] const RouterSnapshot::Pool& pool() const {
    return router->snapshot()->services[0].models[0].pool;
  }
  // So many requests one after the other, which all wait for their endpoint; how many each endpoint has then.
  std::vector<std::uint32_t> hold(int count, const std::function<std::string(int)>& request) {
    for (int i = 0; i < count; ++i) {
      waiting.push_back(client());
      waiting.back()->send(request(i));
      eventually([&] { return in_flight() == static_cast<std::uint32_t>(i) + 1; });
    }
    std::vector<std::uint32_t> out;
    for (std::size_t i = 0; i < router->snapshot()->endpoints.size(); ++i)
      out.push_back(counters(i).in_flight.load());
    return out;
  }
  [[nodiscard]] std::uint32_t in_flight() const {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < router->snapshot()->endpoints.size(); ++i)
      sum += counters(i).in_flight.load();
    return sum;
  }

  std::vector<std::unique_ptr<Peer>> waiting;
};

TEST_F(SessionCostTest, APromptWaitsUntilItsAnswerBegins) {
  std::atomic<int> step = 0;
  ScriptedEndpoint endpoint([&](Peer& peer) {
    peer.read_message();
    while (step < 1) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    peer.send(std::string(kEventHead) + chunk(kEvent));
    while (step < 2) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    peer.send(chunk("data: [DONE]\n\n") + "0\r\n\r\n");
    peer.wait_closed();
  });
  begin({endpoint.port()});
  const auto peer = client();
  peer->send(long_prompt(4000));
  eventually([&] { return counters(0).in_flight == 1; });
  EXPECT_NEAR(static_cast<double>(counters(0).tokens_waiting), 1000, 30) << "four octets a token";
  EXPECT_EQ(counters(0).tokens_waiting_streamed, counters(0).tokens_waiting);
  ++step;
  EXPECT_TRUE(peer->read_until("choices"));
  eventually([&] { return counters(0).tokens_waiting == 0; });
  EXPECT_EQ(counters(0).in_flight, 1U);
  EXPECT_GT(counters(0).tokens_sent, 900U);
  ++step;
  EXPECT_TRUE(peer->read_until("[DONE]"));
  expect_nothing_held();
  router.reset();
}

TEST_F(SessionCostTest, StreamsTeachWhatServiceTakesAndUsageHowLongATokenIs) {
  ScriptedEndpoint endpoint([](Peer& peer) {
    for (std::string request = peer.read_message(); !request.empty(); request = peer.read_message()) {
      if (request.find("\"stream\":true") != std::string::npos)
        peer.send(kStream);
      else
        peer.send(json_answer(R"({"usage":{"prompt_tokens":4000,"completion_tokens":1}})"));
    }
  });
  begin({endpoint.port()});
  const ServiceTerms before = pool().candidates[0].service;
  EXPECT_EQ(before, policy.router.service);
  for (int i = 0; i < 20; ++i)
    ask(chat(R"({"model":"m","messages":[],"x":")" + std::string(4000, 'x') + "\"}"));
  records.wait(20);
  tick();
  EXPECT_TRUE(pool().candidates[0].refreshed.never()) << "only a stream says when its first token came";
  EXPECT_LT(pool().octets_per_token, 2) << "4000 octets were 4000 tokens";
  for (std::size_t i = 0; i < 20; ++i) {
    const auto peer = client();
    peer->send(long_prompt(4000));
    EXPECT_TRUE(peer->read_until("[DONE]"));
    records.wait(21 + i);
  }
  tick();
  EXPECT_FALSE(pool().candidates[0].refreshed.never());
  EXPECT_LT(pool().candidates[0].service.of(1000), before.of(1000)) << "it answers at once";
  router.reset();
}

// l7.md section 9, test 6 (prompts of 32k tokens and one token of answer: sglang PR 27547). No first event
// has come anywhere, so that only what is outstanding can tell.
TEST_F(SessionCostTest, LongPromptsSpreadOverTheirEndpointsBeforeAnyHasAnswered) {
  std::atomic<bool> over = false;
  const auto script = [&](Peer& peer) {
    peer.read_message();
    while (!over) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  ScriptedEndpoint a(script), b(script), c(script), d(script);
  begin({a.port(), b.port(), c.port(), d.port()});
  for (const std::uint32_t count : hold(80, [](int) { return long_prompt(128 * 1024); }))
    EXPECT_NEAR(count, 20, 2);
  over = true;
  waiting.clear();
  router.reset();
}

// l7.md section 9, test 7 (a burst on one prefix: sglang PR 14532, 21199).
TEST_F(SessionCostTest, ABurstOnOnePrefixStaysTogetherOnlyWithinItsShare) {
  std::atomic<bool> over = false;
  const auto script = [&](Peer& peer) {
    peer.read_message();
    while (!over) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  ScriptedEndpoint a(script), b(script), c(script), d(script);
  begin({a.port(), b.port(), c.port(), d.port()}, "{}", "{choice: {affinity_margin: 10s}}");
  for (const std::uint32_t count : hold(40, [](int) { return long_prompt(2000); }))
    EXPECT_LE(count, 10 * 5 / 4 + 3);
  over = true;
  waiting.clear();
  router.reset();
}

TEST_F(SessionCostTest, PromptsThatBeginAlikeGoTogetherWhileThereIsRoom) {
  const auto script = [](Peer& peer) {
    while (!peer.read_message().empty()) peer.send(kStream);
  };
  ScriptedEndpoint a(script), b(script), c(script), d(script);
  begin({a.port(), b.port(), c.port(), d.port()}, "{}", "{choice: {affinity_margin: 10s}}");
  std::map<std::string, std::map<std::string, int>> endpoints;  // by beginning
  std::size_t done = 0;
  for (int i = 0; i < 40; ++i) {
    const std::string start = "subject " + std::to_string(i % 8) + std::string(1100, 'p');
    const auto peer = client();
    peer->send(long_prompt(static_cast<std::size_t>(i), start));
    EXPECT_TRUE(peer->read_until("[DONE]"));
    ++endpoints[start][records.wait(++done).endpoint];
  }
  std::map<std::string, int> used;
  for (const auto& [start, at] : endpoints) {
    EXPECT_EQ(at.size(), 1U) << start.substr(0, 10);
    ++used[at.begin()->first];
  }
  EXPECT_GT(used.size(), 1U);
  router.reset();
}

// l7.md section 9, test 20: what was decided can be decided again.
TEST_F(SessionCostTest, EveryDecisionOfRealRequestsIsReplayed) {
  std::atomic<int> count = 0;
  const auto script = [&](Peer& peer) {
    while (!peer.read_message().empty()) {
      peer.send(++count % 20 == 0  ? json_answer("{}", 500)
                : count % 20 == 10 ? json_answer("{}", 503)
                                   : kStream);
    }
  };
  ScriptedEndpoint a(script), b(script), c(script);
  begin({a.port(), b.port(), c.port()}, "{}", "{choice: {draw: 3, refresh_one_in: 4}}");
  for (std::size_t i = 0; i < 60; ++i) {
    const auto peer = client();
    peer->send(long_prompt(i * 100));
    peer->read_message();
    records.wait(i + 1);
    if (i % 10 == 0) tick();
  }
  const auto decisions = records.decisions();
  EXPECT_GT(decisions.size(), 60U) << "and those of retries";
  bool tried = false;
  for (const DecisionRecord& decision : decisions) {
    EXPECT_EQ(replay(decision), "");
    EXPECT_EQ(decision.candidates.size(), 3U);
    for (const RecordedCandidate& one : decision.candidates)
      tried = tried || one.contender.barrier == Verdict::tried;
  }
  EXPECT_TRUE(tried);
  router.reset();
}

TEST_F(SessionCostTest, AModelsClassDecidesItsRequests) {
  ScriptedEndpoint a([](Peer& peer) {
    while (!peer.read_message().empty()) peer.send(kStream);
  });
  more_model = ", class: batch";
  more_service = "      n: {endpoints: [e1]}\n";
  begin({a.port()}, "{}", "{choice: {draw: 3}, classes: {batch: {draw: 2}}}");
  ask(chat(kAskStream));
  ask(chat(R"({"model":"n","stream":true,"messages":[]})"));
  records.wait(2);
  const auto decisions = records.decisions();
  ASSERT_EQ(decisions.size(), 2U);
  EXPECT_EQ(decisions[0].request_class, "batch");
  EXPECT_EQ(decisions[0].law.choices, 2U);
  EXPECT_EQ(decisions[1].request_class, "");
  EXPECT_EQ(decisions[1].law.choices, 3U);
  std::string line;
  append_line(line, decisions[0]);
  EXPECT_THAT(line, testing::HasSubstr("\"operation\":\"chat\",\"class\":\"batch\""));
  router.reset();
}

}  // namespace
}  // namespace perigee::router
