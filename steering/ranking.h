// The law of steering for one set of paths: band, hysteresis, dwell and hold, with their memory.
//
// The *active* paths (the first tier) change only for a reason:
//   failure, policy   a path becomes unusable, or the operator's terms change: at once;
//   rtt               a PoP's cost comes within band_enter of the best, or beyond band_leave of it, or one of
//                     its links beats the one in use by the hysteresis, in `dwell` evaluations in a row, and
//                     the last change is older than `hold`;
//   recovery          a path that came back is taken up like any challenger, once it was usable for `hold`.
// A path that comes and goes waits longer each time. All of this is judged by costs that damping.h keeps, so
// that noise changes neither the active paths nor the order of the others, nor the shares. Unknown cost: the
// last known one for three windows, then last in line; never 0. Until every usable path was measured or given
// three windows, order follows cost at once and there is no hold: an initial ranking is not a switch.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "contract/units.h"
#include "steering/policy.h"

namespace perigee {

struct Path {
  PopId pop;
  LinkId link;  // none: this PoP
  friend auto operator<=>(const Path&, const Path&) = default;
};

// The terms of a path's cost; the cost is their sum. Without `rtt` the cost is unknown.
struct Cost {
  std::optional<Nanos> rtt;     // the window's p50, not below the link's rtt_floor; 0 for a local path
  Nanos declared{0};            // from the link's peer onward
  Nanos policy{0};              // the link's `cost`
  Nanos loss{0};                // penalty
  bool of_connections = false;  // no link measures it: rtt is that of connections, less what is declared

  [[nodiscard]] bool known() const { return rtt.has_value(); }
  [[nodiscard]] Nanos total() const { return rtt.value_or(Nanos(0)) + declared + policy + loss; }
  [[nodiscard]] Nanos fixed() const { return declared + policy; }  // what the operator said of it
  friend bool operator==(const Cost&, const Cost&) = default;
};

// Why a path may not be used now; the order is by how much the operator has to do with it.
enum class Usable : std::uint8_t {
  yes,
  link_down,
  over_max_rtt,
  unhealthy,  // no endpoint behind it is healthy
  full,       // none has room
  cost_tier,  // all are of a higher cost tier than others that are usable
  drained     // none is left by the operator
};

struct PathInput {
  Path path;
  Cost cost;
  Usable usable = Usable::yes;
};

struct RankedPath {
  Path path;
  Cost cost;  // as of the last evaluation
  Usable usable = Usable::yes;
  bool active = false;
  std::optional<Nanos> damped;  // the cost it is ordered by; absent: never known, or not for long
  Instant known_at;             // when its cost was last known
  Instant better_since;         // since when the cost is below the damped one; never: it is not
  Instant usable_since;         // never: from the start, or not usable
  std::uint32_t dwell = 0;      // evaluations in a row that would make it active, or no longer so
  double flaps = 0;             // penalty as of `flapped_at`
  Instant flapped_at;           // when it last left; never: it did not
  std::uint32_t share = 1000;   // thousandths of its endpoints' weights, beside the best of its tier
  friend bool operator==(const RankedPath&, const RankedPath&) = default;
};

struct Ranking {
  std::vector<RankedPath> paths;  // usable ones first, best first; the active ones lead
  bool settled = false;
  std::uint32_t measured = 0;  // evaluations in a row in which every usable path was known
  Instant started;             // of the first evaluation
  Instant changed_at;          // of the active paths, once settled
  friend bool operator==(const Ranking&, const Ranking&) = default;

  [[nodiscard]] const RankedPath* find(const Path& path) const;
  // Tiers of usable paths: the active ones, then groups of others that would be active together if those
  // before them were gone, each PoP at most once.
  [[nodiscard]] std::vector<std::vector<Path>> tiers(const Policy::Steering& law) const;
};

// Why the active paths changed.
enum class RankingChange : std::uint8_t { none, initial, rtt, failure, recovery, policy, capacity };

struct RankingStep {
  Ranking ranking;
  RankingChange change = RankingChange::none;
};

// `inputs` in the operator's order, each path once. Unmeasured paths go by their fixed terms, then by this
// order.
[[nodiscard]] RankingStep advance(const Ranking& previous, const std::vector<PathInput>& inputs,
                                  const Policy::Steering& law, Instant now);

}  // namespace perigee
