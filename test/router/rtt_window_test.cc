#include "router/rtt_window.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace perigee::router {
namespace {

using namespace std::chrono_literals;
constexpr Instant kStart{1'000'000'000'000};

TEST(RttWindow, KeepsTheLeastOfLately) {
  RttWindow window;
  EXPECT_EQ(window.least(kStart), std::nullopt) << "never 0";
  window.add(30ms, kStart);
  window.add(20ms, kStart + 1ms);
  window.add(40ms, kStart + 2ms);
  EXPECT_EQ(window.least(kStart + 3ms), Nanos(20ms));
  window.add(35ms, kStart + 5s);
  EXPECT_EQ(window.least(kStart + 5s), Nanos(20ms)) << "the window before counts too";
  EXPECT_EQ(window.least(kStart + 10s), Nanos(35ms));
  EXPECT_EQ(window.least(kStart + 15s), std::nullopt) << "absent is unknown";
  window.add(50ms, kStart + 60s);
  EXPECT_EQ(window.least(kStart + 60s), Nanos(50ms)) << "what is old does not come back";
}

TEST(RttWindow, ASampleIsDueNowAndThen) {
  RttWindow window;
  EXPECT_TRUE(window.due(kStart));
  EXPECT_FALSE(window.due(kStart + RttWindow::kBetween - 1ns));
  EXPECT_TRUE(window.due(kStart + RttWindow::kBetween));
}

TEST(RttWindow, ThreadsLoseNoLeast) {
  RttWindow window;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 5000; ++i) window.add(std::chrono::microseconds(10'000 - i + thread), kStart);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(window.least(kStart), Nanos(std::chrono::microseconds(5001)));
}

}  // namespace
}  // namespace perigee::router
