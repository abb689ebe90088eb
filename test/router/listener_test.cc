#include "router/listener.h"

#include <sys/resource.h>

#include <array>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "test/router/certificates.h"
#include "test/router/loop_fixture.h"
#include "test/router/raw_client.h"

namespace perigee::router {
namespace {

using namespace std::string_literals;

struct ListenerTest : LoopTest {
  ListenerSettings settings() {
    ListenerSettings made;
    made.index = 7;
    made.address = kLoopback;
    return made;
  }
  void listen(ListenerSettings with, int fd = -1) {
    auto opened = Listener::open(
        *loop, std::move(with), limit,
        [this](Accepted one) {
          accepted.push_back(std::move(one));
          arrived.raise();
        },
        fd);
    ASSERT_TRUE(opened.has_value()) << opened.error().text();
    listener = std::move(*opened);
  }
  // A client that connected; its descriptor closes with the test.
  int client() { return clients.emplace_back(connect_to(listener->port())); }
  ~ListenerTest() override {
    for (const int fd : clients) ::close(fd);
  }
  // Until `count` connections were handed over.
  Task<> have(std::size_t count) {
    while (accepted.size() < count) co_await arrived.wait();
  }
  // Until `counter` is no longer zero.
  Task<> counted(const std::uint64_t& counter) {
    while (counter == 0) co_await turns(1);
  }

