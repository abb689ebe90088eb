// What one path remembers, and how: its damped cost, its penalty for coming and going, its share.
//
// The damped cost moves only when the measured one beats it, or is beaten by it, by the hysteresis: noise of
// 5 % never does, from whatever value it began. Bad news counts at once; good news by half of it after each
// `good_news` in which it stayed good. A change of the first tier must hold by both, the measured and the
// damped cost (as RFC 8966, appendix A.3): so a spike that is over again moves nothing, though the damped
// cost still remembers it.
#pragma once

#include <cstdint>
#include <optional>

#include "contract/units.h"
#include "steering/policy.h"
#include "steering/ranking.h"

namespace perigee {

inline constexpr int kGraceWindows = 3;  // a cost older than this many windows is unknown
inline constexpr std::uint32_t kFullShare = 1000;

// Costs closer than this are equal.
[[nodiscard]] Nanos band(Nanos cost, const Policy::Steering& law);

// `ours` is less than `theirs` by the hysteresis, relative and absolute.
[[nodiscard]] bool beats(Nanos ours, Nanos theirs, const Policy::Steering& law);

// What a path of another PoP may cost beside the best one to join the first tier, and to stay in it. Never
// less than the band in which costs are equal; the two are always the same ratio apart, or in a metro, where
// that band is all there is, nothing would hold a path in.
[[nodiscard]] Nanos enter_limit(Nanos best, const Policy::Steering& law);
[[nodiscard]] Nanos leave_limit(Nanos best, const Policy::Steering& law);

// The path measured at `now` as `cost`. `free`: nothing is damped yet, or the operator's terms changed.
void take_cost(RankedPath& path, const Cost& cost, bool free, const Policy::Steering& law, Instant now);

// How often the path left of late: each time counts 1 and fades with the half-life.
[[nodiscard]] double flap_penalty(const RankedPath& path, const Policy::Steering& law, Instant now);
// How long it must be good without a break, beyond dwell and hold, before it is taken up: nothing after one
// time, then about one hold, three, seven, ... up to flap.max_wait. A path that comes and goes faster than
// that is not taken up again while it does.
[[nodiscard]] Nanos flap_wait(const RankedPath& path, const Policy::Steering& law, Instant now);
void add_flap(RankedPath& path, const Policy::Steering& law, Instant now);

// It may take traffic up: usable, and not back only just now.
[[nodiscard]] bool ready(const RankedPath& path, const Policy::Steering& law, Instant now);

// The share in thousandths beside a path of cost `best`, in proportion to 1/cost and in steps of 5 %.
[[nodiscard]] std::uint32_t share_beside(Nanos cost, Nanos best, const Policy::Steering& law);
// One evaluation nearer to `target`: by a fifth of it at most, and not at all for a step of 5 %.
[[nodiscard]] std::uint32_t next_share(std::uint32_t share, std::uint32_t target);

}  // namespace perigee
