// The keys of a policy that rule things out: "maintenance" of PoPs, links and endpoints; "pops" and "pin" of
// services.
#pragma once

#include <vector>

#include "steering/policy.h"
#include "steering/yaml_reader.h"

namespace perigee {

void read_maintenance(yaml::Map& map, std::vector<Maintenance>& windows);
// Of a service, after PoPs and endpoints.
void read_confines(yaml::Map& map, const Policy& policy, Confines& confines);

// As check_policy(): whether what a service is confined to leaves any of its endpoints, and whether another
// service leads around a residency.
void check_constraints(const Policy& policy, yaml::Report& report);

}  // namespace perigee
