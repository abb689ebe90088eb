#include "router/endpoint_pool.h"

#include <string>
#include <utility>
#include <vector>

#include "test/router/loop_fixture.h"

namespace perigee::router {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct EndpointPoolTest : LoopTest {
  ~EndpointPoolTest() override {
    for (const int fd : peers) ::close(fd);
  }
  EndpointTarget target(std::string key = "syd/a") const {
    EndpointTarget made;
    made.key = std::move(key);
    made.address = kLoopback;
    made.port = listening.port();
    return made;
  }
  PoolLimits limits() {
    PoolLimits made;
    made.total = 4;
    made.per_endpoint = 3;
    made.idle = seconds(4);
    return made;
  }
  // A connection as a request has it: opened when none is warm.
  Task<PooledStream> acquire(EndpointPool& pool, std::string key = "syd/a") {
    auto got = pool.acquire(target(std::move(key)), signal);
    EXPECT_TRUE(got.has_value());
    if (!got->reused) {
      peers.push_back(listening.accept());
      EXPECT_EQ(co_await open(*got->stream, signal), IoStatus::ok);
    }
    co_return std::move(*got);
  }
  // `count` warm ones.
  Task<> warm(EndpointPool& pool, std::size_t count, std::string key = "syd/a") {
    std::vector<PooledStream> all;
    for (std::size_t i = 0; i < count; ++i) all.push_back(co_await acquire(pool, key));
    for (PooledStream& one : all) pool.release(target(key), std::move(one.stream));
  }
  void close_peer(std::size_t index) { ::shutdown(peers[index], SHUT_RDWR); }
  Task<> sleep(Nanos time) {
    Signal own(loop->ready());
    Timer timer(loop->timers(), own);
    timer.arm(loop->now() + time);
    co_await own.wait();
  }

