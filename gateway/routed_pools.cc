#include "gateway/routed_pools.h"

namespace perigee::gateway {

std::vector<RoutedPool> routed_pools(const Policy& policy) {
  std::vector<RoutedPool> pools;
  for (const Policy::RoutedService& service : policy.routed) {
    for (const Policy::Model& model : service.models) {
      pools.push_back({&service, &model, &model.pool, false});
      if (model.canary) pools.push_back({&service, &model, &model.canary->pool, true});
    }
  }
  return pools;
}

}  // namespace perigee::gateway
