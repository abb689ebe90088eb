// Which of the operator's constraints hold at a time. When the time is unknown, none that begins or ends
// does: who cannot tell when something is over must not begin it.
#pragma once

#include <optional>
#include <vector>

#include "steering/policy.h"
#include "steering/route.h"

namespace perigee {

// The window that holds now, the one that ends last; null: none.
[[nodiscard]] const Maintenance* in_force(const std::vector<Maintenance>& windows,
                                          std::optional<WallTime> wall);
// Of the endpoint, or of its PoP.
[[nodiscard]] const Maintenance* maintenance_of(const Policy& policy, const Policy::Endpoint& endpoint,
                                                std::optional<WallTime> wall);
// Of the link, or of the PoP at its other end, whose data plane all flows over it pass.
[[nodiscard]] const Maintenance* maintenance_of(const Policy& policy, const Policy::Link& link,
                                                std::optional<WallTime> wall);
// All that holds now: PoPs, then links, then endpoints, each for itself.
[[nodiscard]] std::vector<UnderMaintenance> under_maintenance(const Policy& policy,
                                                              std::optional<WallTime> wall);

[[nodiscard]] bool in_force(const Pin& pin, std::optional<WallTime> wall);
// Why new flows of a service must not go to this endpoint (an index), whatever its state; none: they may.
[[nodiscard]] std::optional<Exclusion> outside(const Policy& policy, const Confines& confines,
                                               std::size_t endpoint, std::optional<WallTime> wall);

}  // namespace perigee
