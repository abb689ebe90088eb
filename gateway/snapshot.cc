#include "gateway/snapshot.h"

#include <algorithm>

namespace perigee::gateway {

const char* name_of(TableState state) {
  switch (state) {
    case TableState::pending:
      return "pending";
    case TableState::in_force:
      return "in_force";
    case TableState::refused:
      return "refused";
    case TableState::no_dataplane:
      return "no_dataplane";
  }
  return "";
}

std::vector<std::string> not_ready_reasons(const Snapshot& snapshot, Instant now) {
  std::vector<std::string> reasons;
  if (snapshot.stopping) reasons.emplace_back("the gateway is being stopped");
  if (!snapshot.policy) {
    reasons.emplace_back("no policy is loaded");
  } else if (now - snapshot.at >
             std::max(kMaxSnapshotTicks * snapshot.policy->steering.tick, kAcknowledgeGrace)) {
    reasons.emplace_back("the control loop has stopped to decide");
  }
  if (!snapshot.table_error.empty()) {
    reasons.push_back("the table cannot be published: " + snapshot.table_error);
  }
  if (!snapshot.dataplane_alive()) {
    reasons.push_back("no data plane" + (snapshot.telemetry_error.empty()
                                             ? std::string(": its heartbeat stopped")
                                             : ": " + snapshot.telemetry_error));
  }
  if (!snapshot.table) {
    reasons.emplace_back("no table was published yet");
  } else if (snapshot.table->state == TableState::pending &&
             (!snapshot.telemetry || !snapshot.telemetry->in_force ||
              snapshot.at - snapshot.table->written > kAcknowledgeGrace)) {
    reasons.emplace_back("the data plane has not acknowledged the table yet");
  } else if (snapshot.table->state == TableState::refused) {
    reasons.push_back("the data plane refused the table: " + snapshot.table->reason);
  }
  return reasons;
}

const telemetry::Window* fresh_window(const Snapshot& snapshot, const telemetry::LinkSample& sample,
                                      Instant now) {
  if (!snapshot.policy || !snapshot.dataplane_alive() || !sample.window) return nullptr;
  return now - sample.window->end <= snapshot.policy->steering.window ? &*sample.window : nullptr;
}

const EngineLoad* fresh_load(const Policy::Endpoint& endpoint, const EndpointLoad& load, Instant now) {
  return load.load && now - load.load->taken <= endpoint.load.counts() ? &*load.load : nullptr;
}

}  // namespace perigee::gateway
