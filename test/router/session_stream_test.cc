// What a client sees of a stream of events that goes wrong, or that is silent.
#include <gmock/gmock.h>

#include "test/router/router_lab.h"

namespace perigee::router {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr std::string_view kGood = "data: {\"choices\":[{\"delta\":{\"content\":\"good\"}}]}\n\n";
constexpr std::string_view kCut = "data: {\"choices\":[{\"delta\":{\"content\":\"cu\n\n";
constexpr std::string_view kDone = "data: [DONE]\n\n";

struct SessionStreamTest : RouterLab {
  // An answer in two steps: the client has seen `first` before `rest` leaves.
  std::string in_two_steps(const std::string& request, std::string_view first, std::string_view rest,
                           std::string_view later = "") {
    std::atomic<bool> go = false;
    ScriptedEndpoint endpoint([&](Peer& peer) {
      peer.read_message();
      peer.send(std::string(kEventHead) + chunk(first));
      while (!go) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      peer.send(chunk(rest));
      if (!later.empty()) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        peer.send(chunk(later));
      }
      peer.send("0\r\n\r\n");
      peer.wait_closed();
    });
    begin({endpoint.port()});
    const auto peer = client();
    peer->send(request);
    EXPECT_TRUE(peer->read_until(first));
    go = true;
    std::string answer = peer->read_message();
    router.reset();
    return answer;
  }
  static std::string at(std::string_view path) {
    std::string request = chat(kAskStream);
    return request.replace(0, request.find(" HTTP"), "POST " + std::string(path));
  }
  static std::string stream(std::string_view events) {
    return std::string(kEventHead) + chunk(events) + "0\r\n\r\n";
  }
};

TEST_F(SessionStreamTest, DataThatNoClientCouldReadBreaksTheStreamOff) {
  const std::string answer = in_two_steps(chat(kAskStream), kGood,
                                          std::string(kGood) + std::string(kCut) + std::string(kDone), kDone);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 "));
  const std::size_t good = answer.find("good");
  EXPECT_NE(answer.find("good", good + 1), std::string::npos) << "what came before it passes";
  EXPECT_THAT(answer, Not(HasSubstr("\"cu")));
  EXPECT_THAT(answer, HasSubstr("data: {\"error\":"));
  EXPECT_THAT(answer, HasSubstr("endpoint_bad_data"));
  EXPECT_THAT(answer, Not(HasSubstr("[DONE]")));
  const RequestRecord record = records.wait();
  EXPECT_EQ(record.ending, Ending::broken_off);
  EXPECT_EQ(record.error, "endpoint_bad_data");
  EXPECT_EQ(record.events, 2U);
}

TEST_F(SessionStreamTest, TheResponsesFormHasItsOwnError) {
  const std::string answer =
      in_two_steps(at("/v1/responses"), "event: response.created\ndata: {\"type\":\"response.created\"}\n\n",
                   "data: oops\n\n");
  EXPECT_THAT(answer, HasSubstr("event: error\ndata: {\"type\":\"error\",\"code\":\"endpoint_"));
  EXPECT_THAT(answer, Not(HasSubstr("oops")));
}

TEST_F(SessionStreamTest, BadDataBeforeAnythingWentOutIsTriedElsewhere) {
  std::atomic<int> asked = 0;
  const auto script = [&](Peer& peer) {
    peer.read_message();
    peer.send(asked++ == 0 ? stream(std::string(kGood) + std::string(kCut))
                           : stream(std::string(kGood) + std::string(kDone)));
    peer.wait_closed();
  };
  ScriptedEndpoint one(script);
  ScriptedEndpoint two(script);
  begin({one.port(), two.port()});
  const std::string answer = ask(chat(kAskStream));
  EXPECT_THAT(answer, HasSubstr("[DONE]"));
  EXPECT_THAT(answer, Not(HasSubstr("error")));
  EXPECT_EQ(records.wait().attempts, 2U);
  router.reset();
}

TEST_F(SessionStreamTest, AnEventCutByTheEndOfItsStreamIsNoEnd) {
  EXPECT_THAT(in_two_steps(at("/v1/audio/speech"), kGood, "data: {\"b\":"), HasSubstr("\"error\""));
  EXPECT_EQ(records.wait().ending, Ending::broken_off);
}

