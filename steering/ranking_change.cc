#include "steering/ranking_change.h"

#include <algorithm>

namespace perigee {

RankingChange change_of(const Ranking& previous, const Ranking& next, ChangeSigns signs) {
  RankingChange lost = RankingChange::none;
  bool same = true;
  for (const RankedPath& old : previous.paths) {
    const RankedPath* path = next.find(old.path);
    if (path != nullptr && path->active == old.active) continue;
    if (path == nullptr && !old.active) continue;
    same = false;
    if (!old.active) continue;
    if (path == nullptr || path->usable == Usable::drained)
      lost = RankingChange::policy;
    else if (path->usable == Usable::full && lost == RankingChange::none)
      lost = RankingChange::capacity;
    else if (path->usable == Usable::cost_tier && lost == RankingChange::none)
      lost = RankingChange::recovery;
    else if (path->usable == Usable::over_max_rtt && lost == RankingChange::none)
      lost = RankingChange::rtt;
    else if ((path->usable == Usable::link_down || path->usable == Usable::unhealthy) &&
             lost != RankingChange::policy)
      lost = RankingChange::failure;
  }
  for (const RankedPath& path : next.paths)
    if (path.active && previous.find(path.path) == nullptr) same = false;
  if (same) return RankingChange::none;
  if (previous.paths.empty()) return RankingChange::initial;
  if (lost != RankingChange::none) return lost;
  if (signs.policy) return RankingChange::policy;
  const bool had_any = std::any_of(previous.paths.begin(), previous.paths.end(),
                                   [](const RankedPath& path) { return path.active; });
  if (signs.recovery || !had_any) return RankingChange::recovery;
  return previous.settled ? RankingChange::rtt : RankingChange::initial;
}

}  // namespace perigee
