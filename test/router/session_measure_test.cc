// What requests are counted and measured by, while they run.
#include <gmock/gmock.h>

#include "router/breaker.h"
#include "test/router/router_lab.h"

namespace perigee::router {
namespace {

constexpr std::string_view kEvent = "data: {\"choices\":[{}]}\n\n";

std::uint64_t samples(const DurationHistogram& histogram) {
  std::uint64_t sum = 0;
  for (const Count& bucket : histogram.buckets) sum += bucket.get();
  return sum;
}

struct SessionMeasureTest : RouterLab {};

TEST_F(SessionMeasureTest, EventsAreCountedAsTheyCome) {
  std::atomic<int> step = 0;
  ScriptedEndpoint endpoint([&](Peer& peer) {
    peer.read_message();
    peer.send(std::string(kEventHead) + chunk(kEvent));
    for (int i = 1; i <= 2; ++i) {
      while (step < i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      peer.send(chunk(kEvent));
    }
    while (step < 3) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    peer.send(chunk("data: [DONE]\n\n") + "0\r\n\r\n");
    peer.wait_closed();
  });
  begin({endpoint.port()});
  const auto peer = client();
  peer->send(chat(kAskStream));
  EXPECT_TRUE(peer->read_until("choices"));
  EXPECT_EQ(samples(records.series.first_event), 1U) << "before the stream is over";
  EXPECT_EQ(samples(records.series.gaps), 0U);
  for (std::uint64_t i = 1; i <= 2; ++i) {
    ++step;
    eventually([&] { return samples(records.series.gaps) == i; });
  }
  EXPECT_EQ(samples(records.series.first_event), 1U);
  ++step;
  EXPECT_TRUE(peer->read_until("[DONE]"));
  router.reset();
}

TEST_F(SessionMeasureTest, AttemptsAreCountedByEndpointAndResult) {
  ScriptedEndpoint bad([](Peer& peer) {
    peer.read_message();
    peer.reset();
  });
  ScriptedEndpoint good([](Peer& peer) {
    while (!peer.read_message().empty()) peer.send(json_answer("{}"));
  });
  begin({bad.port(), good.port()});
  for (int i = 0; i < 8; ++i) ask(chat(kAsk));
  records.wait(8);
  const auto attempts = [&](std::size_t endpoint, AttemptResult result) {
    return router->snapshot()
        ->endpoints[endpoint]
        .counters->attempts[static_cast<std::size_t>(result)]
        .load();
  };
  EXPECT_EQ(attempts(0, AttemptResult::failure), static_cast<std::uint64_t>(bad.connections()));
  EXPECT_EQ(attempts(0, AttemptResult::success), 0U);
  EXPECT_EQ(attempts(1, AttemptResult::success), 8U);
  router.reset();
}

TEST_F(SessionMeasureTest, ARequestMeasuresTheWay) {
  ScriptedEndpoint endpoint([](Peer& peer) {
    while (!peer.read_message().empty()) peer.send(json_answer("{}"));
  });
  begin({endpoint.port(), ScriptedEndpoint::free_port()});
  EXPECT_EQ(router->connection_rtts(monotonic_now()), (std::vector<std::optional<Nanos>>(2)));
  for (int i = 0; i < 4; ++i) ask(chat(kAsk));
  const auto rtts = router->connection_rtts(monotonic_now());
  ASSERT_EQ(rtts.size(), 2U);
  ASSERT_TRUE(rtts[0]);
  EXPECT_GT(*rtts[0], Nanos(0));
  EXPECT_LT(*rtts[0], Nanos(std::chrono::seconds(1)));
  EXPECT_FALSE(rtts[1]) << "nobody is there";
  router.reset();
}

}  // namespace
}  // namespace perigee::router
