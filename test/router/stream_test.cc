#include "router/stream.h"

#include <fcntl.h>

#include <array>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "test/router/loop_fixture.h"

namespace perigee::router {
namespace {

// A Stream, its Signal, and a blocking socket as its peer.
struct StreamTest : LoopTest {
  Task<> connect() {
    auto made = Stream::connect(*loop, kLoopback, listening.port(), nullptr, signal);
    EXPECT_TRUE(made.has_value());
    stream = std::move(*made);
    peer = listening.accept();
    EXPECT_EQ(co_await open(*stream, signal), IoStatus::ok);
    (void)signal.wait().await_ready();
  }
  ~StreamTest() override {
    if (peer >= 0) ::close(peer);
  }
  void close_peer() { ::close(std::exchange(peer, -1)); }
  void reset_peer() {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close_peer();
  }
  // Whether it was raised since this was last asked.
  bool raised() { return signal.wait().await_ready(); }
  IoResult read(std::size_t size) {
    text.resize(size);
    const IoResult result = stream->read(text);
    text.resize(result.octets);
    return result;
  }

  ListeningSocket listening;
  Signal signal{loop->ready()};
  std::unique_ptr<Stream> stream;
  int peer = -1;
  std::string text;
};

TEST_F(StreamTest, AShortReadTellsThatNothingIsLeft) {
  run([](StreamTest& t) -> Task<> {
    co_await t.connect();
    EXPECT_FALSE(t.stream->readable());
    EXPECT_EQ(t.read(10).status, IoStatus::again);
    send_all(t.peer, "hello");
    co_await t.signal.wait();
    EXPECT_TRUE(t.stream->readable());
    EXPECT_EQ(t.read(3).octets, 3U);
    EXPECT_TRUE(t.stream->readable());  // a full one may have left something
    EXPECT_EQ(t.read(10).octets, 2U);
    EXPECT_EQ(t.text, "lo");
    EXPECT_FALSE(t.stream->readable());
    send_all(t.peer, "again");
    co_await t.signal.wait();
    EXPECT_EQ(t.read(10).octets, 5U);
  }(*this));
}

TEST_F(StreamTest, OctetsBeforeTheEndAreReadFirst) {
  run([](StreamTest& t) -> Task<> {
    co_await t.connect();
    send_all(t.peer, "bye");
    ::shutdown(t.peer, SHUT_WR);
    co_await t.signal.wait();
    co_await t.turns();
    EXPECT_TRUE(t.stream->peer_closed());
    EXPECT_EQ(t.read(10).octets, 3U);
    EXPECT_TRUE(t.stream->readable());
    EXPECT_EQ(t.read(10).status, IoStatus::eof);
    EXPECT_EQ(t.read(10).status, IoStatus::eof);
    // Our direction is still open.
    EXPECT_EQ(write_text(*t.stream, "well").octets, 4U);
    EXPECT_EQ(receive(t.peer, 10), "well");
  }(*this));
}

TEST_F(StreamTest, AnEndBetweenTwoReadsIsSeen) {
  run([](StreamTest& t) -> Task<> {
    co_await t.connect();
    send_all(t.peer, "bye");
    co_await t.signal.wait();
    ::shutdown(t.peer, SHUT_WR);  // after the event, before the read
    EXPECT_EQ(t.read(10).octets, 3U);
    co_await t.signal.wait();
    EXPECT_EQ(t.read(10).status, IoStatus::eof);
  }(*this));
}

TEST_F(StreamTest, AResetFailsTheReadWithItsReason) {
  run([](StreamTest& t) -> Task<> {
    co_await t.connect();
    t.reset_peer();
    co_await t.signal.wait();
    EXPECT_TRUE(t.stream->peer_closed());
    EXPECT_EQ(t.read(10).status, IoStatus::failed);
    EXPECT_EQ(t.stream->failure(), "read: Connection reset by peer");
    EXPECT_EQ(write_text(*t.stream, "x").status, IoStatus::failed);
  }(*this));
}

TEST_F(StreamTest, AFailedWriteLeavesWhatThePeerSaidBefore) {
  run([](StreamTest& t) -> Task<> {
    co_await t.connect();
    send_all(t.peer, "413");
    EXPECT_EQ(write_text(*t.stream, "unread").octets, 6U);
    t.close_peer();  // with something unread: a reset follows
    co_await t.signal.wait();
    co_await t.turns();
    EXPECT_EQ(write_text(*t.stream, "more").status, IoStatus::failed);
    EXPECT_EQ(t.read(10).octets, 3U);
  }(*this));
}

TEST_F(StreamTest, OctetsNobodyWantsRaiseNothingButTheEndDoes) {
  run([](StreamTest& t) -> Task<> {
    co_await t.connect();
    t.stream->want_read(false);
    send_all(t.peer, "pipelined");
    co_await t.turns();
    EXPECT_FALSE(t.raised());
    EXPECT_TRUE(t.stream->readable());
    EXPECT_FALSE(t.stream->peer_closed());
    ::shutdown(t.peer, SHUT_WR);
    co_await t.signal.wait();
    EXPECT_TRUE(t.stream->peer_closed());
  }(*this));
}

TEST_F(StreamTest, AFullSocketTakesMoreOnlyAfterItRaised) {
  run([](StreamTest& t) -> Task<> {
    co_await t.connect();
    const std::string block(256 * 1024, 'x');
    std::size_t sent = 0;
    while (t.stream->writable()) sent += write_text(*t.stream, block).octets;
    EXPECT_EQ(write_text(*t.stream, block).status, IoStatus::again);
    co_await t.turns();
    EXPECT_FALSE(t.raised());
    std::size_t got = 0;
    while (got < sent) {
      const std::size_t octets = receive(t.peer, 65536).size();
      if (octets == 0) break;
      got += octets;
    }
    EXPECT_EQ(got, sent);
    co_await t.signal.wait();
    EXPECT_TRUE(t.stream->writable());
    EXPECT_GT(write_text(*t.stream, block).octets, 0U);
  }(*this));
}

TEST_F(StreamTest, ReadingRaisesNothingForRoomNobodyMissed) {
  run([](StreamTest& t) -> Task<> {
    co_await t.connect();
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(write_text(*t.stream, "ping").octets, 4U);
      EXPECT_EQ(receive(t.peer, 4), "ping");
      co_await t.turns();
      EXPECT_FALSE(t.raised());
    }
  }(*this));
}

TEST_F(StreamTest, WritesItsPartsInOrder) {
  run([](StreamTest& t) -> Task<> {
    co_await t.connect();
    std::string a = "one ";
    std::string b = "two ";
    std::string c = "three";
    const std::array<iovec, 3> parts = {iovec{a.data(), a.size()}, iovec{b.data(), b.size()},
                                        iovec{c.data(), c.size()}};
    EXPECT_EQ(t.stream->write(parts).octets, 13U);
    EXPECT_EQ(receive(t.peer, 100), "one two three");
  }(*this));
}

TEST_F(StreamTest, TakesAsManyPartsAsTheKernelAndSaysSo) {
  run([](StreamTest& t) -> Task<> {
    co_await t.connect();
    std::string octet = "x";
    const std::vector<iovec> parts(3000, iovec{octet.data(), 1});
    EXPECT_EQ(t.stream->write(parts).octets, 1024U);
    EXPECT_TRUE(t.stream->writable());
  }(*this));
}

TEST_F(StreamTest, RefusedIsAFailureOfTheConnect) {
  run([](StreamTest& t) -> Task<> {
    std::uint16_t unused = 0;
    {
      const ListeningSocket gone;
      unused = gone.port();
    }
    auto made = Stream::connect(*t.loop, kLoopback, unused, nullptr, t.signal);
    if (!made) co_return;  // some kernels say so at once
    EXPECT_EQ(co_await t.open(**made, t.signal), IoStatus::failed);
    EXPECT_EQ((*made)->failure(), "connect: Connection refused");
    EXPECT_EQ((*made)->establish(), IoStatus::failed);
  }(*this));
}

TEST_F(StreamTest, AnUnreachableAddressIsAnErrorOfConnect) {
  const auto made = Stream::connect(*loop, IpAddress::v4(255, 255, 255, 255), 1, nullptr, signal);
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().where, "connect");
}

