// Usage records: what each request used, for billing and for limits over a fleet. One JSON line a record, in
// files that another program takes away. Written by a thread of its own; no request waits for a disk.
//
// The file being written ends in ".part" and is locked by its writer; once it is whole it ends in ".jsonl",
// and is never touched again. A ".part" that nobody holds was left by a process that died: the next one
// finishes it. When the directory holds all it may, records are lost, and counted: what is there is not
// billed yet, and is never deleted.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "contract/error.h"
#include "router/line_writer.h"
#include "router/request_record.h"
#include "steering/policy.h"

namespace perigee::router {

// What one request used. Immutable; made once the request is over, and valid while that request's record is.
struct UsageRecord {
  const RequestRecord& request;
  // As the endpoint said, or else by the prompt's size and the events that came.
  const TokenUsage tokens;
  const bool exact;
};
[[nodiscard]] UsageRecord usage_record_of(const RequestRecord& request);
// Whether a request is anybody's: it reached an endpoint, or came with a key.
[[nodiscard]] bool has_usage(const RequestRecord& request);
// Appends its line, with its LF.
void append_usage_line(std::string& out, const UsageRecord& record);

class UsageSpool {
 public:
  explicit UsageSpool(std::size_t threads);
  ~UsageSpool();  // after what is queued was written

  // Where records go from now on; an empty directory: nowhere. Begins a new file. An error leaves all as it
  // was.
  Result<void> open(const Policy::Router::UsageRecords& settings);
  // From thread `thread` alone. Never waits.
  void take(std::size_t thread, const RequestRecord& request);
  [[nodiscard]] std::uint64_t lost() const;  // records, in the queue, for want of room, or at the disk

 private:
  class Files;
  void write(std::string_view lines);

  std::atomic<bool> on_{false};
  std::atomic<std::uint64_t> lost_writes_{0};
  std::mutex mutex_;  // of files_: the control loop and the writer
  std::unique_ptr<Files> files_;
  LineWriter writer_;  // last: its thread uses the above
};

}  // namespace perigee::router