TEST_F(SessionStreamTest, CommentsKeepASilentStreamAlive) {
  std::atomic<bool> go = false;
  std::atomic<bool> more = false;
  ScriptedEndpoint endpoint([&](Peer& peer) {
    peer.read_message();
    while (!go) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    peer.send(std::string(kEventHead) + chunk(kGood));
    while (!more) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    peer.send(chunk(kDone) + "0\r\n\r\n");
    peer.wait_closed();
  });
  begin({endpoint.port()}, "{}", "{}", "{}, sse_keep_alive: 20ms");
  const auto peer = client();
  peer->send(chat(kAskStream));
  EXPECT_TRUE(peer->read_until(": keep-alive\n\n")) << "before the endpoint answers";
  EXPECT_THAT(peer->seen(), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(peer->seen(), HasSubstr("text/event-stream"));
  go = true;
  EXPECT_TRUE(peer->read_until("good"));
  EXPECT_TRUE(peer->read_until(std::string(kGood) + "\r\ne\r\n: keep-alive\n\n")) << "between events too";
  more = true;
  const std::string answer = peer->read_message();
  EXPECT_THAT(answer, HasSubstr("[DONE]"));
  EXPECT_EQ(answer.find("HTTP/1.1", 1), std::string::npos) << "one head";
  const RequestRecord record = records.wait();
  EXPECT_EQ(record.ending, Ending::completed);
  EXPECT_EQ(record.events, 1U);
  router.reset();
}

TEST_F(SessionStreamTest, AfterACommentErrorsAreToldInTheStream) {
  for (const bool dies : {false, true}) {
    std::atomic<bool> go = false;
    const auto script = [&](Peer& peer) {
      peer.read_message();
      while (!go) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      if (dies) return peer.reset();
      peer.send(json_answer(R"({"error":{"message":"no"}})", 422));
      peer.wait_closed();
    };
    ScriptedEndpoint one(script);
    ScriptedEndpoint two(script);
    begin({one.port(), two.port()}, "{}", "{}", "{}, sse_keep_alive: 20ms");
    const auto peer = client();
    peer->send(chat(kAskStream));
    EXPECT_TRUE(peer->read_until(": keep-alive\n\n"));
    go = true;
    const std::string answer = peer->read_message();
    EXPECT_THAT(answer, HasSubstr("data: {\"error\":"));
    EXPECT_THAT(answer, HasSubstr(dies ? "endpoint_broke_off" : "answered 422"));
    EXPECT_EQ(one.connections() + two.connections(), 1) << "it is committed";
    EXPECT_EQ(records.wait(dies ? 2 : 1).ending, Ending::broken_off);
    router.reset();
  }
}

TEST_F(SessionStreamTest, NoCommentGetsIntoWhatIsNoStream) {
  std::atomic<bool> go = false;
  ScriptedEndpoint endpoint([&](Peer& peer) {
    peer.read_message();
    while (!go) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    peer.send(json_answer("{}"));
    peer.wait_closed();
  });
  begin({endpoint.port()}, "{}", "{}", "{}, sse_keep_alive: 20ms");
  const auto peer = client();
  peer->send(chat(kAsk));
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  go = true;
  EXPECT_THAT(peer->read_message(), Not(HasSubstr("keep-alive\n")));
  router.reset();
}

// json.dumps of Python writes them, and its clients read them.
TEST_F(SessionStreamTest, PassesNumbersThatOnlyPythonHas) {
  const std::string events =
      "data: {\"choices\":[{\"logprob\":-Infinity,\"top\":[NaN,Infinity]}]}\n\ndata: [DONE]\n\n";
  ScriptedEndpoint endpoint([&](Peer& peer) {
    peer.read_message();
    peer.send(std::string(kEventHead) + chunk(events) + "0\r\n\r\n");
    peer.wait_closed();
  });
  begin({endpoint.port()});
  EXPECT_THAT(ask(chat(kAskStream)), HasSubstr(events));
  EXPECT_EQ(records.wait().ending, Ending::completed);
  router.reset();
}

// Images and answers that repeat what they were asked are larger than may wait for their end.
TEST_F(SessionStreamTest, AnEventOfAnySizePasses) {
  const std::string filler(300'000, 'x');
  const std::string completed =
      "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{"
      "\"instructions\":\"" +
      filler + "\",\"usage\":{\"input_tokens\":7,\"output_tokens\":2}}}\n\n";
  const std::string created =
      "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{"
      "\"instructions\":\"" +
      filler + "\"}}\n\n";
  const ScriptedEndpoint endpoint([&](Peer& peer) {
    peer.read_message();
    peer.send(stream(created + completed));
    peer.wait_closed();
  });
  begin({endpoint.port()});
  const auto peer = client();
  peer->send(at("/v1/responses"));
  const std::string answer = peer->read_message();
  std::string events;  // without the framing of chunks
  for (std::size_t from = answer.find("\r\n\r\n") + 4; from < answer.size();) {
    const std::size_t size = std::stoul(answer.substr(from, 8), nullptr, 16);
    if (size == 0) break;
    from = answer.find("\r\n", from) + 2;
    events += answer.substr(from, size);
    from += size + 2;
  }
  EXPECT_TRUE(events == created + completed) << answer.size();
  const RequestRecord record = records.wait();
  EXPECT_EQ(record.ending, Ending::completed);
  ASSERT_TRUE(record.usage);
  EXPECT_EQ(record.usage->prompt, 7U);
  router.reset();
}

TEST_F(SessionStreamTest, AnErrorInsideOfALargeEventIsAnEventOfItsOwn) {
  const std::string begun = "data: {\"b64_json\":\"" + std::string(100'000, 'x');
  const std::string answer = in_two_steps(chat(kAskStream), kGood, begun);
  const std::size_t error = answer.find("\n\ndata: {\"error\":");
  ASSERT_NE(error, std::string::npos);
  EXPECT_GT(error, 100'000U);
  EXPECT_THAT(answer, Not(HasSubstr("[DONE]")));
}

}  // namespace
}  // namespace perigee::router
