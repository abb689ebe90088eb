#include "steering/room.h"

#include <algorithm>

#include "steering/damping.h"

namespace perigee {
namespace {

// Of what filled it: below the first, an endpoint has room for half of its share, below the second for all.
constexpr double kRoomAgain = 0.8;
constexpr double kFullRoom = 0.6;
constexpr std::uint32_t kQueuePart =
    4;  // a queue of less than this part of what runs is the batch being refilled
constexpr double kCacheFull = 0.95;  // of the KV cache: what waits now waits for others to end

std::uint32_t share_after(std::uint32_t share, bool full, bool halved) {
  const std::uint32_t target = full || halved ? kFullShare / 2 : kFullShare;
  return full ? target : next_share(share, target);
}

bool waits(const EngineLoad& load) {
  if (*load.waiting == 0) return false;
  return *load.waiting >= load.running.value_or(0) / kQueuePart || load.kv_use.value_or(0) >= kCacheFull;
}

}  // namespace

void judge_flows(EndpointRoute& next, const EndpointRoute& old, const Policy::Endpoint& endpoint,
                 std::optional<std::uint64_t> flows, const Policy::Steering& law) {
  next.full = next.halved = false;
  if (endpoint.capacity && flows) {
    const double used = static_cast<double>(*flows) / (law.capacity_fill * *endpoint.capacity);
    next.full = used >= (old.full ? kRoomAgain : 1.0);
    next.halved = !next.full && (old.full || old.halved) && used >= kFullRoom;
  }
  next.share = share_after(old.share, next.full, next.halved);
}

EngineQueue judge_queue(const EngineQueue& old, const std::optional<EngineLoad>& load,
                        const Policy::Steering& law, Instant now) {
  EngineQueue next = old;
  if (!load || !load->waiting) {
    next.readings = 0;
  } else if (load->taken != old.read_at) {
    next.read_at = load->taken;
    if (waits(*load))
      next.readings = std::min(old.readings + 1, law.dwell);
    else if (*load->waiting == 0 && old.readings > 0)
      --next.readings;
  }
  next.stays = old.stays ? next.readings > 0 : next.readings >= law.dwell;
  if (old.stays && !next.stays) next.gone_at = now;
  const bool halved = !next.stays && !next.gone_at.never() && now - next.gone_at < law.hold;
  next.share = share_after(old.share, next.stays, halved);
  return next;
}

}  // namespace perigee
