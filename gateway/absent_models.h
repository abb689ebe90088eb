// What an endpoint says of its models, against what the policy declares. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "router/model_list.h"
#include "steering/policy.h"

namespace perigee::gateway {

// By their names at endpoints, the models for which requests may go to the endpoint `index`; sorted, each
// once.
[[nodiscard]] std::vector<std::string> expected_models(const Policy& policy, std::size_t index);

// Those of `expected` that the endpoint does not list.
[[nodiscard]] std::vector<std::string> absent_models(const router::ModelList& listed,
                                                     std::vector<std::string> expected);

}  // namespace perigee::gateway
