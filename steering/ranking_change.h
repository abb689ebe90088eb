// Why the active paths of a ranking changed: of several reasons the one that the operator would look for
// first.
#pragma once

#include "steering/ranking.h"

namespace perigee {

// What the evaluation knows and the two rankings do not tell.
struct ChangeSigns {
  bool policy = false;    // the operator's terms changed
  bool recovery = false;  // what was taken up had come back
};

// Between two evaluations; none: the same paths are active.
[[nodiscard]] RankingChange change_of(const Ranking& previous, const Ranking& next, ChangeSigns signs);

}  // namespace perigee
