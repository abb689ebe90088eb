#include "gateway/handover.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include <thread>

#include "contract/handed_lock.h"
#include "test/gateway/fake_dataplane.h"

namespace perigee::gateway::test {
namespace {

class FakePredecessor : public Predecessor {
 public:
  std::vector<Descriptor> give() override {
    std::vector<Descriptor> out;
    for (int i = 0; i < count; ++i) out.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    return out;
  }
  void keep() override { ++kept; }
  void leave() override { ++left; }

  int count = 3;
  std::atomic<int> kept = 0;
  std::atomic<int> left = 0;
};

struct HandoverTest : testing::Test {
  HandoverTest() : server(std::make_unique<HandoverServer>(io, predecessor, log)) {
    const auto opened = server->listen(path);
    EXPECT_TRUE(opened) << opened.error().text();
    thread = std::thread([this] {
      const auto work = boost::asio::make_work_guard(io);
      io.run();
    });
  }
  ~HandoverTest() override {
    io.stop();
    thread.join();
  }

  Surroundings around;
  const std::string path = around.path() + "/handover";
  Lines lines;
  const Log log = lines.log();
  FakePredecessor predecessor;
  boost::asio::io_context io;
  std::unique_ptr<HandoverServer> server;
  std::thread thread;
};

TEST_F(HandoverTest, TheLockComesFirstThenTheSockets) {
  auto asked = Handover::ask(path);
  ASSERT_TRUE(asked) << asked.error().text();
  ASSERT_TRUE(*asked);
  EXPECT_TRUE((*asked)->take_lock().valid());
  EXPECT_EQ((*asked)->take_sockets().size(), 2U);
  EXPECT_EQ(predecessor.left, 0) << "not before the other is ready";
  EXPECT_TRUE((*asked)->ready());
  EXPECT_EQ(predecessor.left, 1);
  const auto again = Handover::ask(path);
  EXPECT_TRUE(again && !*again) << "nobody serves there any more";
}

TEST_F(HandoverTest, ManySocketsTakeSeveralMessages) {
  predecessor.count = 450;
  auto asked = Handover::ask(path);
  ASSERT_TRUE(asked && *asked);
  EXPECT_EQ((*asked)->take_sockets().size(), 449U);
}

TEST_F(HandoverTest, WhoGoesAwayLeavesAllAsItWas) {
  {
    auto asked = Handover::ask(path);
    ASSERT_TRUE(asked && *asked);
  }
  while (predecessor.kept == 0) std::this_thread::yield();
  auto asked = Handover::ask(path);
  ASSERT_TRUE(asked && *asked) << "the next one may try";
  EXPECT_TRUE((*asked)->ready());
  EXPECT_EQ(predecessor.left, 1);
}

TEST_F(HandoverTest, WhoCannotGiveSaysSo) {
  predecessor.count = 0;
  EXPECT_FALSE(Handover::ask(path));
}

TEST(HandedLock, IsTakenOverWithoutAGap) {
  const Surroundings around;
  const std::string path = around.table_directory();
  const Descriptor directory = std::move(open_directory(path).value());
  auto held = lock_directory(directory, path);
  ASSERT_TRUE(held);
  auto taken = take_over_lock(directory, path, Descriptor(::fcntl(held->get(), F_DUPFD_CLOEXEC, 0)));
  ASSERT_TRUE(taken) << taken.error().text();
  *held = Descriptor();  // the process before ends
  EXPECT_FALSE(lock_directory(directory, path)) << "it is held on";
  *taken = Descriptor();
  EXPECT_TRUE(lock_directory(directory, path));
  EXPECT_FALSE(take_over_lock(directory, path, Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC))));
}

}  // namespace
}  // namespace perigee::gateway::test
