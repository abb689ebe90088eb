#include "steering/constraints_in_force.h"

#include <algorithm>

namespace perigee {

const Maintenance* in_force(const std::vector<Maintenance>& windows, std::optional<WallTime> wall) {
  const Maintenance* last = nullptr;
  if (!wall) return last;
  for (const Maintenance& window : windows)
    if (window.from <= *wall && *wall < window.to && (last == nullptr || window.to > last->to))
      last = &window;
  return last;
}

const Maintenance* maintenance_of(const Policy& policy, const Policy::Endpoint& endpoint,
                                  std::optional<WallTime> wall) {
  const Maintenance* own = in_force(endpoint.maintenance, wall);
  return own != nullptr ? own : in_force(policy.pop_of(endpoint).maintenance, wall);
}

const Maintenance* maintenance_of(const Policy& policy, const Policy::Link& link,
                                  std::optional<WallTime> wall) {
  const Maintenance* own = in_force(link.maintenance, wall);
  return own != nullptr ? own : in_force(policy.pop_of(link).maintenance, wall);
}

std::vector<UnderMaintenance> under_maintenance(const Policy& policy, std::optional<WallTime> wall) {
  std::vector<UnderMaintenance> out;
  const auto add = [&](const char* what, const auto& items) {
    for (const auto& item : items)
      if (const Maintenance* window = in_force(item.maintenance, wall))
        out.push_back({what, item.name, window->to, window->note});
  };
  add("pop", policy.pops);
  add("link", policy.links);
  add("endpoint", policy.endpoints);
  return out;
}

bool in_force(const Pin& pin, std::optional<WallTime> wall) { return wall && *wall < pin.until; }

std::optional<Exclusion> outside(const Policy& policy, const Confines& confines, std::size_t endpoint,
                                 std::optional<WallTime> wall) {
  const auto has = [](const std::vector<std::size_t>& sorted, std::size_t index) {
    return std::binary_search(sorted.begin(), sorted.end(), index);
  };
  if (confines.pops && !has(*confines.pops, policy.endpoints[endpoint].pop))
    return Exclusion::pop_not_allowed;
  if (confines.pin && in_force(*confines.pin, wall) && !has(confines.pin->endpoints, endpoint))
    return Exclusion::not_pinned;
  return std::nullopt;
}

}  // namespace perigee
