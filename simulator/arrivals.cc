#include <algorithm>

#include "simulator/portable_math.h"
#include "simulator/random.h"
#include "simulator/trace.h"

namespace perigee::simulator {
namespace {

constexpr double kSlice = 10e6;  // ns for which the rate is taken as constant

std::uint32_t draw_length(const Lengths& lengths, Random& random) {
  const double drawn = lengths.sigma > 0 ? random.lognormal(lengths.median, lengths.sigma) : lengths.median;
  return static_cast<std::uint32_t>(std::clamp(drawn, 1.0, static_cast<double>(lengths.max)));
}

double rate_at(const Workload& workload, Instant begin, Instant at) {
  double rate = workload.rate;
  if (workload.swing > 0)
    rate *= 1 + workload.swing * portable_sine_of_turns(static_cast<double>((at - begin).count()) /
                                                        static_cast<double>(workload.swing_period.count()));
  for (const Workload::Surge& surge : workload.surges)
    if (at >= surge.begin && at < surge.end) rate *= surge.factor;
  return rate;
}

// The gaps between arrivals, of mean 1, in the arrivals' own time, which runs with the rate.
double draw_gap(const Workload& workload, Random& random) {
  if (workload.burstiness <= 1) return random.exponential();
  return random.gamma(1 / workload.burstiness) * workload.burstiness;
}

// What a request is besides its time and its lengths.
void dress(Arrival& arrival, const Workload& workload, const std::vector<double>& popularity,
           Random& random) {
  const double each =
      workload.octets_least + (workload.octets_most - workload.octets_least) * random.uniform();
  const double share = random.uniform();
  const double which = random.uniform();
  if (!popularity.empty() && share < workload.shared) {
    const auto found = std::upper_bound(popularity.begin(), popularity.end(), which * popularity.back());
    arrival.prefix = static_cast<std::uint32_t>(found - popularity.begin()) + 1;
    arrival.prefix_tokens = workload.prefix_tokens;
    arrival.prompt = std::min(arrival.prompt + workload.prefix_tokens, workload.prompt.max);
  }
  arrival.octets = static_cast<std::uint32_t>(each * arrival.prompt) + 1;
  arrival.gateway = static_cast<std::uint16_t>(random.below(workload.gateways));
}

std::vector<double> popularity_of(const Workload& workload) {
  std::vector<double> sums;
  double sum = 0;
  for (std::uint32_t n = 1; n <= workload.prefixes; ++n) sums.push_back(sum += 1.0 / n);
  return sums;
}

}  // namespace

std::vector<Arrival> generate(const Workload& workload, Instant begin, Instant counted_from,
                              std::uint32_t count, std::uint64_t seed) {
  Random times(mix(seed, 1, 0));
  Random lengths(mix(seed, 2, 0));
  Random rest(mix(seed, 3, 0));
  const std::vector<double> popularity = popularity_of(workload);
  std::vector<Arrival> arrivals;
  arrivals.reserve(count + count / 4);
  auto now = static_cast<double>(begin.ns);
  double gap = draw_gap(workload, times);
  for (std::uint32_t counted = 0; counted < count;) {
    const double rate = rate_at(workload, begin, Instant{static_cast<std::int64_t>(now)}) / 1e9;  // each ns
    if (gap > kSlice * rate) {
      gap -= kSlice * rate;
      now += kSlice;
      continue;
    }
    now += gap / rate;
    gap = draw_gap(workload, times);
    Arrival arrival;
    arrival.at = Instant{static_cast<std::int64_t>(now)};
    arrival.prompt = draw_length(workload.prompt, lengths);
    arrival.output = draw_length(workload.output, lengths);
    dress(arrival, workload, popularity, rest);
    if (arrival.at >= counted_from) ++counted;
    arrivals.push_back(arrival);
  }
  return arrivals;
}

std::vector<Arrival> replay(const std::vector<TraceEntry>& trace, const Workload& workload, Instant begin,
                            Instant counted_from, std::uint32_t count, std::uint64_t seed) {
  std::vector<Arrival> arrivals;
  if (trace.empty()) return arrivals;
  Random rest(mix(seed, 3, 0));
  const std::vector<double> popularity = popularity_of(workload);
  const double length = std::max<double>(static_cast<double>(trace.back().at.count()), 1);
  // A round of the trace has as many requests as it should have at the rate, the gap to the next included.
  const double round = static_cast<double>(trace.size()) / workload.rate * 1e9;
  const double stretch = round / (length * (1 + 1 / static_cast<double>(trace.size())));
  const std::size_t offset = mix(seed, 4, 0) % trace.size();  // each seed begins elsewhere
  double start = static_cast<double>(begin.ns) - stretch * static_cast<double>(trace[offset].at.count());
  std::size_t next = offset;
  for (std::uint32_t counted = 0; counted < count; ++next) {
    if (next == trace.size()) {
      next = 0;
      start += round;
    }
    const TraceEntry& entry = trace[next];
    Arrival arrival;
    arrival.at = Instant{static_cast<std::int64_t>(start + stretch * static_cast<double>(entry.at.count()))};
    arrival.prompt = std::min(entry.prompt, workload.prompt.max);
    arrival.output = std::min(entry.output, workload.output.max);
    dress(arrival, workload, popularity, rest);
    if (arrival.at >= counted_from) ++counted;
    arrivals.push_back(arrival);
  }
  return arrivals;
}

}  // namespace perigee::simulator
