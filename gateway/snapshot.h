// Everything the gateway knows at one moment, as one immutable value: made by the control loop once per tick,
// read whole by the admin API and the metrics. So no answer mixes two moments.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "contract/table.h"
#include "contract/telemetry_file.h"
#include "contract/units.h"
#include "gateway/check_result.h"
#include "router/model_list.h"
#include "steering/conditions.h"
#include "steering/engine_metrics.h"
#include "steering/health.h"
#include "steering/policy.h"
#include "steering/route.h"

namespace perigee::gateway {

// What the polls of one endpoint's load have said so far.
struct EndpointLoad {
  std::optional<EngineLoad> load;      // absent: it was not asked, or its last answer counts no more
  std::optional<double> prefill_rate;  // as EngineRate learned them
  std::optional<double> prompt_tokens;
  std::array<std::uint64_t, kCheckFindingCount> polls{};  // how often each; bad_body: no metric of any engine
  friend bool operator==(const EndpointLoad&, const EndpointLoad&) = default;
};

// What the checks of one endpoint have said so far.
struct EndpointHealth {
  HealthState state;
  std::optional<CheckResult> last;
  Instant last_at;                                           // when `last` ended
  std::array<std::uint64_t, kCheckFindingCount> findings{};  // how often each
  std::optional<Nanos> connection_rtt{};  // the least of checks and requests lately; absent: none connected
  // Models that it should have and does not list, by its own names; absent: it was not asked, or what it said
  // counts no more.
  std::optional<std::vector<std::string>> absent_models{};
  Instant listed_at{};                                // when it said so
  std::shared_ptr<const router::ModelList> models{};  // its list; null: as above
  EndpointLoad load{};
};

// How far the table is on its way; `no_dataplane`: nobody is there to take it.
enum class TableState : std::uint8_t { pending, in_force, refused, no_dataplane };
[[nodiscard]] const char* name_of(TableState state);

struct TableStatus {
  table::Identity identity;
  std::string published_at;  // wall clock; empty: found at start, written by an earlier gateway
  Instant written;           // the same on the clock of decisions; never: found at start
  TableState state = TableState::pending;
  std::string reason;                 // of the refusal
  std::uint64_t policy_revision = 0;  // of the policy it was compiled from
};

struct PolicyStatus {
  std::string file;
  std::string loaded_at;  // wall clock, of the policy in force; empty: none
  std::string last_reload_at;
  bool last_reload_successful = false;
  std::vector<std::string> errors;  // of the last reload
};

using SwitchCounts = std::array<std::uint64_t, static_cast<std::size_t>(SwitchReason::count_)>;

struct Snapshot {
  Instant at;
  bool stopping = false;  // the process drains and will end
  PolicyStatus policy_status;
  std::shared_ptr<const Policy> policy;            // null: none was ever loaded
  std::shared_ptr<const std::string> policy_text;  // of `policy`
  std::shared_ptr<const Route> route;              // not null when `policy` is not
  Conditions conditions;
  std::vector<EndpointHealth> health;            // in the order of policy->endpoints
  std::map<ServiceId, SwitchCounts> switches;    // of services, and of the pools of routed ones
  std::optional<telemetry::Snapshot> telemetry;  // absent: no readable data plane
  std::string telemetry_error;                   // why not
  std::optional<TableStatus> table;              // absent: none was published yet
  std::string table_error;                       // the last attempt to publish failed

  // The data plane writes its heartbeat; `telemetry` is present then, but may be present without.
  [[nodiscard]] bool dataplane_alive() const { return conditions.dataplane_alive; }
  // The telemetry of a link, or null.
  [[nodiscard]] const telemetry::LinkSample* link_sample(LinkId id) const {
    return telemetry ? telemetry->link(id) : nullptr;
  }
};

// A new table is acknowledged within milliseconds; only one that is not for so long makes the gateway not
// ready.
inline constexpr Nanos kAcknowledgeGrace = std::chrono::seconds(2);

// A snapshot is of the last tick; one older than so many, and than the grace above, means that nobody
// decides.
inline constexpr int kMaxSnapshotTicks = 5;

// Why the gateway is not ready, for people; empty: it is.
[[nodiscard]] std::vector<std::string> not_ready_reasons(const Snapshot& snapshot, Instant now);

// The window of a link while it says something: the data plane is alive, and it was taken within the policy's
// steering window; else null.
[[nodiscard]] const telemetry::Window* fresh_window(const Snapshot& snapshot,
                                                    const telemetry::LinkSample& sample, Instant now);

// The load of an endpoint while it says something: not older than its policy lets it count; else null.
[[nodiscard]] const EngineLoad* fresh_load(const Policy::Endpoint& endpoint, const EndpointLoad& load,
                                           Instant now);

// The one place where threads meet: writer the control loop, readers the admin thread. A mutex for the time
// of a pointer copy; nothing here is in a request's path.
class SnapshotCell {
 public:
  void store(std::shared_ptr<const Snapshot> snapshot) {
    const std::lock_guard lock(mutex_);
    snapshot_ = std::move(snapshot);
  }
  // Never null.
  [[nodiscard]] std::shared_ptr<const Snapshot> load() const {
    const std::lock_guard lock(mutex_);
    return snapshot_;
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Snapshot> snapshot_ = std::make_shared<Snapshot>();
};

}  // namespace perigee::gateway
