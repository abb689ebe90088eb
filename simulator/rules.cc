#include "simulator/rules.h"

#include <algorithm>
#include <limits>

#include "simulator/oracle.h"
#include "simulator/ours.h"
#include "simulator/portable_math.h"
#include "simulator/tuned.h"

namespace perigee::simulator {
namespace {

using Chosen = std::optional<std::uint16_t>;

constexpr double kInfinite = std::numeric_limits<double>::infinity();

// The usable endpoint of the least `cost`; of equal ones each with the same chance.
template <class Cost>
Chosen least(const Knowledge& known, Random& random, Cost cost) {
  Chosen best;
  double best_cost = kInfinite;
  std::uint32_t equal = 0;
  for (std::uint16_t e = 0; e < known.count(); ++e) {
    if (!known.endpoints[e].placed.usable) continue;
    const double here = cost(e, known.endpoints[e]);
    if (best && here > best_cost) continue;
    equal = best && here == best_cost ? equal + 1 : 1;
    if (equal > 1 && random.below(equal) != 0) continue;
    best = e;
    best_cost = here;
  }
  return best;
}

// Two usable endpoints drawn with the same chance, with replacement; the one of less `cost`.
template <class Cost>
Chosen less_of_two(const Knowledge& known, Random& random, Cost cost) {
  std::uint32_t usable = 0;
  for (const EndpointKnowledge& endpoint : known.endpoints) usable += endpoint.placed.usable ? 1 : 0;
  if (usable == 0) return std::nullopt;
  const auto nth = [&](std::uint32_t n) {
    std::uint16_t e = 0;
    while (!known.endpoints[e].placed.usable || n-- > 0) ++e;
    return e;
  };
  const std::uint16_t a = nth(random.below(usable));
  const std::uint16_t b = nth(random.below(usable));
  return cost(b, known.endpoints[b]) < cost(a, known.endpoints[a]) ? b : a;
}

double milliseconds(Nanos duration) { return static_cast<double>(duration.count()) / 1e6; }

class RoundRobin : public Dispatcher {
 public:
  Chosen choose(const Knowledge& known, const Dispatched&, Random&) override {
    for (std::size_t tried = 0; tried < known.endpoints.size(); ++tried) {
      const auto e = static_cast<std::uint16_t>(next_++ % known.endpoints.size());
      if (known.endpoints[e].placed.usable) return e;
    }
    return std::nullopt;
  }

 private:
  std::size_t next_ = 0;
};

class Nearest : public Dispatcher {
 public:
  Chosen choose(const Knowledge& known, const Dispatched&, Random&) override {
    Nanos nearest = Nanos::max();
    for (const EndpointKnowledge& endpoint : known.endpoints)
      if (endpoint.placed.usable) nearest = std::min(nearest, endpoint.declared_rtt);
    for (std::size_t tried = 0; tried < known.endpoints.size(); ++tried) {
      const auto e = static_cast<std::uint16_t>(next_++ % known.endpoints.size());
      if (known.endpoints[e].placed.usable && known.endpoints[e].declared_rtt == nearest) return e;
    }
    return std::nullopt;
  }

 private:
  std::size_t next_ = 0;
};

// `limit`: requests in flight to an endpoint, from this gateway, before the next PoP is used.
class NearestSpill : public Dispatcher {
 public:
  explicit NearestSpill(double limit) : limit_(limit) {}
  Chosen choose(const Knowledge& known, const Dispatched&, Random& random) override {
    return least(known, random, [&](std::uint16_t, const EndpointKnowledge& endpoint) {
      const double full = endpoint.in_flight >= limit_ ? 1e9 : 0;
      // Within a PoP, and when all are full, by requests in flight: less than a microsecond each.
      return full + (full > 0 ? 0 : milliseconds(endpoint.declared_rtt)) + 1e-4 * endpoint.in_flight;
    });
  }

 private:
  double limit_;
};

class LeastRequests : public Dispatcher {
 public:
  Chosen choose(const Knowledge& known, const Dispatched&, Random& random) override {
    return least(known, random, [](std::uint16_t, const EndpointKnowledge& e) { return e.in_flight; });
  }
};

class TwoChoices : public Dispatcher {
 public:
  Chosen choose(const Knowledge& known, const Dispatched&, Random& random) override {
    return less_of_two(known, random, [](std::uint16_t, const EndpointKnowledge& e) { return e.in_flight; });
  }
};

// `decay`: seconds in which an average loses all but 1/e. `all`: of all endpoints, not of two drawn.
class PeakEwma : public Dispatcher {
 public:
  PeakEwma(double decay, bool all) : decay_(decay * 1e9), all_(all) {}

