// The sections of a policy file that concern the router: listeners, keys, router, services with `mode:
// route`, and its parts of PoPs and endpoints. What they say together is judged by check_router().
#pragma once

#include <string>

#include "steering/policy.h"
#include "steering/yaml_reader.h"

namespace perigee {

void read_region(yaml::Map& map, Policy& policy, Policy::Pop& pop);
// The key "load" of an endpoint, or of the whole policy: the defaults of every endpoint.
void read_load(yaml::Map& map, Policy::Load& load);
void read_routed_endpoint(yaml::Map& map, Policy::Endpoint& endpoint);
void read_router(yaml::Map& root, Policy& policy);  // listeners, keys, router
// After endpoints and listeners.
void read_routed_service(yaml::Map& map, const std::string& name, Policy& policy);

// As check_policy(): `policy` may be incomplete.
void check_router(const Policy& policy, yaml::Report& report);

}  // namespace perigee