  std::shared_ptr<ConnectionLimit> limit = std::make_shared<ConnectionLimit>(100, 100);
  Signal arrived{loop->ready()};
  std::vector<Accepted> accepted;
  std::unique_ptr<Listener> listener;
  std::vector<int> clients;
};

std::shared_ptr<const TlsServer> server_tls() {
  TestIssuer issuer("test issuer");
  const CertificateFiles api = issuer.issue("DNS:api.example");
  return TlsServer::load({{{api.chain, api.key}}, {}, ClientCertificate::none},
                         TicketKeys::create(monotonic_now()).value())
      .value();
}

// Its own source address and port: 198.51.100.9:4242.
std::string proxy_header() {
  return "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x33\x64\x09\x0a\0\0\x01\x10\x92\x01\xbb"s;
}

TEST_F(ListenerTest, HandsOverWhoConnects) {
  listen(settings());
  run([](ListenerTest& t) -> Task<> {
    send_all(t.client(), "GET");
    co_await t.have(1);
    Accepted& one = t.accepted.front();
    EXPECT_EQ(one.listener, 7U);
    EXPECT_EQ(one.client, kLoopback);
    EXPECT_EQ(one.client_port, SocketAddress::of_socket(t.clients[0]).port());
    EXPECT_TRUE(one.permit);
    Signal signal(t.loop->ready());
    one.stream->bind(&signal);
    EXPECT_EQ(co_await t.read_text(*one.stream, signal, 3), "GET");
    t.accepted.clear();
    EXPECT_EQ(t.limit->open(), 0U);
    EXPECT_EQ(t.listener->counters().accepted, 1U);
  }(*this));
}

TEST_F(ListenerTest, TakesABurstInManyTurns) {
  limit->change(1000, 1000);
  listen(settings());
  run([](ListenerTest& t) -> Task<> {
    for (int i = 0; i < 3 * Listener::kAcceptsPerTurn; ++i) t.client();
    co_await t.have(3 * Listener::kAcceptsPerTurn);
  }(*this));
}

TEST_F(ListenerTest, ClosesWhatIsOverTheLimits) {
  limit->change(3, 2);
  listen(settings());
  run([](ListenerTest& t) -> Task<> {
    for (int i = 0; i < 3; ++i) t.client();
    co_await t.counted(t.listener->counters().over_source_limit);
    EXPECT_EQ(t.accepted.size(), 2U);
    EXPECT_EQ(receive(t.clients[2], 1), "");
    t.limit->change(2, 2);
    t.client();
    co_await t.counted(t.listener->counters().over_limit);
    EXPECT_EQ(receive(t.clients[3], 1), "");
    // A place that is given back is there for the next one.
    t.accepted.pop_back();
    t.client();
    co_await t.have(2);
  }(*this));
}

TEST_F(ListenerTest, BelievesAProxyHeaderThatCameInPieces) {
  ListenerSettings with = settings();
  with.proxy_required = true;
  with.proxy_from = {*Prefix::parse("127.0.0.0/8")};
  listen(with);
  run([](ListenerTest& t) -> Task<> {
    const int fd = t.client();
    const std::string all = proxy_header() + "GET";
    for (const char octet : all) {
      send_all(fd, {&octet, 1});
      co_await t.turns(1);
    }
    co_await t.have(1);
    Accepted& one = t.accepted.front();
    EXPECT_EQ(one.client.text(), "198.51.100.9");
    EXPECT_EQ(one.client_port, 4242);
    Signal signal(t.loop->ready());
    one.stream->bind(&signal);
    EXPECT_EQ(co_await t.read_text(*one.stream, signal, 3), "GET");
  }(*this));
}

TEST_F(ListenerTest, ALocalProxyHeaderLeavesTheSocketsAddress) {
  ListenerSettings with = settings();
  with.proxy_required = true;
  with.proxy_from = {*Prefix::parse("127.0.0.1/32")};
  listen(with);
  run([](ListenerTest& t) -> Task<> {
    send_all(t.client(), "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"s);
    co_await t.have(1);
    EXPECT_EQ(t.accepted.front().client, kLoopback);
  }(*this));
}

TEST_F(ListenerTest, RefusesWithoutAProperHeaderOrFromElsewhere) {
  for (const bool known : {true, false}) {
    ListenerSettings with = settings();
    with.proxy_required = true;
    with.proxy_from = {*Prefix::parse(known ? "127.0.0.0/8" : "10.0.0.0/8")};
    listen(with);
    run([](ListenerTest& t, std::string text) -> Task<> {
      const int fd = t.client();
      send_all(fd, text);
      co_await t.counted(t.listener->counters().proxy_refused);
      EXPECT_EQ(receive(fd, 1), "");
      EXPECT_TRUE(t.accepted.empty());
      // The client may see the end before the place is given back.
      while (t.limit->open() != 0 || t.listener->greeting() != 0) co_await t.turns(1);
    }(*this, known ? "GET / HTTP/1.1\r\n\r\n" : proxy_header()));
  }
}

TEST_F(ListenerTest, CutsWhoDoesNotGreetInTime) {
  ListenerSettings with = settings();
  with.proxy_required = true;
  with.proxy_from = {*Prefix::parse("127.0.0.0/8")};
  with.greeting_time = std::chrono::milliseconds(30);
  listen(with);
  run([](ListenerTest& t) -> Task<> {
    const int fd = t.client();
    send_all(fd, proxy_header().substr(0, 20));
    co_await t.counted(t.listener->counters().greeting_late);
    co_await t.turns();
    EXPECT_EQ(receive(fd, 1), "");
    EXPECT_EQ(t.listener->greeting(), 0U);
  }(*this));
}

TEST_F(ListenerTest, DoesTheHandshakeBehindAProxyHeader) {
  ListenerSettings with = settings();
  with.proxy_required = true;
  with.proxy_from = {*Prefix::parse("127.0.0.0/8")};
  with.tls = server_tls();
  listen(with);
  run([](ListenerTest& t) -> Task<> {
    const RawClient raw(t.listener->port());
    send_all(raw.fd, proxy_header());
    std::thread connecting([&] { raw.connect(); });
    co_await t.have(1);
    connecting.join();
    Accepted& one = t.accepted.front();
    EXPECT_EQ(one.client.text(), "198.51.100.9");
    EXPECT_TRUE(one.stream->encrypted());
    Signal signal(t.loop->ready());
    one.stream->bind(&signal);
    EXPECT_EQ(SSL_write(raw.ssl, "GET", 3), 3);
    EXPECT_EQ(co_await t.read_text(*one.stream, signal, 3), "GET");
  }(*this));
}

TEST_F(ListenerTest, CountsAHandshakeThatFails) {
  ListenerSettings with = settings();
  with.tls = server_tls();
  listen(with);
  run([](ListenerTest& t) -> Task<> {
    send_all(t.client(), "GET / HTTP/1.1\r\n\r\n");
    co_await t.counted(t.listener->counters().handshake_failed);
    EXPECT_TRUE(t.accepted.empty());
    co_await t.turns();
    EXPECT_EQ(t.listener->greeting(), 0U);
    // One that only looks whether the port is open is no failure.
    ::close(t.client());
    t.clients.pop_back();
    while (t.listener->counters().accepted < 2 || t.listener->greeting() > 0) co_await t.turns(1);
    EXPECT_EQ(t.listener->counters().handshake_failed, 1U);
  }(*this));
}

TEST_F(ListenerTest, PausesAndResumes) {
  listen(settings());
  run([](ListenerTest& t) -> Task<> {
    t.listener->pause();
    t.client();
    co_await t.turns();
    EXPECT_TRUE(t.accepted.empty());
    t.listener->resume();
    co_await t.have(1);
  }(*this));
}

TEST_F(ListenerTest, AnotherTakesOverTheSocketWithWhatWaitsInIt) {
  listen(settings());
  const std::uint16_t port = listener->port();
  listener->pause();
  client();
  const int socket = ::dup(listener->fd());
  listen(settings(), socket);  // the first one is gone
  EXPECT_EQ(listener->port(), port);
  run(have(1));
}

TEST_F(ListenerTest, TakesOverListeningSocketsOnly) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto opened = Listener::open(
      *loop, settings(), limit, [](Accepted) {}, fd);
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().what, "the socket handed over does not listen");
}

TEST_F(ListenerTest, TellsWhyItCannotListen) {
  ListenerSettings with = settings();
  with.address = *IpAddress::parse("203.0.113.1");
  with.port = 443;
  const auto opened = Listener::open(*loop, with, limit, [](Accepted) {});
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().where, "203.0.113.1 port 443");
}

