#include "steering/damping.h"

#include <algorithm>
#include <cmath>

namespace perigee {
namespace {

constexpr std::uint32_t kShareStep = 50;  // thousandths

Nanos times(Nanos cost, double ratio) {
  return Nanos(static_cast<std::int64_t>(static_cast<double>(cost.count()) * ratio));
}

}  // namespace

Nanos band(Nanos cost, const Policy::Steering& law) {
  return std::max(law.band_absolute, times(cost, law.band_relative));
}

bool beats(Nanos ours, Nanos theirs, const Policy::Steering& law) {
  return ours < theirs - times(theirs, law.hysteresis_relative) && ours < theirs - law.hysteresis_absolute;
}

Nanos enter_limit(Nanos best, const Policy::Steering& law) {
  return std::max(times(best, law.band_enter), best + band(best, law));
}

Nanos leave_limit(Nanos best, const Policy::Steering& law) {
  return times(enter_limit(best, law), law.band_leave / law.band_enter);
}

void take_cost(RankedPath& path, const Cost& cost, bool free, const Policy::Steering& law, Instant now) {
  path.cost = cost;
  if (!cost.known()) {
    path.better_since = {};
    return;
  }
  const Nanos total = cost.total();
  const bool forgotten = now - path.known_at > kGraceWindows * law.window;
  path.known_at = now;
  if (free || forgotten || !path.damped || beats(*path.damped, total, law)) {
    path.damped = total;
    path.better_since = {};
  } else if (path.better_since.never() ? !beats(total, *path.damped, law) : total >= *path.damped) {
    path.better_since = {};
  } else if (path.better_since.never()) {
    path.better_since = now;
  } else if (now - path.better_since >= law.good_news) {
    const Nanos left = (*path.damped - total) / 2;
    const bool over = left <= std::max(law.hysteresis_absolute, times(total, law.hysteresis_relative)) / 2;
    path.damped = over ? total : total + left;
    path.better_since = over ? Instant{} : now;
  }
}

double flap_penalty(const RankedPath& path, const Policy::Steering& law, Instant now) {
  if (path.flapped_at.never()) return 0;
  return path.flaps * std::exp2(-static_cast<double>((now - path.flapped_at).count()) /
                                static_cast<double>(law.flap_half_life.count()));
}

Nanos flap_wait(const RankedPath& path, const Policy::Steering& law, Instant now) {
  const double penalty = flap_penalty(path, law, now);
  if (penalty <= 1) return Nanos(0);
  const double holds = std::exp2(penalty - 1) - 1;
  const double limit = static_cast<double>(law.flap_max_wait.count());
  return Nanos(static_cast<std::int64_t>(std::min(limit, holds * static_cast<double>(law.hold.count()))));
}

// Beyond the penalty that waits for the longest, more would only take longer to forget.
void add_flap(RankedPath& path, const Policy::Steering& law, Instant now) {
  const double longest =
      static_cast<double>(law.flap_max_wait.count()) / std::max(1.0, static_cast<double>(law.hold.count()));
  path.flaps = std::min(flap_penalty(path, law, now) + 1, 1 + std::log2(1 + longest));
  path.flapped_at = now;
}

bool ready(const RankedPath& path, const Policy::Steering& law, Instant now) {
  return path.usable == Usable::yes &&
         (path.usable_since.never() || now - path.usable_since >= law.hold + flap_wait(path, law, now));
}

std::uint32_t share_beside(Nanos cost, Nanos best, const Policy::Steering& law) {
  const Nanos equal = best + band(best, law);
  if (cost <= equal) return kFullShare;
  const double ratio = static_cast<double>(equal.count()) / static_cast<double>(cost.count());
  return std::max(kShareStep,
                  static_cast<std::uint32_t>(std::lround(ratio * kFullShare / kShareStep)) * kShareStep);
}

std::uint32_t next_share(std::uint32_t share, std::uint32_t target) {
  if (target <= share + kShareStep && share <= target + kShareStep)
    return target == kFullShare ? target : share;
  return target > share ? std::min(target, share + share / 5) : std::max(target, share - share / 5);
}

}  // namespace perigee
