// The admin API's JSON, made from one snapshot. docs/api.md describes every shape; what is not known is null.
#pragma once

#include <boost/json/value.hpp>
#include <string_view>

#include "contract/units.h"
#include "gateway/change.h"
#include "gateway/request_odds.h"
#include "gateway/snapshot.h"
#include "steering/explain.h"

namespace perigee::gateway {

// {until, note} of a "pop", "link" or "endpoint" that is in maintenance by itself; else null.
boost::json::value maintenance_json(const Snapshot& snapshot, std::string_view what, std::string_view name);

boost::json::value status_json(const Snapshot& snapshot, Instant now);
boost::json::value links_json(const Snapshot& snapshot, Instant now);
boost::json::value endpoints_json(const Snapshot& snapshot, Instant now);
boost::json::value services_json(const Snapshot& snapshot, Instant now);
// `odds`: of a routed service, what a request would get; empty: not known.
boost::json::value explanation_json(const Snapshot& snapshot, const Explanation& explanation,
                                    const std::vector<RequestOdds>& odds);
boost::json::value readiness_json(const Snapshot& snapshot, Instant now);
boost::json::value change_json(const Change& change);

}  // namespace perigee::gateway
