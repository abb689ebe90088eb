// The access log: one JSON object a line for each request. No prompt, completion or secret is in it: a record
// has none.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "contract/directory.h"
#include "contract/error.h"
#include "router/line_writer.h"
#include "router/request_record.h"

namespace perigee::router {

// Appends the line of `record`, with its LF. Text of others is cut and holds visible ASCII alone.
void append_access_line(std::string& out, const RequestRecord& record);

class AccessLog {
 public:
  explicit AccessLog(std::size_t threads);

  // Where lines go from now on: "none", "stderr", or a file's path, which is appended to. Opens a file anew
  // also when it is the same one: after its rotation. An error leaves all as it was.
  Result<void> open(const std::string& target);
  // From thread `thread` alone. Never waits.
  void take(std::size_t thread, const RequestRecord& record);
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
