// A writer killed at any moment never makes a reader hang, crash or read words that do not belong together.
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <random>

#include "contract/telemetry_file.h"
#include "test/contract/run_directory.h"

namespace perigee::telemetry {
namespace {

constexpr int kKills = 1000;

Window window_number(std::int64_t n) {
  const auto count = static_cast<std::uint64_t>(n);
  return {Instant{n}, Nanos(n + 1), Nanos(n + 2), Nanos(n + 3), count + 4, count + 5, count + 6};
}

bool whole(const Window& window) {
  const Window expected = window_number(window.end.ns);
  return window.min == expected.min && window.p50 == expected.p50 && window.p99 == expected.p99 &&
         window.samples == expected.samples && window.lost == expected.lost &&
         window.settled == expected.settled;
}

// Stores windows until it is killed.
[[noreturn]] void write_for_ever(LinkSlot& slot, std::int64_t start) {
  for (std::int64_t n = start;; ++n) store_window(slot, window_number(n));
}

// A child of this test, which never outlives it, also when an assertion ends it early.
pid_t fork_writer() {
  const pid_t child = fork();
  if (child == 0) prctl(PR_SET_PDEATHSIG, SIGKILL);
  return child;
}

void sleep_for(std::uint_fast32_t microseconds) {
  const timespec pause{0, static_cast<long>(microseconds) * 1000};
  nanosleep(&pause, nullptr);
}

TEST(TelemetryKill, AWindowIsWholeOrUnknown) {
  RunDirectory directory;
  auto writer = Writer::create(directory.path(), {1, 0, {}});
  ASSERT_TRUE(writer);
  LinkSlot& slot = writer->layout().links[0];
  give_out(slot, LinkId{1}, 1);
  Reader reader(directory.path());
  std::mt19937 random(20261130);
  int known = 0;
  int unfinished = 0;
  for (int i = 0; i < kKills; ++i) {
    const std::uint64_t before = slot.window.sequence;
    const pid_t child = fork_writer();
    ASSERT_GE(child, 0);
    if (child == 0) write_for_ever(slot, std::int64_t{i + 1} << 32);
    while (slot.window.sequence == before) sched_yield();
    sleep_for(random() % 300);
    for (const bool alive : {true, false}) {
      if (!alive) {
        kill(child, SIGKILL);
        waitpid(child, nullptr, 0);
        unfinished += static_cast<int>(slot.window.sequence & 1U);
      }
      const auto snapshot = reader.read();
      ASSERT_TRUE(snapshot) << snapshot.error().text();
      ASSERT_EQ(snapshot->links.size(), 1U);
      const auto& window = snapshot->links[0].window;
      if (!window) continue;
      ++known;
      ASSERT_TRUE(whole(*window)) << window->end.ns;
    }
  }
  EXPECT_GT(known, 0) << "the test never saw a window";
  EXPECT_GT(unfinished, 0) << "the test never killed within a window";
}

TEST(TelemetryKill, AFileIsWholeOrAbsent) {
  RunDirectory directory;
  ASSERT_TRUE(Writer::create(directory.path(), {1, 0, {"edge0"}}));
  Reader reader(directory.path());
  std::mt19937 random(20261130);
  for (int i = 0; i < 50; ++i) {
    const pid_t child = fork_writer();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (;;) {
        if (!Writer::create(directory.path(), {1, 0, {"edge0"}})) _exit(1);
      }
    }
    sleep_for(random() % 3000);
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    const auto snapshot = reader.read();
    ASSERT_TRUE(snapshot) << snapshot.error().text();
    ASSERT_EQ(snapshot->ports.at(0).name, "edge0");
  }
}

}  // namespace
}  // namespace perigee::telemetry
