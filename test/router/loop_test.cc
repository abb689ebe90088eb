#include "router/loop.h"

#include <gmock/gmock.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include "test/router/loop_fixture.h"

namespace perigee::router {
namespace {

using testing::ElementsAre;

// An event descriptor in the loop that tells what it was woken for.
class Bell final : public Watched {
 public:
  explicit Bell(Loop& loop) : loop_(loop), fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    EXPECT_TRUE(loop.watch(fd_, EPOLLIN | EPOLLET, *this));
  }
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;
  ~Bell() {
    loop_.unwatch(fd_);
    ::close(fd_);
  }
  void ring() const { EXPECT_EQ(::eventfd_write(fd_, 1), 0); }
  void on_events(std::uint32_t) override {
    ++heard;
    if (then) then();
  }
  int heard = 0;
  std::function<void()> then;

 private:
  Loop& loop_;
  int fd_;
};

TEST_F(LoopTest, RunsPostedWorkInOrderFromAnyThread) {
  std::vector<int> seen;
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i) loop->post([&seen, i] { seen.push_back(i); });
    loop->post([&] { loop->stop(); });
  });
  loop->run();
  other.join();
  ASSERT_EQ(seen.size(), 1000U);
  EXPECT_TRUE(std::ranges::is_sorted(seen));
}

TEST_F(LoopTest, StopsFromAnotherThreadWhileItSleeps) {
  std::thread other([&] { loop->stop(); });
  loop->run();
  other.join();
  // And runs again.
  loop->post([&] { loop->stop(); });
  loop->run();
}

TEST_F(LoopTest, WorkThatPostsAndStopsEndsInTheSameTurn) {
  int ran = 0;
  loop->post([&] {
    loop->post([&] { ++ran; });
    loop->stop();
  });
  loop->run();
  EXPECT_EQ(ran, 0);
}

TEST_F(LoopTest, ATimerRaisesItsSignalNotBeforeTheDeadline) {
  run([](Loop& on) -> Task<> {
    Signal signal(on.ready());
    Timer timer(on.timers(), signal);
    const Instant deadline = on.now() + std::chrono::milliseconds(20);
    timer.arm(deadline);
    co_await signal.wait();
    EXPECT_TRUE(timer.expired());
    EXPECT_GE(on.now(), deadline);
  }(*loop));
}

TEST_F(LoopTest, TheTimeIsTheSameAllThroughATurn) {
  run([](Loop& on) -> Task<> {
    Signal signal(on.ready());
    co_await signal.pass();
    const Instant now = on.now();
    const auto wall = on.wall_now();
    co_await signal.pass();  // the next round of the same turn
    EXPECT_EQ(on.now(), now);
    EXPECT_EQ(on.wall_now(), wall);
    Timer timer(on.timers(), signal);
    timer.arm(now);
    co_await signal.wait();
    EXPECT_GT(on.now(), now);
    EXPECT_GT(on.wall_now(), wall);
  }(*loop));
}

TEST_F(LoopTest, DropsEventsOfWhatWasDestroyedInTheSameTurn) {
  std::optional<Bell> first(std::in_place, *loop);
  std::optional<Bell> second(std::in_place, *loop);
  int heard = 0;
  // Whichever is heard first destroys the other, and something new gets its descriptor's number.
  std::optional<Bell> third;
  first->then = [&] { ++heard, second.reset(), third.emplace(*loop); };
  second->then = [&] { ++heard, first.reset(), third.emplace(*loop); };
  first->ring();
  second->ring();
  run(turns());
  EXPECT_EQ(heard, 1);
  EXPECT_EQ(third->heard, 0);
}

TEST_F(LoopTest, UnwatchKnowsWhatWasNeverWatched) {
  loop->unwatch(100'000);
  loop->unwatch(0);
}

TEST_F(LoopTest, WatchTellsWhenTheSystemRefuses) {
  Bell bell(*loop);
  EXPECT_FALSE(loop->watch(100'000, EPOLLIN, bell));
}

TEST_F(LoopTest, SocketsGetInThoughSignalsRaiseEachOther) {
  Bell bell(*loop);
  Signal ping(loop->ready());
  Signal pong(loop->ready());
  bool done = false;
  const auto play = [](Signal& own, Signal& other, const bool& over) -> Task<> {
    while (!over) {
      co_await own.wait();
      other.raise();
    }
  };
  Task<> left = play(ping, pong, done);
  Task<> right = play(pong, ping, done);
  left.start();
  right.start();
  bell.then = [&] { done = true, loop->stop(); };
  ping.raise();
  bell.ring();
  loop->run();
  EXPECT_EQ(bell.heard, 1);
}

struct Flush final : TurnEnd {
  explicit Flush(std::vector<std::string>& to) : log(to) {}
  void on_turn_end() override { log.emplace_back("flush"); }
  std::vector<std::string>& log;
};

TEST_F(LoopTest, TurnEndWorkRunsOnceAfterAllThatIsReady) {
  std::vector<std::string> log;
  Flush flush(log);
  run([](Loop& on, Flush& work) -> Task<> {
    Signal signal(on.ready());
    on.at_turn_end(work);
    on.at_turn_end(work);
    work.log.emplace_back("write");
    co_await signal.pass();
    work.log.emplace_back("write more");
    Timer timer(on.timers(), signal);
    timer.arm(on.now());
    co_await signal.wait();
    work.log.emplace_back("next turn");
  }(*loop, flush));
  EXPECT_THAT(log, ElementsAre("write", "write more", "flush", "next turn"));
}

TEST_F(LoopTest, TurnEndWorkMayBeDestroyedBefore) {
  std::vector<std::string> log;
  {
    Flush flush(log);
    loop->at_turn_end(flush);
  }
  run(turns());
  EXPECT_TRUE(log.empty());
}

}  // namespace
}  // namespace perigee::router
