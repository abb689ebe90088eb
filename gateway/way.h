// Whether a failed health check says something about the endpoint, or only about our way to it: checks go
// through our data plane and over our links, and a flow must not be reset because one of those was away.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "contract/telemetry_file.h"
#include "contract/units.h"
#include "gateway/check_result.h"
#include "steering/policy.h"

namespace perigee::gateway {

// The ways to one endpoint as they were at one look at the telemetry.
struct Way {
  bool open = false;          // some link that leads to its PoP is up
  std::uint64_t changes = 0;  // another value once such a link changed its state or the data plane is another
  Instant seen;               // the data plane's heartbeat
  Nanos fresh{0};             // how long after it the data plane counts as seen
  friend bool operator==(const Way&, const Way&) = default;
};

// A heartbeat is stored every 100 ms and looked at every tick of the policy; as much again as the first is
// for a busy machine. An older one was not seen.
inline constexpr Nanos kHeartbeatLate = std::chrono::milliseconds(200);  // besides the tick

// For each endpoint of `policy`, in its order. Without a data plane no way is open.
std::vector<Way> ways_to_endpoints(const Policy& policy, const std::optional<telemetry::Snapshot>& telemetry);

// `before` and `after` are the looks before the check was begun and before `now`, when it ended. An answer of
// any kind came from the endpoint's side; only silence, and the word of a router, may be the way's.
bool blames_endpoint(CheckFinding finding, const Way& before, const Way& after, Instant now);

}  // namespace perigee::gateway
