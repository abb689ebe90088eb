// Whether a request may be served at all: who asks, for which model, in which regions. All of it by its head
// and the snapshot; how much it may use is the limiter's.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "router/choose.h"
#include "router/http_head.h"
#include "router/keys.h"
#include "router/openai.h"
#include "router/snapshot.h"

namespace perigee::router {

struct Identity {
  const ApiKey* key = nullptr;    // null: nobody in particular; owned by the snapshot
  std::optional<ApiError> error;  // 401, when the service requires a key
};
[[nodiscard]] Identity identify(const RouterSnapshot& snapshot, const RouterSnapshot::Service& service,
                                const Head& head);

// The regions that the service, the key and the request (x-perigee-residency: au, nz) have in common. 0:
// none.
[[nodiscard]] RegionSet common_regions(const RouterSnapshot& snapshot, const RouterSnapshot::Service& service,
                                       const ApiKey* key, const Head& head);
// Whether a candidate of `pool` is in `regions`, and one of `among` if that is not null.
[[nodiscard]] bool has_candidate(const RouterSnapshot& snapshot, const RouterSnapshot::Pool& pool,
                                 RegionSet regions, const EndpointList* among = nullptr);
[[nodiscard]] ApiError outside_residency();  // 403

// What the canary choice sticks to: the key and the session (x-session-id, else x-session-token). nullopt:
// neither.
[[nodiscard]] std::optional<std::uint64_t> sticky_of(const ApiKey* key, const Head& head);

}  // namespace perigee::router