TEST_F(StreamTest, AbortResetsThePeerAndCloseEndsInOrder) {
  run([](StreamTest& t) -> Task<> {
    co_await t.connect();
    t.stream->abort();
    std::array<char, 8> into{};
    EXPECT_EQ(::recv(t.peer, into.data(), into.size(), 0), -1);
    EXPECT_EQ(errno, ECONNRESET);
    t.stream->close();  // nothing left to close
    t.close_peer();
    co_await t.connect();
    t.stream->close();
    EXPECT_EQ(::recv(t.peer, into.data(), into.size(), 0), 0);
  }(*this));
}

TEST_F(StreamTest, ShutdownSendsTheEndAndStillReads) {
  run([](StreamTest& t) -> Task<> {
    co_await t.connect();
    t.stream->shutdown_send();
    EXPECT_EQ(receive(t.peer, 10), "");
    send_all(t.peer, "late");
    co_await t.signal.wait();
    EXPECT_EQ(t.read(10).octets, 4U);
  }(*this));
}

TEST_F(StreamTest, RaisesWhoeverItIsBoundTo) {
  run([](StreamTest& t) -> Task<> {
    co_await t.connect();
    Signal other(t.loop->ready());
    t.stream->bind(&other);
    send_all(t.peer, "x");
    co_await other.wait();
    EXPECT_FALSE(t.raised());
    t.stream->bind(nullptr);
    send_all(t.peer, "x");
    co_await t.turns();
    EXPECT_TRUE(t.stream->readable());
  }(*this));
}

