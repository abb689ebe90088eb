// A log of JSON lines that the router's threads write to a file, "stderr" or nowhere.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "contract/directory.h"
#include "contract/error.h"
#include "router/line_writer.h"

namespace perigee::router {

class LineLog {
 public:
  explicit LineLog(std::size_t threads);

  // Where lines go from now on: "none", "stderr", or a file's path, which is appended to. Opens a file anew
  // also when it is the same one: after its rotation. An error leaves all as it was.
  Result<void> open(const std::string& target);
  [[nodiscard]] bool on() const { return on_.load(std::memory_order_relaxed); }
  // From thread `thread` alone: `append` adds one line, with its LF. Never waits.
  template <class Append>
  void take(std::size_t thread, const Append& append) {
    if (!on()) return;
    LineRing& ring = writer_.ring(thread);
    std::string* line = ring.next();
    if (line == nullptr) return;
    append(*line);
    ring.add();
    writer_.wake();
  }
  // Lines that were lost, in the queue or at the file.
  [[nodiscard]] std::uint64_t lost() const;

 private:
  void write(std::string_view lines);

  std::atomic<bool> on_{false};
  std::atomic<std::uint64_t> lost_writes_{0};
  std::mutex mutex_;  // of file_: the control loop and the writer
  std::shared_ptr<const Descriptor> file_;
  LineWriter writer_;  // last: its thread uses the above
};

}  // namespace perigee::router
