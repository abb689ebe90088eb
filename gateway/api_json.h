// The admin API's JSON, made from one snapshot. docs/api.md describes every shape; what is not known is null.
#pragma once

#include <boost/json/value.hpp>
#include <string_view>

#include "contract/units.h"
#include "gateway/control_service.h"
#include "gateway/snapshot.h"
#include "steering/explain.h"

namespace perigee::gateway {

boost::json::value status_json(const Snapshot& snapshot, Instant now);
boost::json::value links_json(const Snapshot& snapshot, Instant now);
boost::json::value endpoints_json(const Snapshot& snapshot, Instant now);
boost::json::value services_json(const Snapshot& snapshot, Instant now);
boost::json::value explanation_json(const Snapshot& snapshot, const Explanation& explanation);
boost::json::value readiness_json(const Snapshot& snapshot);
boost::json::value change_json(const Change& change);

// The window of a link while it says something: the data plane is alive, and it was taken within the policy's
// window; else null.
const telemetry::Window* fresh_window(const Snapshot& snapshot, const telemetry::LinkSample& sample,
                                      Instant now);

}  // namespace perigee::gateway
