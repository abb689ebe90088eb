// The answer of the admin API to a plan (docs/api.md), and of `perigee plan --json`: one shape for both.
#pragma once

#include <boost/json/value.hpp>

#include "steering/plan.h"

namespace perigee {

[[nodiscard]] boost::json::value plan_json(const Plan& plan);

}  // namespace perigee
