// Hundreds of requests with a second attempt each, whose endpoints and clients fail at any moment. In the end
// nothing is left of them. Made for the sanitizers.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "test/router/hedge_lab.h"

namespace perigee::router {
namespace {

using namespace std::chrono_literals;

constexpr int kClients = 8;
constexpr int kEach = 60;

const std::string kEvent = chunk("data: {\"choices\":[{}]}\n\n");
const std::string kEnd = chunk("data: [DONE]\n\n") + "0\r\n\r\n";

// Slow or not, whole or not: by chance, of a seed of its own for each request.
void misbehave(Peer& peer, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto pause = [&random](unsigned most) {
    std::this_thread::sleep_for(std::chrono::microseconds(random() % (most * 1000)));
  };
  pause(12);
  switch (random() % 8) {
    case 0:
      return peer.send(json_answer("{}", 500));
    case 1:
      return peer.reset();
    case 2:
      peer.send("HTTP/1.1 200 OK\r\nContent-Ty");
      return peer.reset();
    case 3:
      peer.send(std::string(kEventHead) + kEvent);
      pause(4);
      return peer.reset();
    case 4:
      return peer.send(json_answer("{}", 503, "Retry-After: 0\r\n"));
    default:
      peer.send(std::string(kEventHead) + kEvent);
      pause(4);
      peer.send(kEvent + kEnd);
  }
}

struct HedgeRacesTest : HedgeLab {};

TEST_F(HedgeRacesTest, NothingIsLeftOfThem) {
  std::atomic<std::uint64_t> seed = 0;
  const auto script = [&](Peer& peer) {
    while (!peer.read_message().empty()) misbehave(peer, ++seed);
  };
  ScriptedEndpoint e1(script), e2(script);
  more_router = ", retry_min: 100, breaker: {failures: 100}";
  begin_two(e1, e2);
  know();
  std::vector<std::thread> clients;
  for (unsigned c = 0; c < kClients; ++c) {
    clients.emplace_back([&, c] {
      std::mt19937_64 random(c);
      for (int i = 0; i < kEach; ++i) {
        earn(hedges(), {1'000'000, 20}, 1000);
        const auto peer = client();
        peer->send(chat(kAskStream));
        if (random() % 4 == 0) {
          std::this_thread::sleep_for(std::chrono::milliseconds(random() % 20));
          peer->reset();
        } else {
          peer->read_message();
        }
      }
    });
  }
  for (std::thread& client : clients) client.join();
  expect_nothing_held();
  std::map<std::string_view, std::uint64_t> seen;
  for (std::size_t i = 1; i <= kClients * kEach; ++i) ++seen[records.wait(i).hedge];
  std::uint64_t all = 0;
  for (const HedgeEnd end : {HedgeEnd::won, HedgeEnd::lost, HedgeEnd::failed, HedgeEnd::abandoned}) {
    EXPECT_GT(ended(end), 0U) << name_of(end);
    EXPECT_EQ(seen[name_of(end)], ended(end)) << name_of(end) << ": each is told once";
    all += ended(end);
  }
  EXPECT_GT(all, 40U);
  router.reset();
}

}  // namespace
}  // namespace perigee::router
