// What an endpoint says of its models, against what the policy declares. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "steering/policy.h"

namespace perigee::gateway {

inline constexpr std::size_t kMaxListedModels = 4096;  // far more than one engine loads

// By their names at endpoints, the models for which requests may go to the endpoint `index`; sorted, each
// once.
[[nodiscard]] std::vector<std::string> expected_models(const Policy& policy, std::size_t index);

// Those of `expected` that the body of GET /v1/models ({"data": [{"id": NAME}, ...]}) does not list; nullopt:
// it is no such list, or one of more than kMaxListedModels.
[[nodiscard]] std::optional<std::vector<std::string>> absent_models(std::string_view body,
                                                                    const std::vector<std::string>& expected);

}  // namespace perigee::gateway
