#include "steering/ranking.h"

#include <algorithm>

#include "steering/damping.h"
#include "steering/ranking_change.h"

namespace perigee {
namespace {

// The usable paths by tiers, as indexes (Ranking::tiers).
std::vector<std::vector<std::size_t>> grouped(const std::vector<RankedPath>& paths,
                                              const Policy::Steering& law) {
  std::vector<std::vector<std::size_t>> out;
  std::optional<Nanos> head;  // the cost the last tier began with; absent: nothing joins it
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const RankedPath& path = paths[i];
    if (path.usable != Usable::yes) continue;
    const auto of_pop = [&](std::size_t other) { return paths[other].path.pop == path.path.pop; };
    const bool joins = path.active ? !out.empty()
                                   : head && path.damped && *path.damped <= enter_limit(*head, law) &&
                                         std::none_of(out.back().begin(), out.back().end(), of_pop);
    if (!joins) out.emplace_back();
    if (!joins && !path.active) head = path.damped;
    out.back().push_back(i);
  }
  return out;
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
    share();
    RankingStep step{{}, change_of(previous_, next_, {policy_changed_, mature_recovery_})};
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
  void count(RankedPath& path, bool wanted);
  void apply_mature();
  void lead_with_active();
  void share();

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
    return in_grace(path) ? path.damped : std::nullopt;
  }
  // Of a path with a value: the least and the most it costs by the measured and the damped cost.
  [[nodiscard]] static Nanos low(const RankedPath& path) {
    return path.cost.known() ? std::min(path.cost.total(), *path.damped) : *path.damped;
  }
  [[nodiscard]] static Nanos high(const RankedPath& path) {
    return path.cost.known() ? std::max(path.cost.total(), *path.damped) : *path.damped;
  }
  [[nodiscard]] bool better(const RankedPath& challenger, const RankedPath& incumbent) const {
    return value(challenger) && (!value(incumbent) || beats(high(challenger), low(incumbent), law_));
  }
  [[nodiscard]] bool ready(const RankedPath& path) const { return perigee::ready(path, law_, now_); }
  // Evaluations in a row after which what is wanted of the path is done. One that came back has waited
  // already.
  [[nodiscard]] std::uint32_t enough(const RankedPath& path) const {
    if (policy_changed_) return 1;
    if (path.active || !path.usable_since.never()) return law_.dwell;
    return law_.dwell + static_cast<std::uint32_t>(flap_wait(path, law_, now_) / law_.tick);
  }
  // It may become active. While good news still comes in, only in place of all that are: or it would join
  // them now and drive them out later.
  [[nodiscard]] bool may_join(const RankedPath& path) const {
    if (path.active || !ready(path)) return false;
    return path.better_since.never() ||
           std::all_of(next_.paths.begin(), next_.paths.end(), [&](const RankedPath& other) {
             return !other.active || !value(other) || low(other) > leave_limit(high(path), law_) ||
                    (other.path.pop == path.path.pop && better(path, other));
           });
  }
  // It is or could soon be active: others are measured by it.
  [[nodiscard]] bool counts(const RankedPath& path) const {
    return path.active || (may_join(path) && path.dwell + law_.dwell >= enough(path));
  }
  template <class Which>
  [[nodiscard]] const RankedPath* least(Which which) const;
  // The active path of the PoP; null: none.
  [[nodiscard]] const RankedPath* active_at(PopId pop) const {
    const auto found = std::find_if(next_.paths.begin(), next_.paths.end(), [&](const RankedPath& path) {
      return path.active && path.path.pop == pop;
    });
    return found == next_.paths.end() ? nullptr : &*found;
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
  std::vector<const PathInput*> wanted;
  wanted.reserve(inputs.size());
  for (const PathInput& input : inputs) wanted.push_back(&input);
  next_.paths.reserve(inputs.size());
  for (const RankedPath& old : previous_.paths) {
    const auto input = std::find_if(wanted.begin(), wanted.end(), [&](const PathInput* other) {
      return other != nullptr && other->path == old.path;
    });
    if (input == wanted.end()) {
      policy_changed_ = true;
      continue;
    }
    next_.paths.push_back(remember_one(**input, &old));
    *input = nullptr;
  }
  for (const PathInput* input : wanted) {
    if (input == nullptr) continue;
    policy_changed_ = policy_changed_ || !first_;
    next_.paths.push_back(remember_one(*input, nullptr));
  }
}

RankedPath Evaluation::remember_one(const PathInput& input, const RankedPath* old) {
  RankedPath path = old != nullptr ? *old : RankedPath{};
  const bool was_usable = path.usable == Usable::yes;
  const bool terms_changed = old != nullptr && path.cost.fixed() != input.cost.fixed();
  const bool operators_word = old != nullptr && path.usable != input.usable &&
                              (path.usable == Usable::drained || input.usable == Usable::drained);
  // It was good all the time.
  const bool stood_aside = path.usable == Usable::cost_tier || path.usable == Usable::full;
  if (terms_changed || operators_word) policy_changed_ = true;
  path.path = input.path;
  path.usable = input.usable;
  if (path.usable != Usable::yes) {
    if (old != nullptr && was_usable && previous_.settled && path.usable <= Usable::unhealthy)
      add_flap(path, law_, now_);
    path.active = false;
    path.dwell = 0;
    path.usable_since = {};
  } else if (old != nullptr && !was_usable && !operators_word && !stood_aside) {
    path.usable_since = now_;
  }
  take_cost(path, input.cost, !previous_.settled || terms_changed, law_, now_);
  return path;
}

// Usable before not, known before unknown, then by damped cost; equal ones stay as they were.
void Evaluation::order() {
  for (RankedPath& path : next_.paths)
    if (path.usable == Usable::yes && !in_grace(path)) path.damped.reset();
  const bool by_fixed_terms = first_ || policy_changed_;
  std::stable_sort(next_.paths.begin(), next_.paths.end(), [&](const RankedPath& a, const RankedPath& b) {
    if ((a.usable == Usable::yes) != (b.usable == Usable::yes)) return a.usable == Usable::yes;
    const std::optional<Nanos> ours = value(a);
    const std::optional<Nanos> theirs = value(b);
    if (ours.has_value() != theirs.has_value()) return ours.has_value();
    if (ours) return *ours < *theirs;
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

// The path of least known cost among those of `which`.
template <class Which>
const RankedPath* Evaluation::least(Which which) const {
  const RankedPath* found = nullptr;
  for (const RankedPath& path : next_.paths)
    if (value(path) && which(path) && (found == nullptr || *value(path) < *value(*found))) found = &path;
  return found;
}

// Free choice: the best path and those of other PoPs within its band; the first usable one when nothing is
// known.
void Evaluation::activate_best() {
  for (RankedPath& path : next_.paths) {
    path.active = false;
    path.dwell = 0;
  }
  const RankedPath* found = least([&](const RankedPath& path) { return ready(path); });
  if (found == nullptr)  // nothing is both known and ready
    for (const RankedPath& path : next_.paths)
      if (path.usable == Usable::yes && (found == nullptr || (!value(*found) && value(path)))) found = &path;
  if (found == nullptr) return;
  next_.paths[static_cast<std::size_t>(found - next_.paths.data())].active = true;
  const std::optional<Nanos> best = value(*found);
  if (!best) return;
  for (RankedPath& path : next_.paths)  // in the order of their costs
    if (ready(path) && value(path) && *value(path) <= enter_limit(*best, law_) &&
        active_at(path.path.pop) == nullptr)
      path.active = true;
}

// Settled: the active paths stay unless there is a reason.
void Evaluation::steer() {
  if (!any_active()) return activate_best();
  weigh();
  if (!policy_changed_ && !next_.changed_at.never() && now_ - next_.changed_at < law_.hold) return;
  apply_mature();
}

// Counts, for each path, in how many evaluations in a row it should have joined or left the active ones. A
// PoP joins and leaves by its cost beside the best one; which of its links it has, by the hysteresis.
void Evaluation::weigh() {
  const RankedPath* best = least([&](const RankedPath& path) { return counts(path); });
  if (best == nullptr) {
    for (RankedPath& path : next_.paths) path.dwell = 0;
    return;
  }
  const Nanos enter = enter_limit(low(*best), law_);
  const Nanos leave = leave_limit(high(*best), law_);
  std::vector<PopId> seen;
  for (std::size_t i = 0; i < next_.paths.size(); ++i) {
    const PopId pop = next_.paths[i].path.pop;
    if (std::find(seen.begin(), seen.end(), pop) != seen.end()) continue;
    seen.push_back(pop);
    const RankedPath* in_use = active_at(pop);
    const RankedPath* other =
        least([&](const RankedPath& path) { return path.path.pop == pop && may_join(path); });
    const bool beaten = in_use != nullptr && other != nullptr && better(*other, *in_use);
    const bool stays =
        in_use != nullptr && ((value(*in_use) && low(*in_use) <= leave) || (beaten && low(*other) <= leave));
    const bool joins = in_use == nullptr && other != nullptr && high(*other) <= enter;
    const bool replaced = beaten && counts(*other);
    for (RankedPath& path : next_.paths) {
      if (path.path.pop != pop) continue;
      if (&path == in_use)
        count(path, stays && !replaced);
      else
        count(path, &path == other && (joins || (stays && beaten)));
    }
  }
}

void Evaluation::count(RankedPath& path, bool wanted) {
  // It was as good for long enough and is not any more: had it been taken up, it would have left again.
  if (!path.active && !wanted && path.dwell >= law_.dwell && path.usable == Usable::yes && !policy_changed_)
    add_flap(path, law_, now_);
  path.dwell = wanted == path.active ? 0 : path.dwell + 1;
  // It was ready and is not needed: from now on it is a challenger like any other.
  if (!path.active && !wanted && ready(path)) path.usable_since = {};
}

void Evaluation::apply_mature() {
  bool left = false;
  std::vector<RankedPath*> joining;
  for (RankedPath& path : next_.paths) {
    if (path.dwell < enough(path)) continue;
    if (!path.active) {
      joining.push_back(&path);
      continue;
    }
    path.active = false;
    path.dwell = 0;
    left = true;
    if (!policy_changed_) add_flap(path, law_, now_);
  }
  for (RankedPath* path : joining) {
    if (active_at(path->path.pop) != nullptr) continue;
    path->active = true;
    path->dwell = 0;
    mature_recovery_ = mature_recovery_ || !path->usable_since.never();
    path->usable_since = {};
  }
  if (left && !any_active()) activate_best();
}

// While one of them is on its way out they keep their order: it changes once, when that one leaves.
void Evaluation::lead_with_active() {
  const auto end = std::stable_partition(next_.paths.begin(), next_.paths.end(),
                                         [](const RankedPath& path) { return path.active; });
  if (!previous_.settled ||
      std::none_of(next_.paths.begin(), end, [](const RankedPath& p) { return p.dwell > 0; }))
    return;
  const auto place = [&](const RankedPath& path) {
    const RankedPath* old = previous_.find(path.path);
    return old == nullptr ? previous_.paths.size() : static_cast<std::size_t>(old - previous_.paths.data());
  };
  std::stable_sort(next_.paths.begin(), end,
                   [&](const RankedPath& a, const RankedPath& b) { return place(a) < place(b); });
}

// In proportion to 1/cost within each tier. What serves moves slowly, and only while all of it is known.
void Evaluation::share() {
  for (const std::vector<std::size_t>& tier : grouped(next_.paths, law_)) {
    const RankedPath& best =
        next_.paths[*std::min_element(tier.begin(), tier.end(), [&](std::size_t a, std::size_t b) {
          return value(next_.paths[a]) < value(next_.paths[b]);
        })];
    const bool all_known = std::all_of(tier.begin(), tier.end(),
                                       [&](std::size_t i) { return value(next_.paths[i]).has_value(); });
    if (best.active && !all_known) continue;
    for (const std::size_t i : tier) {
      RankedPath& path = next_.paths[i];
      const std::uint32_t target = all_known ? share_beside(*value(path), *value(best), law_) : kFullShare;
      const RankedPath* old = path.active ? previous_.find(path.path) : nullptr;
      path.share = old != nullptr && old->active ? next_share(path.share, target) : target;
    }
  }
}

}  // namespace

const RankedPath* Ranking::find(const Path& path) const {
  const auto found =
      std::find_if(paths.begin(), paths.end(), [&](const RankedPath& p) { return p.path == path; });
  return found == paths.end() ? nullptr : &*found;
}

std::vector<std::vector<Path>> Ranking::tiers(const Policy::Steering& law) const {
  std::vector<std::vector<Path>> out;
  for (const std::vector<std::size_t>& tier : grouped(paths, law)) {
    out.emplace_back();
    for (const std::size_t i : tier) out.back().push_back(paths[i].path);
  }
  return out;
}

RankingStep advance(const Ranking& previous, const std::vector<PathInput>& inputs,
                    const Policy::Steering& law, Instant now) {
  return Evaluation(previous, inputs, law, now).finish();
}

}  // namespace perigee
