// The control thread's work: follow the table file, hand each good table to the worker, say which one is in
// force and which was refused, write the log. Whatever is wrong with a new table, the last good one stays.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "contract/directory.h"
#include "contract/table.h"
#include "contract/telemetry_file.h"
#include "contract/units.h"
#include "dataplane/bootstrap.h"
#include "dataplane/event.h"
#include "dataplane/mailbox.h"
#include "dataplane/serving_table.h"

namespace perigee {

class Reloader {
 public:
  using Log = std::function<void(std::string_view event, const std::vector<LogField>& fields)>;

  struct Wiring {
    std::string directory;               // of the table
    std::optional<std::uint32_t> owner;  // uid of the gateway, when it is neither ours nor root
    std::vector<PortSetting> ports;      // in the order the worker has them
    std::vector<std::uint16_t> mtus;     // of those ports: octets of IP the device carries
    Mailbox<ServingTable>& tables;       // toward the worker
    telemetry::Writer& telemetry;        // in_force and refused
    std::function<void()> wake_worker;   // after an offer, for a worker that sleeps
    Log log;
  };
  explicit Reloader(Wiring wiring);

  // Readable when something in the directory changed, or -1 while it cannot be watched: then look() once a
  // second.
  [[nodiscard]] int descriptor() const { return watch_.get(); }

  // Reads the table if its file is another one than last time, offers it, acknowledges what the worker took.
  // Call when descriptor() is readable, and at least once a second (every few milliseconds while waiting()).
  void look(Instant now);

  // A table was offered and the worker has not taken it yet.
  [[nodiscard]] bool waiting() const { return offered_.has_value(); }

 private:
  struct FileStamp {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    std::int64_t modified_ns = 0;
    friend bool operator==(const FileStamp&, const FileStamp&) = default;
  };

  void watch();
  void drain_watch();
  [[nodiscard]] std::optional<FileStamp> stamp() const;
  void read(Instant now);
  [[nodiscard]] Result<void> check_mtus(const ServingTable& table) const;
  void refuse(const table::Identity& identity, const std::string& reason, Instant now);
  void acknowledge(Instant now);

  Wiring wiring_;
  Descriptor watch_;                     // inotify
  bool told_ = false;                    // that there is no directory
  std::optional<FileStamp> seen_;        // of the file last read; none: it could not be
  std::optional<FileStamp> unreadable_;  // the last that could not, and why
  std::string unreadable_reason_;
  std::optional<table::Identity> in_force_;  // the worker has it
  std::optional<table::Identity> offered_;   // the worker is about to take it
};

}  // namespace perigee
