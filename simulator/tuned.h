// The constants that `perigee simulate --tune` found on the tuning seeds, and then frozen: the table is made
// with these on other seeds.
#pragma once

#include "simulator/rules.h"

namespace perigee::simulator {

inline constexpr Tuning kTunedNearestSpill{8, 0};  // limit: requests in flight
inline constexpr Tuning kTunedPeakEwma{10, 0};     // decay: s; of two drawn
inline constexpr Tuning kTunedLeastLoad{0.15, 1};  // kv: s; the throughput is learned
inline constexpr Tuning kTunedRttOnly{1, 0};       // power
inline constexpr Tuning kTunedOurs{2, 2};          // draw; spill_margin: ms

}  // namespace perigee::simulator