TEST_F(StreamTest, EventsForADestroyedStreamAreDropped) {
  run([](StreamTest& t) -> Task<> {
    co_await t.connect();
    send_all(t.peer, "x");
    // Posted work runs among the events of the same turn, whichever comes first.
    t.loop->post([&t] { t.stream.reset(); });
    co_await t.turns();
    EXPECT_EQ(t.stream, nullptr);
  }(*this));
}

TEST_F(StreamTest, KnowsBothEndsAndTheRoundTrip) {
  run([](StreamTest& t) -> Task<> {
    co_await t.connect();
    EXPECT_EQ(t.stream->peer_address(), kLoopback);
    EXPECT_EQ(t.stream->peer_port(), t.listening.port());
    EXPECT_EQ(t.stream->local_address(), kLoopback);
    const auto rtt = t.stream->rtt();
    EXPECT_TRUE(rtt.has_value());
    EXPECT_LT(*rtt, std::chrono::seconds(1));
  }(*this));
}

TEST_F(StreamTest, AnAcceptedSocketIsOpenAndWaitsForItsFirstOctets) {
  run([](StreamTest& t) -> Task<> {
    const int client = connect_to(t.listening.port());
    auto adopted = Stream::adopt(*t.loop, t.listening.accept(SOCK_NONBLOCK), t.signal);
    EXPECT_EQ((*adopted)->establish(), IoStatus::ok);
    EXPECT_TRUE((*adopted)->writable());
    EXPECT_FALSE((*adopted)->readable());
    send_all(client, "GET");
    EXPECT_EQ(co_await t.read_text(**adopted, t.signal, 3), "GET");
    ::close(client);
  }(*this));
}

TEST_F(StreamTest, WorksOverIpV6) {
  run([](StreamTest& t) -> Task<> {
    const SocketAddress any(*IpAddress::parse("::1"), 0);
    const int v6 = ::socket(AF_INET6, SOCK_STREAM, 0);
    EXPECT_EQ(::bind(v6, any.get(), any.size()), 0);
    EXPECT_EQ(::listen(v6, 1), 0);
    const std::uint16_t port = SocketAddress::of_socket(v6).port();
    auto made = Stream::connect(*t.loop, *IpAddress::parse("::1"), port, nullptr, t.signal);
    EXPECT_EQ(co_await t.open(**made, t.signal), IoStatus::ok);
    EXPECT_EQ((*made)->peer_address(), *IpAddress::parse("::1"));
    ::close(v6);
  }(*this));
}

}  // namespace
}  // namespace perigee::router
