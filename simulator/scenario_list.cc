#include <algorithm>
#include <functional>

#include "simulator/random.h"
#include "simulator/scenario.h"
#include "steering/policy.h"

namespace perigee::simulator {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kRandomSeed = 20'261'130;  // of the scenarios that are drawn
constexpr std::uint32_t kDrawn = 20;

Nanos ms(double milliseconds) { return Nanos(static_cast<std::int64_t>(milliseconds * 1e6)); }

// What most scenarios share: chat with some long prompts, a third of it behind one of 20 system prompts.
Workload chat() {
  Workload workload;
  workload.prompt = {600, 0.9, 16'000};
  workload.output = {120, 0.8, 1024};
  workload.shared = 0.33;
  workload.prefixes = 20;
  workload.prefix_tokens = 256;
  return workload;
}

// A scenario being put together; times are shares of the time that its counted requests take.
class Draft {
 public:
  Draft(std::string name, std::uint32_t requests) : requests_(requests) { out_.name = std::move(name); }

  // Each gateway is nearest to another PoP: the set is turned by one for each.
  void links(const std::vector<double>& rtts, std::uint16_t gateways) {
    out_.pops = static_cast<std::uint16_t>(rtts.size());
    out_.links.assign(gateways, std::vector<LinkSpec>(rtts.size()));
    for (std::size_t g = 0; g < gateways; ++g)
      for (std::size_t p = 0; p < rtts.size(); ++p) out_.links[g][(p + g) % rtts.size()].rtt = ms(rtts[p]);
    out_.workload.gateways = gateways;
  }
  // Two engines in each PoP, of these speeds.
  void engines(const std::vector<double>& speeds) {
    for (std::size_t e = 0; e < speeds.size(); ++e) engine(static_cast<std::uint16_t>(e / 2), speeds[e]);
  }
  void engine(std::uint16_t pop, double speed) {
    EngineSpec spec;
    spec.speed = speed;
    out_.engines.push_back({pop, spec});
  }
  // After engines and workload: `share` of what all engines can do.
  void load(double share) {
    Workload steady = out_.workload;
    steady.rate = 1000;
    steady.surges.clear();
    std::vector<Arrival> asked = out_.trace.empty() ? generate(steady, kStart, kStart, 2000, 1)
                                                    : replay(out_.trace, steady, kStart, kStart, 2000, 1);
    double speed = 0;
    for (const Scenario::EngineAt& placed : out_.engines) speed += placed.engine.speed;
    rate(share * speed * capacity_of(EngineSpec{}, asked));
  }
  void rate(double requests_a_second) {
    out_.workload.rate = requests_a_second;
    duration_ = Nanos(static_cast<std::int64_t>(requests_ / requests_a_second * 1e9));
  }
  [[nodiscard]] Instant at(double share) const {
    return kCountedFrom + Nanos(static_cast<std::int64_t>(share * static_cast<double>(duration_.count())));
  }
  // To the PoP that is nearest to each gateway.
  void on_nearest(const LinkChange& change) {
    for (std::vector<LinkSpec>& links : out_.links)
      std::min_element(links.begin(), links.end(), [](const LinkSpec& a, const LinkSpec& b) {
        return a.rtt < b.rtt;
      })->changes.push_back(change);
  }
  void on_pop(std::size_t pop, const LinkChange& change) {
    for (std::vector<LinkSpec>& links : out_.links) links[pop].changes.push_back(change);
  }
  void speed(std::uint16_t pop, double factor, double from, double until) {
    for (std::uint16_t e = 0; e < out_.engine_count(); ++e) {
      const double usual = out_.engines[e].engine.speed;
      if (out_.engines[e].pop != pop) continue;
      out_.speeds.push_back({at(from), e, usual * factor});
      out_.speeds.push_back({at(until), e, usual});
    }
    std::stable_sort(out_.speeds.begin(), out_.speeds.end(),
                     [](const auto& a, const auto& b) { return a.at < b.at; });
  }
  Scenario& scenario() { return out_; }
  [[nodiscard]] std::uint32_t requests() const { return requests_; }

 private:
  Scenario out_;
  std::uint32_t requests_;
  Nanos duration_{0};
};

constexpr double kForever = 1000;  // shares of the time: until the end, however long it takes

const std::vector<double> kEqual = {1, 1, 1, 1, 1, 1};
const std::vector<double> kMixed = {1, 0.5, 2, 1, 1, 2};
const std::vector<double> kMetro = {1, 5, 10};
const std::vector<double> kWan = {1, 40, 120};
const std::vector<double> kRegion = {5, 20, 60};

void usual(Draft& draft, double load, const std::vector<double>& rtts = kRegion,
           const std::vector<double>& speeds = kMixed, std::uint16_t gateways = 2) {
  if (draft.scenario().workload.prompt.max == 1) draft.scenario().workload = chat();
  draft.links(rtts, gateways);
  draft.engines(speeds);
  draft.load(load);
}

LinkChange change(LinkChange::Kind kind, Instant begin, Instant end) {
  LinkChange out;
  out.kind = kind;
  out.begin = begin;
  out.end = end;
  return out;
}

void noise_hour(Draft& draft) {
  usual(draft, 0.3, {10, 10.4, 40});
  draft.rate(draft.requests() / 3600.0);
  for (std::vector<LinkSpec>& links : draft.scenario().links)
    for (LinkSpec& link : links) link.noise = 0.05;
}

void rtt_step(Draft& draft) {
  usual(draft, 0.6);
  LinkChange step = change(LinkChange::Kind::step, draft.at(0.3), draft.at(kForever));
  step.amount = 80ms;
  draft.on_nearest(step);
}

void rtt_ramp(Draft& draft) {
  usual(draft, 0.6);
  LinkChange ramp = change(LinkChange::Kind::ramp, draft.at(0.2), draft.at(0.6));
  LinkChange stay = change(LinkChange::Kind::step, draft.at(0.6), draft.at(kForever));
  ramp.amount = stay.amount = 80ms;
  draft.on_nearest(ramp);
  draft.on_nearest(stay);
}

void rtt_sine(Draft& draft) {
  usual(draft, 0.6, {20, 25, 60});
  LinkChange sine = change(LinkChange::Kind::sine, draft.at(0), draft.at(kForever));
  sine.amount = 15ms;
  sine.period = 2 * Policy::Steering{}.hold;
  draft.on_nearest(sine);
}

void loss_burst(Draft& draft) {
  usual(draft, 0.6);
  LinkChange loss = change(LinkChange::Kind::loss, draft.at(0.4), draft.at(0.5));
  loss.ratio = 0.1;
  draft.on_nearest(loss);
}

void pop_lost(Draft& draft) {
  usual(draft, 0.5);
  draft.on_pop(0, change(LinkChange::Kind::outage, draft.at(0.4), draft.at(0.6)));
}

void capacity_halved(Draft& draft) {
  usual(draft, 0.6);
  draft.speed(0, 0.5, 0.3, 0.7);
}

void flash_crowd(Draft& draft) {
  usual(draft, 0.4);
  draft.scenario().workload.surges.push_back({draft.at(0.4), draft.at(0.4) + 10s, 4});
}

void stale_metrics(Draft& draft) {
  usual(draft, 0.7);
  draft.scenario().frozen_from = draft.at(0.3);
  draft.scenario().frozen_until = draft.at(0.6);
}

void slow_endpoint(Draft& draft) { usual(draft, 0.6, kRegion, {0.25, 1, 1, 1, 1, 1}); }

void long_prompts(Draft& draft) {
  draft.scenario().workload = chat();
  draft.scenario().workload.prompt = {6000, 0.7, 32'000};
  usual(draft, 0.6);
}

void short_prompts(Draft& draft) {
  draft.scenario().workload = chat();
  draft.scenario().workload.prompt = {60, 0.7, 2000};
  draft.scenario().workload.shared = 0;
  usual(draft, 0.6);
}

// One of the drawn ones: all of it follows from its number.
void drawn(Draft& draft, std::uint32_t number) {
  Random random(mix(kRandomSeed, number, 0));
  const auto between = [&](double least, double most) { return least + (most - least) * random.uniform(); };
  Workload& workload = draft.scenario().workload;
  workload = chat();
  workload.prompt = {between(100, 2500), between(0.5, 1.1), 16'000};
  workload.output = {between(30, 250), between(0.5, 1.0), 1024};
  workload.shared = between(0, 0.6);
  workload.burstiness = between(0.5, 4);
  if (random.below(3) == 0) {
    workload.swing = between(0.1, 0.4);
    workload.swing_period = ms(between(60e3, 240e3));
  }
  std::vector<double> rtts(2 + random.below(3));
  for (double& rtt : rtts) rtt = std::clamp(random.lognormal(15, 1.2), 0.5, 180.0);
  draft.links(rtts, static_cast<std::uint16_t>(1 + random.below(4)));
  for (std::uint16_t p = 0; p < draft.scenario().pops; ++p)
    for (std::uint32_t k = 1 + random.below(3); k > 0; --k) draft.engine(p, between(0.5, 2));
  for (std::vector<LinkSpec>& links : draft.scenario().links)
    for (LinkSpec& link : links) link.noise = between(0, 0.05);
  draft.scenario().poll_interval = ms(between(100, 1000));
  draft.load(between(0.3, 0.75));
  const double from = between(0.2, 0.5);
  const double until = from + between(0.1, 0.3);
  switch (random.below(6)) {
    case 0: {
      LinkChange step = change(LinkChange::Kind::step, draft.at(from), draft.at(until));
      step.amount = ms(between(10, 100));
      return draft.on_nearest(step);
    }
    case 1: {
      LinkChange loss = change(LinkChange::Kind::loss, draft.at(from), draft.at(until));
      loss.ratio = between(0.01, 0.1);
      return draft.on_nearest(loss);
    }
    case 2:
      return draft.speed(0, between(0.4, 0.9), from, until);
    case 3:
      workload.surges.push_back({draft.at(from), draft.at(from) + ms(between(2e3, 10e3)), between(1.5, 3)});
      return;
    case 4:
      draft.scenario().frozen_from = draft.at(from);
      draft.scenario().frozen_until = draft.at(until);
      return;
    default:
      return;  // a quiet one
  }
}

struct Entry {
  std::string name, summary;
  std::function<void(Draft&)> make;
};

Entry steady(double load, bool mixed, bool wan, std::uint16_t gateways) {
  const std::string share = std::to_string(load).substr(0, 3);
  return {"steady-" + share + (mixed ? "-mixed" : "-equal") + (wan ? "-wan-" : "-metro-") +
              std::to_string(gateways),
          "Poisson at " + share + " of capacity, " + (mixed ? "mixed" : "equal") + " engines, " +
              (wan ? "1, 40, 120" : "1, 5, 10") + " ms, gateways: " + std::to_string(gateways),
          [=](Draft& draft) { usual(draft, load, wan ? kWan : kMetro, mixed ? kMixed : kEqual, gateways); }};
}

std::vector<Entry> all_entries() {
  std::vector<Entry> all;
  for (const double load : {0.3, 0.6, 0.8})
    for (const bool mixed : {false, true})
      for (const bool wan : {false, true}) all.push_back(steady(load, mixed, wan, 2));
  for (const std::uint16_t gateways : {std::uint16_t{1}, std::uint16_t{10}})
    for (const bool wan : {false, true}) all.push_back(steady(0.6, true, wan, gateways));
  for (const bool wan : {false, true}) all.push_back(steady(0.8, true, wan, 10));
  all.push_back({"rtt-step", "80 ms more to the nearest PoP, for good", rtt_step});
  all.push_back({"rtt-ramp", "80 ms more to the nearest PoP, little by little", rtt_ramp});
  all.push_back(
      {"rtt-sine", "nearest PoP 20 +-15 ms, next 25 ms, with the period of the loop's hold", rtt_sine});
  all.push_back({"noise-hour", "an hour of +-5 % on links of 10, 10.4 and 40 ms", noise_hour});
  all.push_back({"loss-burst", "a tenth of all packets to the nearest PoP lost for a while", loss_burst});
  all.push_back({"pop-lost", "one PoP cannot be reached for a while", pop_lost});
  all.push_back({"capacity-halved", "one PoP's engines at half speed for a while", capacity_halved});
  all.push_back({"flash-crowd", "four times the requests for ten seconds", flash_crowd});
  all.push_back({"stale-metrics", "polls get no answer for a while", stale_metrics});
  all.push_back({"slow-endpoint", "one engine at a quarter of the others' speed", slow_endpoint});
  all.push_back({"long-prompts", "prompts of 6000 tokens at the median", long_prompts});
  all.push_back({"short-prompts", "prompts of 60 tokens at the median, none shared", short_prompts});
  for (std::uint32_t n = 1; n <= kDrawn; ++n)
    all.push_back({std::string("drawn-") + (n < 10 ? "0" : "") + std::to_string(n),
                   "all of it drawn at random", [n](Draft& draft) { drawn(draft, n); }});
  return all;
}

const std::vector<Entry>& entries() {
  static const std::vector<Entry> all = all_entries();
  return all;
}

}  // namespace

const std::vector<std::string>& scenario_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> out;
    for (const Entry& entry : entries()) out.push_back(entry.name);
    return out;
  }();
  return names;
}

std::optional<Scenario> make_scenario(std::string_view name, std::uint32_t requests) {
  for (const Entry& entry : entries()) {
    if (entry.name != name) continue;
    Draft draft(entry.name, requests);
    draft.scenario().summary = entry.summary;
    entry.make(draft);
    return draft.scenario();
  }
  return std::nullopt;
}

Scenario trace_scenario(std::vector<TraceEntry> trace, std::uint32_t requests) {
  Draft draft("trace", requests);
  draft.scenario().summary = "a trace's lengths and gaps at 0.6 of capacity, mixed engines, 1, 40, 120 ms";
  draft.scenario().workload = chat();
  draft.scenario().workload.prompt.max = draft.scenario().workload.output.max = EngineSpec{}.max_tokens() / 2;
  draft.scenario().workload.shared = 0;
  draft.scenario().trace = std::move(trace);
  usual(draft, 0.6, kWan);
  return draft.scenario();
}

}  // namespace perigee::simulator
