// What several sections of a policy say together: overlaps, collisions, and whether everything can be
// reached.
#pragma once

#include "steering/policy.h"
#include "steering/yaml_document.h"

namespace perigee {

// `policy` may be incomplete: what could not be read (no address, kNoIndex) is passed over.
void check_policy(const Policy& policy, yaml::Report& report);

}  // namespace perigee