  Chosen choose(const Knowledge& known, const Dispatched& request, Random& random) override {
    averages_.resize(known.endpoints.size());
    const auto cost = [&](std::uint16_t e, const EndpointKnowledge& endpoint) {
      const Average& average = averages_[e];
      // One that was never heard of is tried, but not flooded.
      const double value = average.at.never() ? 1 : average.value * fade(average, request.sent);
      return value * (endpoint.in_flight + 1);
    };
    return all_ ? least(known, random, cost) : less_of_two(known, random, cost);
  }
  void first_event(const Knowledge&, const Dispatched& request, Instant at) override {
    observe(request.endpoint, milliseconds(at - request.sent), at);
  }
  void failed(const Knowledge&, const Dispatched& request, Instant at) override {
    observe(request.endpoint, milliseconds(at - request.sent), at);
  }

 private:
  struct Average {
    double value = 0;  // ms
    Instant at;
  };
  [[nodiscard]] double fade(const Average& average, Instant now) const {
    return portable_exp(-std::min(static_cast<double>((now - average.at).count()) / decay_, 600.0));
  }
  void observe(std::uint16_t endpoint, double value, Instant at) {
    Average& average = averages_[endpoint];
    if (average.at.never() || value > average.value) {
      average.value = value;
    } else {
      const double kept = fade(average, at);
      average.value = average.value * kept + value * (1 - kept);
    }
    average.at = at;
  }

  double decay_;
  bool all_;
  std::vector<Average> averages_;
};

// `kv`: seconds for a KV cache that is half full, as kv * k / (1 - k). `learned`: the throughput is the one
// seen between polls, of one that was not seen yet the mean of the others; else 2000 tokens a second for all.
class LeastLoad : public Dispatcher {
 public:
  LeastLoad(double kv, bool learned) : kv_(kv), learned_(learned) {}
  Chosen choose(const Knowledge& known, const Dispatched&, Random& random) override {
    const double usual = learned_ ? usual_rate(known) : kDefaultRate;
    return least(known, random, [&](std::uint16_t, const EndpointKnowledge& endpoint) {
      const EngineMetrics metrics = endpoint.metrics.value_or(EngineMetrics{});
      const double queued = metrics.waiting * known.tokens(known.mean_octets) +
                            known.tokens(static_cast<double>(endpoint.octets_since));
      const double rate = learned_ ? endpoint.rate.prefill_rate().value_or(usual) : usual;
      const double k = std::min(metrics.kv_usage, 0.99);
      return queued / rate + kv_ * k / (1 - k);
    });
  }

 private:
  static constexpr double kDefaultRate = 2000;  // tokens a second
  static double usual_rate(const Knowledge& known) {
    double sum = 0;
    double seen = 0;
    for (const EndpointKnowledge& endpoint : known.endpoints) {
      sum += endpoint.rate.prefill_rate().value_or(0);
      seen += endpoint.rate.prefill_rate() ? 1 : 0;
    }
    return seen > 0 ? sum / seen : kDefaultRate;
  }
  double kv_;
  bool learned_;
};

// `power`: an endpoint's share is 1 / rtt^power; 0: all to the least round trip, its 2 % and 0.1 ms band.
class RttOnly : public Dispatcher {
 public:
  explicit RttOnly(double power) : power_(power) {}
  Chosen choose(const Knowledge& known, const Dispatched&, Random& random) override {
    double nearest = kInfinite;
    for (const EndpointKnowledge& endpoint : known.endpoints)
      if (endpoint.placed.usable) nearest = std::min(nearest, rtt_of(endpoint));
    double sum = 0;
    for (const EndpointKnowledge& endpoint : known.endpoints) sum += share(endpoint, nearest);
    double drawn = random.uniform() * sum;
    Chosen last;
    for (std::uint16_t e = 0; e < known.count(); ++e) {
      const double here = share(known.endpoints[e], nearest);
      if (here <= 0) continue;
      last = e;
      if ((drawn -= here) < 0) break;
    }
    return last;
  }

