// What requests of routed services choose among, as a list: each model's endpoints, then its canary's.
#pragma once

#include <string>
#include <vector>

#include "steering/policy.h"

namespace perigee::gateway {

// Views of the policy, which outlives it.
struct RoutedPool {
  const Policy::RoutedService* service = nullptr;
  const Policy::Model* model = nullptr;
  const Policy::Pool* pool = nullptr;
  bool canary = false;

  // "assistant", "assistant/canary": a metric label.
  [[nodiscard]] std::string label() const { return canary ? model->name + "/canary" : model->name; }
};

// In the order of Route::pools.
[[nodiscard]] std::vector<RoutedPool> routed_pools(const Policy& policy);

}  // namespace perigee::gateway
