// What a line about a switch of a service says: from where to where, why, and the numbers that caused it.
#pragma once

#include <boost/json/object.hpp>
#include <vector>

#include "gateway/log.h"
#include "steering/policy.h"
#include "steering/route.h"

namespace perigee::gateway {

// `route` is the one whose evaluation made `change`.
boost::json::object switch_fields(const Policy& policy, const Route& route, const Switch& change);

// What else is worth a line between two Routes, one after the other: "steering_frozen", "steering_thawed",
// "service_panic", "service_panic_over".
struct RouteEvent {
  LogLevel level;
  const char* name;
  boost::json::object fields;
};
std::vector<RouteEvent> route_events(const Policy& policy, const Route& before, const Route& after);

}  // namespace perigee::gateway