  ListeningSocket listening;
  Signal signal{loop->ready()};
  std::vector<int> peers;
};

TEST_F(EndpointPoolTest, TheOneUsedLastGoesOutFirst) {
  run([](EndpointPoolTest& t) -> Task<> {
    EndpointPool pool(*t.loop, t.limits());
    co_await t.warm(pool, 2);
    EXPECT_EQ(pool.idle(), 2U);
    auto first = co_await t.acquire(pool);
    EXPECT_TRUE(first.reused);
    EXPECT_EQ(write_text(*first.stream, "GET").octets, 3U);
    EXPECT_EQ(receive(t.peers[1], 3), "GET");
    send_all(t.peers[1], "200");
    EXPECT_EQ(co_await t.read_text(*first.stream, t.signal, 3), "200");  // raises its new owner
    EXPECT_EQ(pool.idle(), 1U);
    EXPECT_EQ(pool.counters().reused, 1U);
    EXPECT_EQ(pool.counters().opened, 2U);
  }(*this));
}

TEST_F(EndpointPoolTest, KeysDoNotShare) {
  run([](EndpointPoolTest& t) -> Task<> {
    EndpointPool pool(*t.loop, t.limits());
    co_await t.warm(pool, 1, "syd/a");
    EXPECT_FALSE((co_await t.acquire(pool, "syd/b")).reused);
    EXPECT_TRUE((co_await t.acquire(pool, "syd/a")).reused);
  }(*this));
}

TEST_F(EndpointPoolTest, OneUnderOtherSettingsIsNotUsed) {
  run([](EndpointPoolTest& t) -> Task<> {
    EndpointPool pool(*t.loop, t.limits());
    co_await t.warm(pool, 1);
    EndpointTarget changed = t.target();
    Policy::EndpointTls unverified;
    unverified.verify = false;
    changed.tls = TlsClient::load(unverified).value();
    EXPECT_FALSE(pool.acquire(changed, t.signal)->reused);
    EXPECT_EQ(pool.idle(), 0U);
  }(*this));
}

TEST_F(EndpointPoolTest, OpenNeverGivesAWarmOne) {
  run([](EndpointPoolTest& t) -> Task<> {
    EndpointPool pool(*t.loop, t.limits());
    co_await t.warm(pool, 1);
    EXPECT_FALSE(pool.open(t.target(), t.signal)->reused);
    EXPECT_EQ(pool.idle(), 1U);
  }(*this));
}

TEST_F(EndpointPoolTest, WhatTheEndpointClosesIsDroppedAtOnce) {
  run([](EndpointPoolTest& t) -> Task<> {
    EndpointPool pool(*t.loop, t.limits());
    co_await t.warm(pool, 2);
    t.close_peer(1);
    while (pool.idle() == 2) co_await t.turns(1);
    EXPECT_EQ(pool.idle(), 1U);
    EXPECT_EQ(pool.counters().closed_by_endpoint, 1U);
    EXPECT_TRUE((co_await t.acquire(pool)).reused);
  }(*this));
}

TEST_F(EndpointPoolTest, WhatSendsUnaskedIsDropped) {
  run([](EndpointPoolTest& t) -> Task<> {
    EndpointPool pool(*t.loop, t.limits());
    co_await t.warm(pool, 1);
    send_all(t.peers[0], "HTTP/1.1 408 Request Timeout\r\n\r\n");
    while (pool.idle() == 1) co_await t.turns(1);
    EXPECT_FALSE((co_await t.acquire(pool)).reused);
  }(*this));
}

TEST_F(EndpointPoolTest, UnreadOctetsAtTheReleaseAreFound) {
  run([](EndpointPoolTest& t) -> Task<> {
    EndpointPool pool(*t.loop, t.limits());
    PooledStream one = co_await t.acquire(pool);
    send_all(t.peers[0], "more than the response");
    while (!one.stream->readable()) co_await t.signal.wait();
    pool.release(t.target(), std::move(one.stream));
    EXPECT_FALSE((co_await t.acquire(pool)).reused);
  }(*this));
}

TEST_F(EndpointPoolTest, KeepsNoMoreThanItsBudgets) {
  run([](EndpointPoolTest& t) -> Task<> {
    EndpointPool pool(*t.loop, t.limits());
    co_await t.warm(pool, 4, "syd/a");
    EXPECT_EQ(pool.idle(), 3U);  // per endpoint
    EXPECT_EQ(pool.counters().closed_full, 1U);
    co_await t.warm(pool, 2, "syd/b");
    EXPECT_EQ(pool.idle(), 4U);  // in all: the oldest one went
    EXPECT_EQ(pool.counters().closed_full, 2U);
    EXPECT_EQ(receive(t.peers[0], 1), "");
  }(*this));
}

TEST_F(EndpointPoolTest, ClosesAfterTheIdleLimit) {
  run([](EndpointPoolTest& t) -> Task<> {
    PoolLimits limits = t.limits();
    limits.idle = milliseconds(20);
    EndpointPool pool(*t.loop, limits);
    co_await t.warm(pool, 2);
    while (pool.idle() > 0) co_await t.turns(1);
    EXPECT_EQ(pool.counters().closed_idle, 2U);
    EXPECT_EQ(pool.counters().closed_by_endpoint, 0U);
  }(*this));
}

TEST_F(EndpointPoolTest, LearnsToCloseBeforeTheEndpointDoes) {
  run([](EndpointPoolTest& t) -> Task<> {
    EndpointPool pool(*t.loop, t.limits());
    co_await t.warm(pool, 1);
    co_await t.sleep(milliseconds(150));
    t.close_peer(0);
    while (pool.idle() > 0) co_await t.turns(1);
    // The next one goes by itself, long before the four seconds of the limits.
    const Instant since = t.loop->now();
    co_await t.warm(pool, 1);
    while (pool.idle() > 0) co_await t.turns(1);
    EXPECT_EQ(pool.counters().closed_idle, 1U);
    EXPECT_GE(t.loop->now() - since, EndpointPool::kShortestIdle);
    EXPECT_LT(t.loop->now() - since, seconds(3));
  }(*this));
}

TEST_F(EndpointPoolTest, DrainedItKeepsNothing) {
  run([](EndpointPoolTest& t) -> Task<> {
    EndpointPool pool(*t.loop, t.limits());
    co_await t.warm(pool, 2);
    pool.close_all();
    EXPECT_EQ(pool.idle(), 0U);
    EXPECT_EQ(receive(t.peers[0], 1), "");
    co_await t.warm(pool, 1);
    EXPECT_EQ(pool.idle(), 0U);
  }(*this));
}

TEST_F(EndpointPoolTest, GoesWithWhatIsIdle) {
  run([](EndpointPoolTest& t) -> Task<> {
    {
      EndpointPool pool(*t.loop, t.limits());
      co_await t.warm(pool, 2);
      t.close_peer(0);
    }
    EXPECT_EQ(receive(t.peers[1], 1), "");
    co_await t.turns();
  }(*this));
}

}  // namespace
}  // namespace perigee::router
