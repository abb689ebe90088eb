// The sections of a policy file that are only numbers: steering, flows, admin.
#pragma once

#include "steering/policy.h"
#include "steering/yaml_reader.h"

namespace perigee {

void read_constants(yaml::Map& root, Policy& policy);

}  // namespace perigee
