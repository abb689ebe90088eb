// The constants that `perigee simulate --tune` found on the tuning seeds, and then frozen: the table is made
// with these on other seeds.
#pragma once

#include "simulator/rules.h"

namespace perigee::simulator {

// Found with --seeds 3 --requests 4000 over all scenarios.
inline constexpr Tuning kTunedNearestSpill{2, 0};  // limit: requests in flight
inline constexpr Tuning kTunedPeakEwma{120, 1};    // decay: s; of all endpoints
inline constexpr Tuning kTunedLeastLoad{5, 0};     // kv: s; 2000 tokens a second for all
inline constexpr Tuning kTunedRttOnly{0.05, 0};    // power
inline constexpr Tuning kTunedOurs{4, 2};          // draw; spill_margin: ms

}  // namespace perigee::simulator
