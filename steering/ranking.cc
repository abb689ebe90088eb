#include "steering/ranking.h"

#include <algorithm>
#include <map>

namespace perigee {
namespace {

constexpr int kGraceWindows = 3;  // a cost older than this many windows is unknown

Nanos share_of(Nanos cost, double ratio) {
  return Nanos(static_cast<std::int64_t>(static_cast<double>(cost.count()) * ratio));
}

// One evaluation: the paths with their memory, and the law applied to them.
class Evaluation {
 public:
  Evaluation(const Ranking& previous, const std::vector<PathInput>& inputs, const Policy::Steering& law,
             Instant now)
      : previous_(previous), law_(law), now_(now), first_(previous.paths.empty()) {
    next_.settled = previous.settled;
    next_.measured = previous.measured;
    next_.started = first_ ? now : previous.started;
    next_.changed_at = previous.changed_at;
    if (previous.settled && all_stale()) next_.started = now;
    remember(inputs);
  }

  RankingStep finish() {
    order();
    settle();
    if (!next_.settled || !previous_.settled)
      activate_best();
    else
      steer();
    lead_with_active();
    RankingStep step{{}, change()};
    if (step.change != RankingChange::none && next_.settled) next_.changed_at = now_;
    if (next_.settled && !previous_.settled) next_.changed_at = now_;
    step.ranking = std::move(next_);
    return step;
  }

 private:
  void remember(const std::vector<PathInput>& inputs);
  RankedPath remember_one(const PathInput& input, const RankedPath* old);
  void order();
  void settle();
  void activate_best();
  void steer();
  void weigh();
  void apply_mature();
  void lead_with_active();
  [[nodiscard]] RankingChange change() const;

  // Nothing is measured now and nothing was for long (the data plane is down, or the gateway just started):
  // when it begins again, every path is given its time anew, so that who answers first wins nothing.
  [[nodiscard]] bool all_stale() const {
    return std::all_of(previous_.paths.begin(), previous_.paths.end(), [&](const RankedPath& path) {
      return path.path.link.none() || now_ - path.known_at > kGraceWindows * law_.window;
    });
  }
  [[nodiscard]] bool in_grace(const RankedPath& path) const {
    return path.cost.known() || now_ - std::max(path.known_at, next_.started) <= kGraceWindows * law_.window;
  }
  // What decisions compare; absent: unknown.
  [[nodiscard]] std::optional<Nanos> value(const RankedPath& path) const {
    if (path.cost.known()) return path.cost.total();
    return in_grace(path) ? path.damped : std::nullopt;
  }
  [[nodiscard]] bool better(const RankedPath& challenger, const RankedPath& incumbent) const {
    const std::optional<Nanos> ours = value(challenger);
    const std::optional<Nanos> theirs = value(incumbent);
    if (!ours) return false;
    if (!theirs) return !in_grace(incumbent);
    return *ours < *theirs - share_of(*theirs, law_.hysteresis_relative) &&
           *ours < *theirs - law_.hysteresis_absolute;
  }
  [[nodiscard]] bool ties(Nanos cost, Nanos with) const {
    const Nanos band = std::max(law_.band_absolute, share_of(with, law_.band_relative));
    return cost <= with + band && cost >= with - band;
  }
  // May take traffic up: not one that came back only just now.
  [[nodiscard]] bool ready(const RankedPath& path) const {
    return path.usable == Usable::yes && (path.usable_since.never() || now_ - path.usable_since >= law_.hold);
  }
  // The ready or active path of least known cost.
  [[nodiscard]] const RankedPath* best() const;
  [[nodiscard]] bool active_at(PopId pop) const {
    return std::any_of(next_.paths.begin(), next_.paths.end(),
                       [&](const RankedPath& path) { return path.active && path.path.pop == pop; });
  }
  [[nodiscard]] bool any_active() const {
    return std::any_of(next_.paths.begin(), next_.paths.end(), [](const RankedPath& p) { return p.active; });
  }

