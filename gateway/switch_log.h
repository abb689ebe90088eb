// What a line about a switch of a service says: from where to where, why, and the numbers that caused it.
#pragma once

#include <boost/json/object.hpp>

#include "steering/policy.h"
#include "steering/route.h"

namespace perigee::gateway {

// `route` is the one whose evaluation made `change`.
boost::json::object switch_fields(const Policy& policy, const Route& route, const Switch& change);

}  // namespace perigee::gateway
