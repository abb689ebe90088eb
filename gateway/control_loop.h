// THE CONTROL LOOP: telemetry and health -> Conditions -> route() -> compile() -> the table file, and what
// the data plane says of it. No sockets, no threads, no clock of its own: one call of tick() is one turn.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "contract/directory.h"
#include "contract/error.h"
#include "contract/table_file.h"
#include "contract/telemetry_file.h"
#include "gateway/log.h"
#include "gateway/snapshot.h"
#include "steering/policy.h"
#include "steering/route.h"

namespace perigee::gateway {

// Tables are published at most this often, however often conditions change: the data plane copies and indexes
// each of them.
inline constexpr Nanos kMinPublishGap = std::chrono::milliseconds(100);

class ControlLoop {
 public:
  struct Places {
    std::string table_directory;
    std::string telemetry_directory;
    std::optional<std::uint32_t> dataplane_owner;  // uid that may own the telemetry besides ours and root
  };

  // Takes the table directory's lock, and the table in force from it. Errors: the directory does not pass the
  // checks of directory.h, or another gateway holds it (named). A table that cannot be read is no error: it
  // is logged, and the next one replaces it.
  // `handed`: the lock as the process before held it, instead of taking it.
  static Result<ControlLoop> open(Places places, const Log& log, SnapshotCell& cell, Descriptor handed = {});

  // A copy of the lock, for the next process.
  [[nodiscard]] Descriptor lock() const;

  // From the next tick on, `policy` (or none) is in force. Steering's memory is kept; when there is none yet,
  // it is rebuilt from the table in force, so that a restart moves no traffic. Returns the policy's revision.
  std::uint64_t adopt(std::shared_ptr<const Policy> policy, std::shared_ptr<const std::string> text,
                      Instant now);

  // All that a change of policy may lose: put_back() takes a refused one back as if it had not been.
  struct InForce {
    std::shared_ptr<const Policy> policy;
    std::shared_ptr<const std::string> text;
    std::shared_ptr<const Route> route;
    std::map<ServiceId, SwitchCounts> switches;
  };
  [[nodiscard]] InForce in_force() const { return {policy_, text_, route_, switches_}; }
  void put_back(InForce before);

  [[nodiscard]] const std::shared_ptr<const Policy>& policy() const { return policy_; }
  [[nodiscard]] const std::shared_ptr<const std::string>& policy_text() const { return text_; }

  // One turn; stores a new Snapshot. `health` is in the order of the policy's endpoints; `wall`: the time of
  // day, for maintenance windows and pins.
  void tick(Instant now, std::vector<EndpointHealth> health, std::optional<WallTime> wall = std::nullopt);

  // The outcome of the last attempt to load a policy, for the snapshots to come.
  void set_policy_status(PolicyStatus status) { policy_status_ = std::move(status); }
  [[nodiscard]] const PolicyStatus& policy_status() const { return policy_status_; }

  // The process will end: said in the snapshots to come.
  void set_stopping() { stopping_ = true; }

  [[nodiscard]] bool dataplane_alive() const { return dataplane_alive_; }
  // As of the last tick; null exactly without a policy.
  [[nodiscard]] const std::shared_ptr<const Route>& decided() const { return route_; }
  // As of the last tick; absent while none can be read.
  [[nodiscard]] const std::optional<telemetry::Snapshot>& telemetry() const { return telemetry_; }
  [[nodiscard]] const std::optional<TableStatus>& table() const { return table_; }
  // Why the table of the policy adopted last is not on disk; empty: it is, or no tick has tried yet.
  [[nodiscard]] const std::string& table_error() const { return table_error_; }

 private:
  ControlLoop(Places places, const Log& log, SnapshotCell& cell, Descriptor directory, Descriptor lock);
  void take_table_in_force();
  void read_telemetry(Instant now);
  void decide(Instant now);
  void record_switches();
  void record_maintenance(const std::vector<UnderMaintenance>& before);
  void publish(Instant now);
  void acknowledge();
  void store_snapshot(Instant now, std::vector<EndpointHealth> health);

  const Log* log_;
  SnapshotCell* cell_;
  Places places_;
  Descriptor directory_;
  Descriptor lock_;
  telemetry::Reader reader_;
  std::uint64_t instance_;  // of this process, as writer of tables

  std::shared_ptr<const Policy> policy_;
  std::shared_ptr<const std::string> text_;
  std::uint64_t revision_ = 0;
  PolicyStatus policy_status_;
  bool stopping_ = false;

  std::optional<telemetry::Snapshot> telemetry_;
  std::string telemetry_error_;
  bool dataplane_alive_ = false;
  std::uint64_t dataplane_incarnation_ = 0;
  Conditions conditions_;
  std::shared_ptr<const Route> route_;
  std::map<ServiceId, SwitchCounts> switches_;

  std::optional<table::Table> found_;  // at start, until a policy is there to rebuild the Route from it
  std::optional<TableStatus> table_;   // published last
  std::vector<std::byte> content_;     // of that table, its identity left out
  std::string table_error_;
  Instant published_;
};

// What `telemetry` (null: none readable) and `health` say at `now`, in the order of the policy.
Conditions conditions_of(const Policy& policy, const telemetry::Snapshot* telemetry,
                         const std::vector<EndpointHealth>& health, Instant now);

}  // namespace perigee::gateway