  const Ranking& previous_;
  const Policy::Steering& law_;
  const Instant now_;
  const bool first_;
  bool policy_changed_ = false;
  bool mature_recovery_ = false;  // what was taken up had come back
  Ranking next_;
};

// The paths of `inputs` with what was known of them: old ones in their old order, then new ones.
void Evaluation::remember(const std::vector<PathInput>& inputs) {
  std::map<Path, const PathInput*> wanted;
  for (const PathInput& input : inputs) wanted.emplace(input.path, &input);
  for (const RankedPath& old : previous_.paths) {
    const auto input = wanted.find(old.path);
    if (input == wanted.end()) {
      policy_changed_ = true;
      continue;
    }
    next_.paths.push_back(remember_one(*input->second, &old));
    wanted.erase(input);
  }
  if (!first_ && !wanted.empty()) policy_changed_ = true;
  for (const PathInput& input : inputs)
    if (wanted.contains(input.path)) next_.paths.push_back(remember_one(input, nullptr));
}

RankedPath Evaluation::remember_one(const PathInput& input, const RankedPath* old) {
  RankedPath path = old != nullptr ? *old : RankedPath{};
  const bool was_usable = path.usable == Usable::yes;
  const bool terms_changed = old != nullptr && path.cost.fixed() != input.cost.fixed();
  const bool operators_word = old != nullptr && path.usable != input.usable &&
                              (path.usable == Usable::drained || input.usable == Usable::drained);
  const bool stood_aside = path.usable == Usable::cost_tier;  // it was good all the time
  if (terms_changed || operators_word) policy_changed_ = true;
  path.path = input.path;
  path.cost = input.cost;
  path.usable = input.usable;
  if (path.usable != Usable::yes) {
    path.active = false;
    path.dwell = 0;
    path.usable_since = {};
  } else if (old != nullptr && !was_usable && !operators_word && !stood_aside) {
    path.usable_since = now_;
  }
  if (path.cost.known()) {
    const Nanos total = path.cost.total();
    const bool settled = previous_.settled && path.damped && !terms_changed;
    const Nanos threshold = std::max(law_.hysteresis_absolute,
                                     share_of(path.damped.value_or(Nanos(0)), law_.hysteresis_relative));
    if (!settled || total > *path.damped + threshold || total < *path.damped - threshold) path.damped = total;
    path.known_at = now_;
  }
  return path;
}

// Usable before not, known before unknown, then by damped cost; equal ones stay as they were.
void Evaluation::order() {
  for (RankedPath& path : next_.paths)
    if (!in_grace(path)) path.damped.reset();
  const bool by_fixed_terms = first_ || policy_changed_;
  std::stable_sort(next_.paths.begin(), next_.paths.end(), [&](const RankedPath& a, const RankedPath& b) {
    if ((a.usable == Usable::yes) != (b.usable == Usable::yes)) return a.usable == Usable::yes;
    const bool a_known = value(a).has_value();
    const bool b_known = value(b).has_value();
    if (a_known != b_known) return a_known;
    if (a_known) return *a.damped < *b.damped;
    return by_fixed_terms && a.cost.fixed() < b.cost.fixed();
  });
}

void Evaluation::settle() {
  bool any = false;
  bool all_known = true;
  for (const RankedPath& path : next_.paths) {
    if (path.usable != Usable::yes) continue;
    any = true;
    all_known = all_known && path.cost.known();
  }
  next_.measured = any && all_known ? std::min(next_.measured + 1, law_.dwell) : 0;
  const bool waited = now_ - next_.started >= kGraceWindows * law_.window;
  if (any && (next_.measured >= law_.dwell || waited)) next_.settled = true;
}

const RankedPath* Evaluation::best() const {
  const RankedPath* found = nullptr;
  for (const RankedPath& path : next_.paths) {
    if (!(path.active || ready(path)) || !value(path)) continue;
    if (found == nullptr || *value(path) < *value(*found)) found = &path;
  }
  return found;
}

// Free choice: the best path and those of other PoPs that tie with it; the first usable one when nothing is
// known.
void Evaluation::activate_best() {
  for (RankedPath& path : next_.paths) {
    path.active = false;
    path.dwell = 0;
  }
  const RankedPath* found = best();
  if (found == nullptr)  // nothing is both known and ready
    for (const RankedPath& path : next_.paths)
      if (path.usable == Usable::yes && (found == nullptr || (!value(*found) && value(path)))) found = &path;
  if (found == nullptr) return;
  const std::optional<Nanos> least = value(*found);
  next_.paths[static_cast<std::size_t>(found - next_.paths.data())].active = true;
  if (!least) return;
  for (RankedPath& path : next_.paths)
    if (!path.active && ready(path) && value(path) && ties(*value(path), *least) && !active_at(path.path.pop))
      path.active = true;
}

// Settled: the active paths stay unless there is a reason.
void Evaluation::steer() {
  if (!any_active()) return activate_best();
  weigh();
  if (!policy_changed_ && !next_.changed_at.never() && now_ - next_.changed_at < law_.hold) return;
  apply_mature();
}

// Counts, for each path, in how many evaluations in a row it should have joined or left the active ones.
void Evaluation::weigh() {
  const RankedPath* least = best();
  if (least == nullptr) {
    for (RankedPath& path : next_.paths) path.dwell = 0;
    return;
  }
  std::vector<PopId> kept_pops;
  std::optional<Nanos> kept;  // the least cost of the active paths that stay
  for (const RankedPath& path : next_.paths) {
    if (!path.active || better(*least, path)) continue;
    kept_pops.push_back(path.path.pop);
    if (const auto cost = value(path); cost && (!kept || *cost < *kept)) kept = cost;
  }
  const bool none_stays = kept_pops.empty();
  const std::optional<Nanos> level = none_stays ? value(*least) : kept;
  for (RankedPath& path : next_.paths) {
    bool wanted = false;
    if (path.active) {
      wanted = !better(*least, path);
    } else if (ready(path) && value(path) && level && ties(*value(path), *level)) {
      wanted = std::find(kept_pops.begin(), kept_pops.end(), path.path.pop) == kept_pops.end();
      if (wanted) kept_pops.push_back(path.path.pop);
    }
    path.dwell = wanted == path.active ? 0 : path.dwell + 1;
    // It was ready and is not needed: from now on it is a challenger like any other.
    if (!path.active && !wanted && ready(path)) path.usable_since = {};
  }
}

void Evaluation::apply_mature() {
  const std::uint32_t enough = policy_changed_ ? 1 : law_.dwell;
  bool left = false;
  for (RankedPath& path : next_.paths) {
    if (!path.active || path.dwell < enough) continue;
    path.active = false;
    path.dwell = 0;
    left = true;
  }
  for (RankedPath& path : next_.paths) {
    if (path.active || path.dwell < enough || active_at(path.path.pop)) continue;
    path.active = true;
    path.dwell = 0;
    mature_recovery_ = mature_recovery_ || !path.usable_since.never();
    path.usable_since = {};
  }
  if (left && !any_active()) activate_best();
}

void Evaluation::lead_with_active() {
  std::stable_partition(next_.paths.begin(), next_.paths.end(),
                        [](const RankedPath& path) { return path.active; });
}

RankingChange Evaluation::change() const {
  RankingChange lost = RankingChange::none;
  bool same = true;
  for (const RankedPath& old : previous_.paths) {
    const RankedPath* path = next_.find(old.path);
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
  for (const RankedPath& path : next_.paths)
    if (path.active && previous_.find(path.path) == nullptr) same = false;
  if (same) return RankingChange::none;
  if (first_) return RankingChange::initial;
  if (lost != RankingChange::none) return lost;
  if (policy_changed_) return RankingChange::policy;
  const bool had_any = std::any_of(previous_.paths.begin(), previous_.paths.end(),
                                   [](const RankedPath& path) { return path.active; });
  if (mature_recovery_ || !had_any) return RankingChange::recovery;
  return previous_.settled ? RankingChange::rtt : RankingChange::initial;
}

}  // namespace

const RankedPath* Ranking::find(const Path& path) const {
  const auto found =
      std::find_if(paths.begin(), paths.end(), [&](const RankedPath& p) { return p.path == path; });
  return found == paths.end() ? nullptr : &*found;
}

std::vector<std::vector<Path>> Ranking::tiers(const Policy::Steering& law) const {
  std::vector<std::vector<Path>> out;
  std::optional<Nanos> head;  // the cost the last tier began with; absent: nothing joins it
  for (const RankedPath& path : paths) {
    if (path.usable != Usable::yes) continue;
    if (path.active) {
      if (out.empty()) out.emplace_back();
      out.front().push_back(path.path);
      continue;
    }
    const bool joins =
        head && path.damped &&
        *path.damped <= *head + std::max(law.band_absolute, share_of(*head, law.band_relative)) &&
        std::none_of(out.back().begin(), out.back().end(),
                     [&](const Path& p) { return p.pop == path.path.pop; });
    if (!joins) {
      out.emplace_back();
      head = path.damped;
    }
    out.back().push_back(path.path);
  }
  return out;
}

RankingStep advance(const Ranking& previous, const std::vector<PathInput>& inputs,
                    const Policy::Steering& law, Instant now) {
  return Evaluation(previous, inputs, law, now).finish();
}

}  // namespace perigee