 private:
  static double rtt_of(const EndpointKnowledge& endpoint) {
    return milliseconds(endpoint.placed.path.rtt.value_or(endpoint.declared_rtt));
  }
  [[nodiscard]] double share(const EndpointKnowledge& endpoint, double nearest) const {
    if (!endpoint.placed.usable) return 0;
    const double rtt = rtt_of(endpoint);
    if (power_ <= 0) return rtt <= std::max(nearest * 1.02, nearest + 0.1) ? 1 : 0;
    return portable_exp(-power_ * portable_log(std::max(rtt, 0.1)));
  }
  double power_;
};

// `draw`: candidates that are compared; `spill_margin`: ms.
std::vector<Tuning> grid_of_ours() {
  std::vector<Tuning> points;
  for (const double draw : {1, 2, 3, 4})
    for (const double margin : {0.0, 0.5, 2.0, 5.0}) points.push_back({draw, margin});
  return points;
}

}  // namespace

const char* name_of(RuleKind rule) {
  switch (rule) {
    case RuleKind::nearest:
      return "nearest";
    case RuleKind::nearest_spill:
      return "nearest-spill";
    case RuleKind::round_robin:
      return "round-robin";
    case RuleKind::least_requests:
      return "least-requests";
    case RuleKind::two_choices:
      return "two-choices";
    case RuleKind::peak_ewma:
      return "peak-ewma";
    case RuleKind::least_load:
      return "least-load";
    case RuleKind::rtt_only:
      return "rtt-only";
    case RuleKind::ours:
      return "ours";
    case RuleKind::oracle:
      break;
  }
  return "oracle";
}

std::optional<RuleKind> rule_of(std::string_view name) {
  for (const RuleKind rule : kAllRules)
    if (name == name_of(rule)) return rule;
  return std::nullopt;
}

Grid grid_of(RuleKind rule) {
  switch (rule) {
    case RuleKind::nearest_spill:
      return {"limit", "", {{1, 0}, {2, 0}, {3, 0}, {4, 0}, {8, 0}, {16, 0}, {32, 0}}};
    case RuleKind::peak_ewma:
      return {"decay", "all", {{5, 0}, {30, 0}, {120, 0}, {5, 1}, {30, 1}, {60, 1}, {120, 1}, {300, 1}}};
    case RuleKind::least_load:
      return {"kv",
              "learned",
              {{0, 0}, {0.15, 0}, {0.5, 0}, {1.5, 0}, {5, 0}, {0, 1}, {0.15, 1}, {0.5, 1}, {1.5, 1}}};
    case RuleKind::rtt_only:
      return {"power", "", {{0, 0}, {0.05, 0}, {0.1, 0}, {0.25, 0}, {0.5, 0}, {1, 0}}};
    case RuleKind::ours:
      return {"draw", "spill_margin", grid_of_ours()};
    default:
      return {"", "", {Tuning{}}};
  }
}

Tuning tuned(RuleKind rule) {
  switch (rule) {
    case RuleKind::nearest_spill:
      return kTunedNearestSpill;
    case RuleKind::peak_ewma:
      return kTunedPeakEwma;
    case RuleKind::least_load:
      return kTunedLeastLoad;
    case RuleKind::rtt_only:
      return kTunedRttOnly;
    case RuleKind::ours:
      return kTunedOurs;
    default:
      return {};
  }
}

std::unique_ptr<Dispatcher> make_dispatcher(RuleKind rule, const Tuning& tuning, const World& world,
                                            std::uint16_t gateway) {
  switch (rule) {
    case RuleKind::nearest:
      return std::make_unique<Nearest>();
    case RuleKind::nearest_spill:
      return std::make_unique<NearestSpill>(tuning.first);
    case RuleKind::round_robin:
      return std::make_unique<RoundRobin>();
    case RuleKind::least_requests:
      return std::make_unique<LeastRequests>();
    case RuleKind::two_choices:
      return std::make_unique<TwoChoices>();
    case RuleKind::peak_ewma:
      return std::make_unique<PeakEwma>(tuning.first, tuning.second > 0);
    case RuleKind::least_load:
      return std::make_unique<LeastLoad>(tuning.first, tuning.second > 0);
    case RuleKind::rtt_only:
      return std::make_unique<RttOnly>(tuning.first);
    case RuleKind::ours: {
      ChoiceLaw law;
      law.choices = static_cast<std::uint32_t>(tuning.first);
      law.spill_margin = Nanos(static_cast<std::int64_t>(tuning.second * 1e6));
      return std::make_unique<Ours>(law);
    }
    case RuleKind::oracle:
      break;
  }
  return std::make_unique<Oracle>(world, gateway);
}

}  // namespace perigee::simulator