TEST_F(ListenerTest, StopsListeningButFinishesGreetings) {
  ListenerSettings with = settings();
  with.proxy_required = true;
  with.proxy_from = {*Prefix::parse("127.0.0.0/8")};
  listen(with);
  run([](ListenerTest& t) -> Task<> {
    const int fd = t.client();
    while (t.listener->greeting() == 0) co_await t.turns(1);
    t.listener->stop();
    EXPECT_EQ(t.listener->fd(), -1);
    send_all(fd, proxy_header());
    co_await t.have(1);
  }(*this));
}

TEST_F(ListenerTest, AcceptsWhatWaitsBeforeItStops) {
  limit->change(1000, 1000);
  listen(settings());
  const std::size_t more = Listener::kAcceptsPerTurn + 1;
  for (std::size_t i = 0; i < more; ++i) client();
  listener->stop();
  EXPECT_EQ(accepted.size(), more);
}

TEST_F(ListenerTest, WhoSaysNothingMakesRoom) {
  ListenerSettings with = settings();
  with.proxy_required = true;
  with.proxy_from = {*Prefix::parse("127.0.0.0/8")};
  with.most_greetings = 3;
  listen(with);
  run([](ListenerTest& t) -> Task<> {
    send_all(t.client(), proxy_header().substr(0, 20));  // the oldest, but it has begun
    for (std::size_t i = 1; i < 3; ++i) {
      t.client();
      while (t.listener->greeting() <= i) co_await t.turns(1);
    }
    send_all(t.client(), proxy_header());
    co_await t.have(1);
    EXPECT_EQ(receive(t.clients[1], 1), "");
    EXPECT_EQ(t.listener->counters().silent_dropped, 1U);
    EXPECT_EQ(t.listener->greeting(), 2U);
    // Nor do they take the places of all.
    t.limit->change(3, 100);
    send_all(t.client(), proxy_header());
    co_await t.have(2);
    EXPECT_EQ(receive(t.clients[2], 1), "");
    send_all(t.clients[0], proxy_header().substr(20));
    co_await t.have(3);
    EXPECT_EQ(t.listener->counters().over_limit, 0U);
  }(*this));
}

// They cost a client nothing, and us no more than their bound.
TEST_F(ListenerTest, SilentTlsConnectionsAreBoundedAndKeepNobodyOut) {
  ListenerSettings with = settings();
  with.tls = server_tls();
  with.most_greetings = 3;
  listen(with);
  run([](ListenerTest& t) -> Task<> {
    for (std::uint64_t i = 1; i <= 10; ++i) {
      t.client();
      while (t.listener->counters().accepted < i) co_await t.turns(1);
      EXPECT_LE(t.listener->greeting(), 3U);
    }
    EXPECT_EQ(t.listener->counters().silent_dropped, 7U);
    const RawClient raw(t.listener->port());
    std::thread connecting([&] { raw.connect(); });
    co_await t.have(1);
    connecting.join();
    EXPECT_EQ(t.listener->counters().silent_dropped, 8U);
    EXPECT_EQ(t.listener->greeting(), 2U);
  }(*this));
}

TEST_F(ListenerTest, GoneInTheMiddleOfGreetings) {
  ListenerSettings with = settings();
  with.proxy_required = true;
  with.proxy_from = {*Prefix::parse("127.0.0.0/8")};
  listen(with);
  run([](ListenerTest& t) -> Task<> {
    for (int i = 0; i < 5; ++i) send_all(t.client(), proxy_header().substr(0, 10));
    while (t.listener->greeting() < 5) co_await t.turns(1);
    t.listener.reset();
    EXPECT_EQ(receive(t.clients[0], 1), "");
    EXPECT_EQ(t.limit->open(), 0U);
    co_await t.turns();
  }(*this));
}

TEST_F(ListenerTest, WaitsForDescriptorsAndGoesOn) {
  listen(settings());
  run([](ListenerTest& t) -> Task<> {
    t.client();
    t.client();
    rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    // No descriptor above those in use.
    const int next = ::dup(0);
    ::close(next);
    const rlimit none{static_cast<rlim_t>(next), before.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &none);
    co_await t.counted(t.listener->counters().out_of_descriptors);
    ::setrlimit(RLIMIT_NOFILE, &before);
    EXPECT_TRUE(t.accepted.empty());
    co_await t.have(2);
  }(*this));
}

// The control loop and the admin API open files and sockets when the router is full.
TEST_F(ListenerTest, LeavesDescriptorsToOthers) {
  listen(settings());
  run([](ListenerTest& t) -> Task<> {
    for (int i = 0; i < 20; ++i) t.client();
    co_await t.have(20);
    t.client();
    t.client();
    rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    const int next = ::dup(0);
    ::close(next);
    const rlimit few_more{static_cast<rlim_t>(next) + 4, before.rlim_max};  // less than the reserve
    ::setrlimit(RLIMIT_NOFILE, &few_more);
    co_await t.counted(t.listener->counters().out_of_descriptors);
    EXPECT_EQ(t.accepted.size(), 21U) << "that touched the reserve";
    const int file = ::dup(0);
    EXPECT_GE(file, 0);
    ::close(file);
    ::setrlimit(RLIMIT_NOFILE, &before);
    co_await t.have(22);
  }(*this));
}

}  // namespace
}  // namespace perigee::router
