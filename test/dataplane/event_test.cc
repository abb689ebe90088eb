#include "dataplane/event.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>

namespace perigee {
namespace {

constexpr Nanos kTime = std::chrono::milliseconds(1'700'000'000'042);

TEST(Event, ALineIsOneJsonObject) {
  EXPECT_EQ(log_line("table_refused", {{"reason", "port \"x\\y\"\n\x01"}, {"generation", "7"}}, kTime),
            "{\"time\":\"2023-11-14T22:13:20.042Z\",\"event\":\"table_refused\","
            "\"reason\":\"port \\\"x\\\\y\\\"\\u000a\\u0001\",\"generation\":\"7\"}\n");
}

TEST(Event, EveryKindSaysWhatChanged) {
  Event event;
  event.subject = table::Name::of("syd-mel-a");
  event.from = telemetry::LinkState::up;
  event.to = telemetry::LinkState::down;
  EXPECT_NE(
      log_line(event, kTime).find(R"("event":"link_state","link":"syd-mel-a","from":"up","to":"down"})"),
      std::string::npos);
  event.kind = Event::Kind::neighbor_moved;
  event.subject = table::Name::of("link0");
  event.address = 0xac1f0102;
  event.mac_before = MacAddress{{2, 0, 0, 0, 0, 1}};
  event.mac = MacAddress{{2, 0, 0, 0, 0, 2}};
  EXPECT_NE(log_line(event, kTime)
                .find(R"("event":"neighbor_moved","port":"link0","address":"172.31.1.2",)"
                      R"("from":"02:00:00:00:00:01","to":"02:00:00:00:00:02"})"),
            std::string::npos);
  event.kind = Event::Kind::neighbor_pin_differs;
  EXPECT_NE(log_line(event, kTime).find(R"("pinned":"02:00:00:00:00:01","announced":"02:00:00:00:00:02"})"),
            std::string::npos);
  event.kind = Event::Kind::address_conflict;
  EXPECT_NE(log_line(event, kTime).find(R"("claimed_by":"02:00:00:00:00:02"})"), std::string::npos);
  event.kind = Event::Kind::port_down;
  EXPECT_NE(log_line(event, kTime).find(R"("event":"port_down","port":"link0"})"), std::string::npos);
  event.kind = Event::Kind::port_up;
  EXPECT_NE(log_line(event, kTime).find(R"("event":"port_up")"), std::string::npos);
  event.kind = Event::Kind::neighbor_unreachable;
  EXPECT_NE(log_line(event, kTime).find(R"("event":"neighbor_unreachable")"), std::string::npos);
}

// It would hang here: a line is a wait for a reader that may never come.
TEST(WriteLog, LosesALineThatFindsNoRoomAndSaysSo) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe2(ends.data(), O_NONBLOCK), 0);
  const std::array<char, 4096> filling{};
  while (write(ends[1], filling.data(), filling.size()) > 0) {
  }
  fcntl(ends[1], F_SETFL, 0);  // as standard error is: it waits
  const int stderr_before = dup(STDERR_FILENO);
  dup2(ends[1], STDERR_FILENO);
  write_log("something_happened", {});
  count_lost_line();
  std::string read_back(2U << 20U, '\0');
  EXPECT_GT(read(ends[0], read_back.data(), read_back.size()), 0);
  write_log("something_else", {});
  const ssize_t size = read(ends[0], read_back.data(), read_back.size());
  dup2(stderr_before, STDERR_FILENO);
  read_back.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  const std::size_t lost = read_back.find(R"("event":"lines_lost","count":"2"})");
  EXPECT_NE(lost, std::string::npos);
  EXPECT_NE(read_back.find("something_else", lost), std::string::npos);
  for (const int descriptor : {stderr_before, ends[0], ends[1]}) close(descriptor);
}

}  // namespace
}  // namespace perigee
