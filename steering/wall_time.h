// Time as operators write it, in whole seconds UTC. Decisions take it as an argument, as they take an
// Instant; absent: nobody could say what time it is.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "contract/error.h"

namespace perigee {

using WallTime = std::chrono::sys_seconds;

Result<WallTime> parse_wall_time(std::string_view text);  // "2026-12-01T02:00:00Z" (RFC 3339), 1970 to 9999
[[nodiscard]] std::string text_of(WallTime time);         // the same

}  // namespace perigee
