#include "router/line_writer.h"

#include <gtest/gtest.h>

#include <mutex>
#include <set>
#include <sstream>

namespace perigee::router {
namespace {

TEST(LineRing, KeepsOrderAndLosesWhatItHasNoRoomFor) {
  LineRing ring;
  for (std::size_t i = 0; i < LineRing::kLines; ++i) {
    std::string* line = ring.next();
    ASSERT_NE(line, nullptr);
    *line = std::to_string(i) + "\n";
    ring.add();
  }
  EXPECT_EQ(ring.next(), nullptr);
  EXPECT_EQ(ring.next(), nullptr);
  EXPECT_EQ(ring.lost(), 2U);
  std::string lines;
  ring.take(lines);
  EXPECT_EQ(lines.substr(0, 6), "0\n1\n2\n");
  std::string* again = ring.next();
  ASSERT_NE(again, nullptr);
  EXPECT_TRUE(again->empty());
}

TEST(LineWriter, WritesEveryLineOfEveryThreadOrCountsIt) {
  constexpr std::size_t kThreads = 3;
  constexpr int kEach = 20'000;
  std::multiset<std::string> written;
  std::uint64_t lost = 0;
  {
    LineWriter writer(kThreads, [&](std::string_view lines) {
      ASSERT_EQ(lines.back(), '\n');
      std::istringstream in{std::string(lines)};
      for (std::string line; std::getline(in, line);) written.insert(line);
    });
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < kThreads; ++t)
      threads.emplace_back([&writer, t] {
        for (int i = 0; i < kEach; ++i) {
          std::string* line = writer.ring(t).next();
          if (line == nullptr) continue;
          line->append(std::to_string(t)).append(":").append(std::to_string(i)).append("\n");
          writer.ring(t).add();
          writer.wake();
        }
      });
    for (std::thread& thread : threads) thread.join();
    lost = writer.lost();
  }
  EXPECT_EQ(written.size() + lost, kThreads * kEach);
  EXPECT_EQ(std::set<std::string>(written.begin(), written.end()).size(), written.size());
}

}  // namespace
}  // namespace perigee::router
