// The keys of a policy that rule things out: "maintenance" of PoPs, links and endpoints; "pops" and "pin" of
// services.
#pragma once

#include <functional>
#include <vector>

#include "steering/policy.h"
#include "steering/yaml_reader.h"

namespace perigee {

void read_maintenance(yaml::Map& map, std::vector<Maintenance>& windows);
// Of a service, after PoPs and endpoints.
void read_confines(yaml::Map& map, const Policy& policy, Confines& confines);

// A forwarded service that leads to an endpoint of a routed one, outside the regions that the routed one
// keeps requests in: a way around them, as the data plane knows neither keys nor residency
// (docs/decisions/0007).
struct Twin {
  const Policy::Service* service = nullptr;
  const Policy::Endpoint* endpoint = nullptr;
};
// `regions`: indexes into Policy::regions; `uses`: the models that count.
[[nodiscard]] std::vector<Twin> twins_outside(const Policy& policy, const Policy::RoutedService& routed,
                                              const std::vector<std::size_t>& regions,
                                              const std::function<bool(const Policy::Model&)>& uses);

// As check_policy(): whether what a service is confined to leaves any of its endpoints, and whether another
// service leads around a residency.
void check_constraints(const Policy& policy, yaml::Report& report);

}  // namespace perigee
