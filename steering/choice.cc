#include "steering/choice.h"

#include <algorithm>

#include "contract/rendezvous.h"

namespace perigee {
namespace {

constexpr std::uint32_t kShareSlack = 2;  // requests beyond a quarter more than the others

// What comes first in the order of choice, least first.
std::uint32_t against(const Contender& contender) {
  return (contender.unhealthy ? 4U : 0U) | (contender.breaker_open ? 2U : 0U) | (contender.full ? 1U : 0U);
}

Verdict verdict_of(const Contender& contender) {
  if (contender.unhealthy) return Verdict::unhealthy;
  if (contender.breaker_open) return Verdict::breaker_open;
  return contender.full ? Verdict::full : Verdict::behind;
}

// The cost of one beside that of another: with the network only where it is known of both.
struct Pair {
  Nanos first, second;
};
Pair compared(const CostTerms& a, const CostTerms& b) {
  const bool network = a.network && b.network;
  return {network ? a.total() : a.at_endpoint(), network ? b.total() : b.at_endpoint()};
}

enum class Order : std::uint8_t { first, second, same };

Order by_cost(const Contender& a, const Contender& b, const ChoiceLaw& law) {
  const auto [first, second] = compared(a.cost, b.cost);
  const Nanos part = std::min(first, second) / 1'000'000 * law.equal_ppm;
  const Nanos equal = std::max(law.equal_absolute, part);
  if (first + equal < second) return Order::first;
  return second + equal < first ? Order::second : Order::same;
}

Order by_load(const Contender& a, const Contender& b) {
  if (a.load == b.load) return Order::same;
  const std::uint64_t first = std::uint64_t{a.load} * b.weight;
  const std::uint64_t second = std::uint64_t{b.load} * a.weight;
  return first == second ? Order::same : first < second ? Order::first : Order::second;
}

// The work of one choice; indexes are of the contenders.
class Chooser {
 public:
  Chooser(std::span<const Contender> contenders, const ChoiceLaw& law, const Draw& draw)
      : all_(contenders.first(std::min(contenders.size(), kMaxContenders))), law_(law), draw_(draw) {}

  Choice decide();
  // Whom decide() looked at more closely.
  [[nodiscard]] bool decisive(std::size_t i) const {
    const auto is = [i](std::optional<std::uint8_t> one) { return one && *one == i; };
    return is(first_least_) || is(least_) || is(prefix_) || is(stale_) ||
           std::find(drawn_.begin(), drawn_.begin() + drawn_count_, i) != drawn_.begin() + drawn_count_;
  }

 private:
  using Index = std::optional<std::uint8_t>;
  [[nodiscard]] bool open(std::size_t i) const { return all_[i].barrier == Verdict::chosen; }
  [[nodiscard]] bool in_tier(std::size_t i) const {
    return open(i) && against(all_[i]) == class_ && all_[i].tier == tier_;
  }
  bool find_class();
  [[nodiscard]] Index least_of(std::uint8_t tier) const;
  void find_tier();
  template <class Fits>
  [[nodiscard]] Index first_of(std::uint64_t key, Fits fits) const;
  void draw();
  void compare(Choice& out);
  bool keep_prefix(Choice& out);
  bool refresh(Choice& out);

