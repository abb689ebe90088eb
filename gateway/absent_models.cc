#include "gateway/absent_models.h"

#include <algorithm>
#include <set>

#include "gateway/routed_pools.h"

namespace perigee::gateway {

std::vector<std::string> expected_models(const Policy& policy, std::size_t index) {
  std::set<std::string> names;
  for (const RoutedPool& routed : routed_pools(policy))
    if (std::ranges::find(routed.pool->endpoints, index) != routed.pool->endpoints.end())
      names.insert(routed.pool->served_name);
  return {names.begin(), names.end()};
}

std::vector<std::string> absent_models(const router::ModelList& listed, std::vector<std::string> expected) {
  std::erase_if(expected, [&](const std::string& name) { return listed.contains(name); });
  return expected;
}

}  // namespace perigee::gateway
