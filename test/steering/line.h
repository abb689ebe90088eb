// The law of steering on one set of paths, without a policy or a route around it.
#pragma once

#include <string>
#include <vector>

#include "steering/ranking.h"

namespace perigee {

inline Nanos ms(double value) { return Nanos(static_cast<std::int64_t>(value * 1e6)); }

// Paths are named "pop/link"; each has a cost in ms, or is unknown, or unusable.
class Line {
 public:
  PathInput& path(const std::string& name) {
    const std::string pop = name.substr(0, name.find('/'));
    const Path key{id_from_name<PopId>(pop), id_from_name<LinkId>(name)};
    for (std::size_t i = 0; i < inputs_.size(); ++i)
      if (inputs_[i].path == key) return inputs_[i];
    names_.push_back(name);
    return inputs_.emplace_back(PathInput{key, {}, Usable::yes});
  }
  void cost(const std::string& name, double value) { path(name).cost.rtt = ms(value); }
  void forget(const std::string& name) { path(name).cost.rtt.reset(); }
  void usable(const std::string& name, Usable usable) { path(name).usable = usable; }

  RankingChange tick() {
    now = now + law.tick;
    RankingStep step = advance(ranking, inputs_, law, now);
    ranking = std::move(step.ranking);
    changes += step.change != RankingChange::none ? 1 : 0;
    last = step.change != RankingChange::none ? step.change : last;
    return step.change;
  }
  void run(Nanos time) {
    for (Nanos t{0}; t < time; t += law.tick) tick();
  }
  void settle() {
    run(law.hold + std::chrono::seconds(1));
    changes = 0;
  }
  [[nodiscard]] const RankedPath& ranked(const std::string& name) { return *ranking.find(path(name).path); }
  // "mel/a per/p | mel/b": tiers.
  [[nodiscard]] std::string order() const {
    std::string out;
    for (const auto& tier : ranking.tiers(law)) {
      out += out.empty() ? "" : " |";
      for (const Path& p : tier)
        for (std::size_t i = 0; i < inputs_.size(); ++i)
          if (inputs_[i].path == p) out += (out.empty() ? "" : " ") + names_[i];
    }
    return out;
  }

  Policy::Steering law;
  Ranking ranking;
  Instant now{1'000'000'000'000};
  int changes = 0;
  RankingChange last = RankingChange::none;

 private:
  std::vector<PathInput> inputs_;
  std::vector<std::string> names_;
};

// mel over a 10 ms and b 14 ms, per 40 ms; no hold any more.
inline Line settled() {
  Line line;
  line.cost("mel/a", 10);
  line.cost("mel/b", 14);
  line.cost("per/p", 40);
  line.settle();
  return line;
}

}  // namespace perigee