  std::span<const Contender> all_;
  const ChoiceLaw& law_;
  const Draw& draw_;
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  std::uint32_t class_ = kNone;
  std::uint8_t tier_ = 0, first_tier_ = 0;
  Index first_least_, least_, prefix_, stale_;  // least: known to cost least, of the first and the used tier
  std::array<std::uint8_t, kMaxChoices> drawn_{};
  std::ptrdiff_t drawn_count_ = 0;
};

bool Chooser::find_class() {
  for (std::size_t i = 0; i < all_.size(); ++i)
    if (open(i)) class_ = std::min(class_, against(all_[i]));
  first_tier_ = 255;
  for (std::size_t i = 0; i < all_.size(); ++i)
    if (open(i) && against(all_[i]) == class_) first_tier_ = std::min(first_tier_, all_[i].tier);
  if (draw_.hedge && class_ != 0) class_ = kNone;
  return class_ != kNone;
}

Chooser::Index Chooser::least_of(std::uint8_t tier) const {
  Index least;
  for (std::size_t i = 0; i < all_.size(); ++i) {
    if (!open(i) || against(all_[i]) != class_ || all_[i].tier != tier || !all_[i].cost.network) continue;
    if (!least || all_[i].cost.total() < all_[*least].cost.total()) least = static_cast<std::uint8_t>(i);
  }
  return least;
}

void Chooser::find_tier() {
  tier_ = first_tier_;
  least_ = first_least_ = least_of(first_tier_);
  std::uint8_t last = 0;
  for (std::size_t i = 0; i < all_.size(); ++i)
    if (open(i) && against(all_[i]) == class_) last = std::max(last, all_[i].tier);
  for (unsigned tier = first_tier_ + 1U; least_ && tier <= last; ++tier) {
    const Index other = least_of(static_cast<std::uint8_t>(tier));
    if (!other || all_[*least_].cost.total() <= all_[*other].cost.total() + law_.spill_margin) continue;
    tier_ = static_cast<std::uint8_t>(tier);
    least_ = other;
  }
}

// Of those in the tier that fit: the first by weighted rendezvous.
template <class Fits>
Chooser::Index Chooser::first_of(std::uint64_t key, Fits fits) const {
  Index best;
  RendezvousRank rank;
  for (std::size_t i = 0; i < all_.size(); ++i) {
    if (!in_tier(i) || !fits(i)) continue;
    const RendezvousRank other = rendezvous_rank(key, all_[i].endpoint, std::max(all_[i].weight, 1U));
    if (best && !(other < rank)) continue;
    best = static_cast<std::uint8_t>(i);
    rank = other;
  }
  return best;
}

// Without replacement; the ranks are made once.
void Chooser::draw() {
  std::array<RendezvousRank, kMaxChoices> ranks;
  const auto wanted = static_cast<std::ptrdiff_t>(std::clamp<std::size_t>(law_.choices, 1, kMaxChoices));
  for (std::size_t i = 0; i < all_.size(); ++i) {
    if (!in_tier(i)) continue;
    const RendezvousRank rank = rendezvous_rank(draw_.random, all_[i].endpoint, std::max(all_[i].weight, 1U));
    std::ptrdiff_t at = drawn_count_;
    while (at > 0 && rank < ranks[static_cast<std::size_t>(at - 1)]) --at;
    if (at == wanted) continue;
    drawn_count_ = std::min(drawn_count_ + 1, wanted);
    for (std::ptrdiff_t j = drawn_count_ - 1; j > at; --j) {
      ranks[static_cast<std::size_t>(j)] = ranks[static_cast<std::size_t>(j - 1)];
      drawn_[static_cast<std::size_t>(j)] = drawn_[static_cast<std::size_t>(j - 1)];
    }
    ranks[static_cast<std::size_t>(at)] = rank;
    drawn_[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(i);
  }
}

void Chooser::compare(Choice& out) {
  std::uint8_t best = drawn_[0];
  out.rule = drawn_count_ == 1 ? Rule::only_one : Rule::first_drawn;
  for (std::ptrdiff_t j = 1; j < drawn_count_; ++j) {
    const std::uint8_t other = drawn_[static_cast<std::size_t>(j)];
    const Order cost = by_cost(all_[best], all_[other], law_);
    const Order load = cost == Order::same ? by_load(all_[best], all_[other]) : Order::same;
    if (cost != Order::same)
      out.rule = Rule::less_cost;
    else if (load != Order::same && out.rule != Rule::less_cost)
      out.rule = Rule::less_load;
    if (cost == Order::second || load == Order::second) best = other;
  }
  out.candidate = best;
}

bool Chooser::keep_prefix(Choice& out) {
  if (!draw_.prefix || law_.affinity_margin <= Nanos(0)) return false;
  prefix_ = first_of(*draw_.prefix, [](std::size_t) { return true; });
  const Contender& own = all_[*prefix_];
  if (!own.cost.network || !least_ || own.cost.total() > all_[*least_].cost.total() + law_.affinity_margin)
    return false;
  for (std::ptrdiff_t j = 0; j < drawn_count_; ++j) {
    const std::uint8_t other = drawn_[static_cast<std::size_t>(j)];
    const std::uint64_t bound = std::uint64_t{all_[other].load} * 5 / 4 + kShareSlack;
    if (other != *prefix_ && own.load > bound) return false;
  }
  out.candidate = prefix_;
  out.rule = Rule::affinity;
  return true;
}

bool Chooser::refresh(Choice& out) {
  if (law_.refresh_one_in == 0 || (draw_.random >> 7U) % law_.refresh_one_in != 0 || !least_) return false;
  const Nanos most = all_[*least_].cost.total() * 3 / 2;
  stale_ = first_of(draw_.random, [&](std::size_t i) {
    return all_[i].stale && all_[i].cost.network && all_[i].cost.total() <= most;
  });
  if (!stale_ || *stale_ == *out.candidate) return false;
  out.candidate = stale_;
  out.rule = Rule::refresh;
  return true;
}

Choice Chooser::decide() {
  Choice out;
  out.count = static_cast<std::uint8_t>(all_.size());
  const bool any = find_class();
  if (any) {
    find_tier();
    draw();
    compare(out);
    if (draw_.hedge)
      out.rule = Rule::hedge;
    else if (!keep_prefix(out))
      refresh(out);
    out.panic = all_[*out.candidate].unhealthy || all_[*out.candidate].breaker_open;
    out.spilled = tier_ != first_tier_;
  }
  for (std::size_t i = 0; i < all_.size(); ++i) {
    const Contender& contender = all_[i];
    out.verdicts[i] = !open(i) ? contender.barrier : in_tier(i) ? Verdict::not_drawn : verdict_of(contender);
    if (!contender.retry_at.never() && (out.retry_at.never() || contender.retry_at < out.retry_at))
      out.retry_at = contender.retry_at;
  }
  for (std::ptrdiff_t j = 0; j < drawn_count_; ++j)
    out.verdicts[drawn_[static_cast<std::size_t>(j)]] = Verdict::lost;
  if (out.candidate) out.verdicts[*out.candidate] = Verdict::chosen;
  return out;
}

}  // namespace

Choice choose(std::span<const Contender> contenders, const ChoiceLaw& law, const Draw& draw) {
  return Chooser(contenders, law, draw).decide();
}

std::span<const Contender> decisive(std::span<const Contender> contenders, const ChoiceLaw& law,
                                    const Draw& draw, std::span<Contender> out) {
  Chooser chooser(contenders, law, draw);
  const Choice choice = chooser.decide();
  const bool all = contenders.size() <= kMaxRecorded;
  std::size_t count = 0;
  for (std::size_t i = 0; i < choice.count; ++i)
    if (all || chooser.decisive(i)) out[count++] = contenders[i];
  return out.first(count);
}

const char* name_of(Verdict verdict) {
  constexpr std::array<const char*, 14> kNames = {
      "chosen",      "lost",         "not_drawn", "behind", "full",  "breaker_open",     "unhealthy",
      "retry_after", "model_absent", "residency", "barred", "tried", "pinned_elsewhere", "same_pop"};
  return kNames[static_cast<std::size_t>(verdict)];
}

const char* name_of(Rule rule) {
  constexpr std::array<const char*, 8> kNames = {"only_one", "less_cost", "less_load", "first_drawn",
                                                 "affinity", "refresh",   "hedge",     "nothing_left"};
  return kNames[static_cast<std::size_t>(rule)];
}

}  // namespace perigee
