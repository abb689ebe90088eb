// What the choice of an endpoint costs: choose() among 200, its record and the line of that, by Google
// Benchmark. Each call is timed by itself, in CPU time of its thread, since the bar is of the slowest in a
// hundred.
#include <benchmark/benchmark.h>

#include <ctime>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "steering/decision_record.h"
#include "steering/expected_cost.h"
#include "steering/learned_costs.h"

namespace perigee {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kEndpoints = std::min<std::size_t>(200, kMaxContenders);  // the most of one model
constexpr std::size_t kPops = 20;
constexpr std::size_t kPopsOfTier = 4;
constexpr std::size_t kRequests = 100'000;
constexpr int kPasses = 3;
constexpr ServiceId kPool{7};
constexpr Instant kNow{1'000'000'000'000};

Nanos cpu_now() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + Nanos(now.tv_nsec);
}

// An equal part of the endpoints in each PoP, the nearer ones in earlier tiers, each with a speed of its own
// that samples taught. What is in flight, waits or fails is another for each request.
class Pool {
 public:
  explicit Pool(bool prefixes) {
    record_.request_id = "0123456789abcdef0123456789abcdef";
    record_.service = "ai";
    record_.model = "llama-3.1-70b";
    record_.operation = "chat_completions";
    record_.residency = {"au", "eu"};
    if (prefixes) record_.law.affinity_margin = 10ms;
    std::uniform_real_distribution<double> speed(20'000, 200'000);
    for (std::size_t i = 0; i < kEndpoints; ++i) {
      names_.push_back("endpoint-" + std::to_string(i) + ".pop-" + std::to_string(i % kPops));
      const double per_token = speed(random_);
      for (double tokens = 100; tokens < 20'000; tokens *= 2)
        learned_.add(ServiceSample{id_of(i), kPool, tokens, ServiceTerms{20ms, per_token}.of(tokens)}, {},
                     kNow);
    }
    for (std::size_t i = 0; i < kEndpoints; ++i) services_.push_back(learned_.service(id_of(i), kPool, {}));
    contenders_.resize(kEndpoints);
  }

  // What the next request brings, and what it meets.
  void next() {
    record_.octets = 500 + below(400'000) / (1 + below(100));
    record_.tokens = record_.octets / 4;
    record_.draw.random = random_();
    if (record_.law.affinity_margin > Nanos(0)) record_.draw.prefix = below(1000) * 0x9e3779b97f4a7c15U;
    for (std::size_t i = 0; i < kEndpoints; ++i) contenders_[i] = contender(i);
  }
  // The work that is timed.
  void decide() {
    record_.candidates.clear();
    const Choice choice = choose(contenders_, record_.law, record_.draw);
    std::array<Contender, kMaxRecorded> kept;
    for (const Contender& one : decisive(contenders_, record_.law, record_.draw, kept))
      record_.candidates.push_back({names_[one.endpoint.value - 1], one});
    record_.chosen = choice.candidate ? names_[*choice.candidate] : "";
    record_.rule = choice.rule;
    line_.clear();
    append_line(line_, record_);
    benchmark::DoNotOptimize(line_.data());
  }

 private:
  static EndpointId id_of(std::size_t i) { return EndpointId{static_cast<std::uint32_t>(i + 1)}; }
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }

  Contender contender(std::size_t i) {
    const std::size_t pop = i % kPops;
    Contender out;
    out.endpoint = id_of(i);
    out.tier = static_cast<std::uint8_t>(pop / kPopsOfTier);
    out.full = below(20) == 0;
    out.unhealthy = below(50) == 0;
    out.breaker_open = below(50) == 0;
    out.stale = below(20) == 0;
    if (below(50) == 0) out.barrier = Verdict::barred;
    out.read.in_flight = static_cast<std::uint32_t>(below(64));
    out.read.tokens_waiting = below(2) * below(20'000);
    out.load = out.read.in_flight + 1;
    out.weight = 100'000;
    EndpointSeen seen;
    seen.path.rtt = std::chrono::microseconds(500 + 3000 * pop + below(200));
    seen.service = services_[i];
    seen.queue.outstanding = static_cast<double>(out.read.tokens_waiting);
    out.cost = expected_cost({record_.octets, static_cast<double>(record_.tokens), {true, false}}, seen);
    return out;
  }

  std::mt19937_64 random_{7};
  LearnedCosts learned_;
  std::vector<ServiceTerms> services_;  // as learned, by endpoint
  std::vector<std::string> names_;
  std::vector<Contender> contenders_;
  DecisionRecord record_;
  std::string line_;
};

double microseconds(Nanos time) { return static_cast<double>(time.count()) / 1e3; }

Nanos quantile(std::vector<Nanos>& times, double part) {
  const auto at = times.begin() + static_cast<std::ptrdiff_t>(static_cast<double>(times.size() - 1) * part);
  std::nth_element(times.begin(), at, times.end());
  return *at;
}

// The rest of a call of the clock is in each time.
Nanos clock_cost() {
  std::vector<Nanos> times(1001);
  for (Nanos& one : times) {
    const Nanos before = cpu_now();
    one = cpu_now() - before;
  }
  return quantile(times, 0.5);
}

// The same requests several times over, and of each the least: an interruption of the machine, which most
// runs have in one call of fifty, seldom meets the same request again, what is slow in a choice does.
void measure(benchmark::State& state, bool prefixes) {
  std::vector<Nanos> times(kRequests, Nanos::max());
  std::vector<Nanos> first(kRequests);
  for (auto _ : state) {
    for (int pass = 0; pass < kPasses; ++pass) {
      Pool pool(prefixes);
      for (std::size_t i = 0; i < kRequests; ++i) {
        pool.next();
        const Nanos before = cpu_now();
        pool.decide();
        const Nanos took = cpu_now() - before;
        if (pass == 0) first[i] = took;
        times[i] = std::min(times[i], took);
      }
    }
  }
  const double clock = microseconds(clock_cost());
  state.counters["p50_us"] = microseconds(quantile(times, 0.5)) - clock;
  state.counters["p99_us"] = microseconds(quantile(times, 0.99)) - clock;
  state.counters["interrupted_p99_us"] = microseconds(quantile(first, 0.99)) - clock;
}

void choose_alone(benchmark::State& state) { measure(state, false); }
BENCHMARK(choose_alone)->Iterations(1);

void choose_by_prefix(benchmark::State& state) { measure(state, true); }
BENCHMARK(choose_by_prefix)->Iterations(1);

}  // namespace
}  // namespace perigee
