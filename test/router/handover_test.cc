// An upgrade: one router hands its sockets to the next. 500 streams, none broken; connections all the time,
// none refused.
#include <gmock/gmock.h>

#include "test/router/router_lab.h"

namespace perigee::router {
namespace {

using testing::StartsWith;

constexpr int kStreams = 500;
constexpr std::string_view kEvent = "data: {\"choices\":[{}]}\n\n";
constexpr std::string_view kModels = "GET /v1/models HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

// Begins `kStreams` streams, one connection each, and ends them all when it is told.
class HoldingEndpoint {
 public:
  HoldingEndpoint()
      : listener_(ScriptedEndpoint::open_socket()), port_(SocketAddress::of_socket(listener_).port()) {
    thread_ = std::thread([this] { run(); });
  }
  ~HoldingEndpoint() {
    ::shutdown(listener_, SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
    ::close(listener_);
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  // All have begun.
  void end_streams() {
    thread_.join();
    for (const auto& peer : peers_) peer->send(chunk(kEvent) + chunk("data: [DONE]\n\n") + "0\r\n\r\n");
  }

 private:
  void run() {
    while (peers_.size() < kStreams) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      auto peer = std::make_unique<Peer>(fd);
      peer->read_message();
      peer->send(std::string(kEventHead) + chunk(kEvent));
      peers_.push_back(std::move(peer));
    }
  }

  int listener_;
  std::uint16_t port_;
  std::vector<std::unique_ptr<Peer>> peers_;
  std::thread thread_;
};

struct HandoverTest : RouterLab {
  static std::unique_ptr<Router> successor(Router& before, const std::shared_ptr<const Policy>& policy,
                                           const std::vector<RecordSink*>& sinks) {
    auto next = Router::create(sinks).value();
    next->inherit(before.sockets());
    const Instant now = monotonic_now();
    const auto errors = next->prepare(policy, now);
    EXPECT_TRUE(errors.empty()) << text_of(errors);
    next->publish(policy, route(*policy, Conditions{}, Route{}, now), now);
    return next;
  }
};

TEST_F(HandoverTest, NoStreamBreaksAndNoConnectionIsRefused) {
  HoldingEndpoint endpoint;
  begin({endpoint.port()}, "{connections: 5000, connections_per_source: 5000}");
  std::vector<std::unique_ptr<Peer>> streams;
  for (int i = 0; i < kStreams; ++i) {
    streams.push_back(client());
    streams.back()->send(chat(kAskStream));
  }
  for (const auto& stream : streams) ASSERT_TRUE(stream->read_until("choices"));

  std::atomic<bool> over = false;
  std::atomic<int> served = 0;
  std::atomic<int> refused = 0;
  std::thread newcomers([&] {
    while (!over) {
      const auto peer = Peer::connect(port);
      peer->send(kModels);
      ++(peer->read_message().starts_with("HTTP/1.1 200 ") ? served : refused);
    }
  });
  eventually([&] { return served > 20; });
  Records more;
  const auto next = successor(*router, in_force, {&more});
  router->drain();
  const int before = served;
  eventually([&] { return served > before + 50; });
  over = true;
  newcomers.join();
  EXPECT_EQ(refused, 0);
  EXPECT_GT(next->thread_counters().listeners["public"].accepted, 50U);

  endpoint.end_streams();
  int broken = 0;
  for (const auto& stream : streams) broken += stream->read_until("[DONE]") ? 0 : 1;
  EXPECT_EQ(broken, 0);
  eventually([&] { return router->connections() == 0; });
  router.reset();
  EXPECT_THAT(ask(kModels), StartsWith("HTTP/1.1 200 "));
}

TEST_F(HandoverTest, WhatWaitsInAQueueIsServedByTheNext) {
  begin({ScriptedEndpoint::free_port()});
  auto sockets = router->sockets();
  ASSERT_EQ(sockets.size(), 1U);
  router->drain();
  eventually([&] { return router->thread_counters().greeting == 0; });
  const auto waiting = client();  // nobody accepts now
  waiting->send(kModels);
  Records more;
  auto next = Router::create({&more}).value();
  next->inherit(std::move(sockets));
  const Instant now = monotonic_now();
  ASSERT_TRUE(next->prepare(in_force, now).empty());
  next->publish(in_force, route(*in_force, Conditions{}, Route{}, now), now);
  EXPECT_THAT(waiting->read_message(), StartsWith("HTTP/1.1 200 "));
  router.reset();
}

TEST_F(HandoverTest, WhoJustConnectedIsServed) {
  begin({ScriptedEndpoint::free_port()});
  const auto fresh = client();
  eventually([&] { return router->connections() == 1; });
  router->drain();
  EXPECT_EQ(router->connections(), 1U);
  fresh->send(kModels);
  EXPECT_THAT(fresh->read_message(), StartsWith("HTTP/1.1 200 "));
}

TEST_F(HandoverTest, WhoGreetsYetIsServed) {
  begin({ScriptedEndpoint::free_port()}, "{}, proxy_protocol: {require: true, from: [127.0.0.0/8]}");
  const auto peer = client();
  peer->send(std::string_view("\r\n\r\n\0\r\n", 7));
  eventually([&] { return router->thread_counters().greeting == 1; });
  router->drain();
  EXPECT_EQ(router->connections(), 1U) << "a drain waits for it";
  peer->send(std::string_view("QUIT\n\x20\0\0\0", 9));
  peer->send(kModels);
  EXPECT_THAT(peer->read_message(), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(Peer::try_connect(port), nullptr);
}

TEST_F(HandoverTest, MoreSocketsThanThreadsAreAllServed) {
  Records second;
  begin({ScriptedEndpoint::free_port()});
  std::vector<Descriptor> sockets = router->sockets();
  const auto wide =
      successor(*router, in_force, {&records, &second});  // it opens one more, for its second thread
  const auto both = wide->sockets();
  EXPECT_EQ(both.size(), 2U);
  router.reset();
  Records last;
  const auto narrow = successor(*wide, in_force, {&last});
  EXPECT_EQ(narrow->sockets().size(), 2U);
  wide->drain();
  for (int i = 0; i < 20; ++i) EXPECT_THAT(ask(kModels), StartsWith("HTTP/1.1 200 "));
}

}  // namespace
}  // namespace perigee::router
