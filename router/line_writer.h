// Lines of a log on their way from the router's threads to one that writes them. A session never waits for a
// disk: a queue that is full loses the line, and counts it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace perigee::router {

// Of one producing thread and one consuming one.
class LineRing {
 public:
  // One second of 4000 requests a second, should the disk stand still for so long; some 2 MiB when full.
  static constexpr std::size_t kLines = 4096;

  LineRing() : lines_(kLines) {}

  // The producer's: an empty line to fill, which add() then queues. Null: the ring is full, the line is lost.
  [[nodiscard]] std::string* next();
  void add() { written_.store(written_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }
  [[nodiscard]] std::uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

  // The consumer's: appends what is queued to `out`.
  void take(std::string& out);

 private:
  std::vector<std::string> lines_;
  std::atomic<std::uint64_t> lost_{0};  // written by the producer alone
  alignas(64) std::atomic<std::uint64_t> written_{0};
  alignas(64) std::atomic<std::uint64_t> read_{0};
};

class LineWriter {
 public:
  // `write` gets whole lines, each with its LF, on the writer's own thread.
  LineWriter(std::size_t producers, std::function<void(std::string_view lines)> write);
  ~LineWriter();  // after what is queued was written

  [[nodiscard]] LineRing& ring(std::size_t producer) { return *rings_[producer]; }
  // A line was queued. A system call only when the writer sleeps, so at most one in kGather.
  void wake();
  [[nodiscard]] std::uint64_t lost() const;

 private:
  void run();

  std::vector<std::unique_ptr<LineRing>> rings_;
  std::function<void(std::string_view)> write_;
  std::atomic<bool> awake_{false};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace perigee::router
