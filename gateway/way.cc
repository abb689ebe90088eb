#include "gateway/way.h"

namespace perigee::gateway {

std::vector<Way> ways_to_endpoints(const Policy& policy,
                                   const std::optional<telemetry::Snapshot>& telemetry) {
  std::vector<Way> ways(policy.endpoints.size());
  if (!telemetry) return ways;
  for (std::size_t i = 0; i < ways.size(); ++i) {
    const std::size_t pop = policy.endpoints[i].pop;
    ways[i] = {pop == policy.own_pop, telemetry->incarnation, telemetry->heartbeat,
               kHeartbeatLate + policy.steering.tick};
    for (const Policy::Link& link : policy.links) {
      const telemetry::LinkSample* sample = telemetry->link(link.id);
      if (sample == nullptr || !policy.onward(link, pop)) continue;
      ways[i].changes += sample->transitions;
      ways[i].open = ways[i].open || sample->state == telemetry::LinkState::up ||
                     sample->state == telemetry::LinkState::degraded;
    }
  }
  return ways;
}

bool blames_endpoint(CheckFinding finding, const Way& before, const Way& after, Instant now) {
  if (finding == CheckFinding::not_made) return false;
  if (finding != CheckFinding::timeout && finding != CheckFinding::unreachable) return true;
  return before.open && after.open && before.changes == after.changes && now - after.seen < after.fresh;
}

}  // namespace perigee::gateway
