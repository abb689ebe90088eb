// Clients that are too slow are cut, wherever they are slow; the limits are scaled down.
#include <gmock/gmock.h>

#include "test/router/router_lab.h"

namespace perigee::router {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr std::string_view kLimits =
    "{header_time: 300ms, keep_alive: 300ms, body_grace: 300ms, min_body_rate: 1MiB, write_stall: 300ms}";

struct SessionSlowTest : RouterLab {
  SessionSlowTest() { begin({endpoint.port()}, std::string(kLimits), "{body_hold: 64KiB}"); }
  ~SessionSlowTest() override { router.reset(); }

  // An octet now and then until the router has had enough.
  static void dribble(Peer& peer, std::string_view text) {
    for (std::size_t at = 0; !peer.closed(); at = (at + 1) % text.size()) {
      peer.send(text.substr(at, 1));
      peer.read_for(20);
    }
  }

  ScriptedEndpoint endpoint{[](Peer& peer) {
    while (!peer.read_message().empty()) peer.send(json_answer("\"" + std::string(16'000'000, 'x') + "\""));
  }};
};

TEST_F(SessionSlowTest, ASlowHeadIsCutThoughItGoesOn) {
  const auto peer = client();
  peer->send("POST /v1/chat/completions HTTP/1.1\r\n");
  dribble(*peer, "X-A: b\r\n");
  EXPECT_EQ(peer->seen(), "");
  EXPECT_EQ(endpoint.connections(), 0);
}

TEST_F(SessionSlowTest, ASlowBodyIsCutThoughItGoesOn) {
  for (const bool chunked : {false, true}) {
    const auto peer = client();
    peer->send("POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n");
    peer->send(chunked ? "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n" : "Content-Length: 60000\r\n\r\n{");
    dribble(*peer, chunked ? "1\r\n \r\n" : " ");
    EXPECT_THAT(peer->seen(), StartsWith("HTTP/1.1 408 "));
    EXPECT_THAT(peer->seen(), HasSubstr("body_too_slow"));
  }
  EXPECT_EQ(records.wait(2).ending, Ending::client_stalled);
  EXPECT_EQ(endpoint.connections(), 0);
  expect_nothing_held();
}

// One that is passed on while it comes.
TEST_F(SessionSlowTest, ALongBodyThatStopsIsCut) {
  const auto peer = client();
  const std::string request = chat(R"({"model":"m","prompt":")" + std::string(1'000'000, 'x') + "\"}");
  peer->send(std::string_view(request).substr(0, 500'000));
  EXPECT_THAT(peer->read_all(), StartsWith("HTTP/1.1 408 "));
  EXPECT_EQ(records.wait().ending, Ending::client_stalled);
  EXPECT_EQ(endpoint.connections(), 1);
  expect_nothing_held();
}

TEST_F(SessionSlowTest, WhoDoesNotReadIsCut) {
  const auto peer = client();
  peer->take_little();
  peer->send(chat(kAsk));
  EXPECT_EQ(records.wait().ending, Ending::client_stalled);
  EXPECT_TRUE(peer->wait_reset());
  expect_nothing_held();
}

TEST_F(SessionSlowTest, WhoAsksNothingMoreIsCut) {
  const auto peer = client();
  peer->send("GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(peer->read_all(), StartsWith("HTTP/1.1 200 "));
}

// What clients announce is not held, and what they sent is.
TEST_F(SessionSlowTest, OnlyWhatHasComeOfBodiesIsHeld) {
  const ScriptedEndpoint answering([](Peer& peer) {
    while (!peer.read_message().empty()) peer.send(json_answer("{}"));
  });
  begin({answering.port()}, "{}", "{held_octets: 1MiB, body_hold: 512KiB}");
  const std::string announced =
      chat(R"({"model":"m","messages":[],"user":")" + std::string(500'000, 'x') + "\"}");
  std::vector<std::unique_ptr<Peer>> waiting;
  for (int i = 0; i < 5; ++i) {
    waiting.push_back(client());
    waiting.back()->send(announced.substr(0, 400));
  }
  eventually([&] { return router->counters().held.now > 0; });
  EXPECT_THAT(ask(chat(kAsk)), StartsWith("HTTP/1.1 200 "));
  int refused = 0;
  for (const auto& peer : waiting)
    peer->send(announced.substr(400, announced.size() - 401));  // all but one octet
  eventually([&] { return router->counters().held.now > 900'000; });
  for (const auto& peer : waiting) {
    peer->send("}");
    refused += peer->read_message().starts_with("HTTP/1.1 503 ") ? 1 : 0;
  }
  EXPECT_EQ(refused, 3) << "two fit";
  waiting.clear();
  expect_nothing_held();
  router.reset();
}

}  // namespace
}  // namespace perigee::router
