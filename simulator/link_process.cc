#include "simulator/link_process.h"

#include <algorithm>

#include "simulator/portable_math.h"
#include "simulator/random.h"

namespace perigee::simulator {
namespace {

constexpr std::int64_t kNoiseCell = 10'000'000;  // ns; below the interval of probes, so that each is another
constexpr Nanos kLeastTimer = std::chrono::milliseconds(200);
constexpr std::uint32_t kInitialWindow = 14'600;  // octets

double ratio_of(Nanos part, Nanos whole) {
  return static_cast<double>(part.count()) / static_cast<double>(whole.count());
}

}  // namespace

Nanos LinkProcess::rtt(Instant at) const {
  double ns = static_cast<double>(spec_.rtt.count());
  for (const LinkChange& change : spec_.changes) {
    if (at < change.begin || at >= change.end) continue;
    const auto amount = static_cast<double>(change.amount.count());
    if (change.kind == LinkChange::Kind::step) ns += amount;
    if (change.kind == LinkChange::Kind::ramp)
      ns += amount * ratio_of(at - change.begin, change.end - change.begin);
    if (change.kind == LinkChange::Kind::sine)
      ns += amount * portable_sine_of_turns(ratio_of(at - change.begin, change.period));
  }
  if (spec_.noise > 0)
    ns *= 1 + spec_.noise * (2 * unit(mix(seed_, static_cast<std::uint64_t>(at.ns / kNoiseCell), 0)) - 1);
  return Nanos(std::max<std::int64_t>(static_cast<std::int64_t>(ns), 1000));
}

double LinkProcess::loss(Instant at) const {
  double loss = 0;
  for (const LinkChange& change : spec_.changes) {
    if (at < change.begin || at >= change.end) continue;
    if (change.kind == LinkChange::Kind::loss) loss = std::max(loss, change.ratio);
    if (change.kind == LinkChange::Kind::outage) loss = 1;
  }
  return loss;
}

Instant LinkProcess::deliver(Instant sent, std::uint64_t chance, Nanos patience) const {
  const Instant limit = sent + patience;
  Nanos timer = kLeastTimer + rtt(sent);
  for (std::uint64_t attempt = 1; sent < limit; ++attempt) {
    const double lost = loss(sent);
    if (lost <= 0 || unit(mix(seed_, chance, attempt)) >= lost) return sent + rtt(sent) / 2;
    sent = sent + timer;
    timer *= 2;
  }
  return {};
}

std::uint32_t further_round_trips(std::uint32_t octets) {
  std::uint32_t rounds = 0;
  for (std::uint64_t sent = kInitialWindow; sent < octets; sent = sent * 2 + kInitialWindow) ++rounds;
  return rounds;
}

}  // namespace perigee::simulator
