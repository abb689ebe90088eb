#include "simulator/oracle.h"

#include <algorithm>

#include "simulator/world.h"

namespace perigee::simulator {
namespace {

// A round trip and what losses add to it on average: each leg's first timer.
Nanos expected_rtt(const LinkProcess& link, Instant now) {
  const Nanos rtt = link.rtt(now);
  const auto timer = static_cast<double>((rtt + std::chrono::milliseconds(200)).count());
  return rtt + Nanos(static_cast<std::int64_t>(2 * link.loss(now) * timer));
}

}  // namespace

std::optional<std::uint16_t> Oracle::choose(const Knowledge& known, const Dispatched& request, Random&) {
  const Work work = world_.work_of(request.request);
  const std::uint32_t rounds = further_round_trips(request.octets);
  bounds_.clear();
  for (std::uint16_t e = 0; e < known.count(); ++e) {
    const LinkProcess& link = world_.link(gateway_, e);
    if (link.loss(request.sent) >= 1) continue;
    const Nanos network = expected_rtt(link, request.sent) + rounds * link.rtt(request.sent);
    const EngineSpec& spec = world_.engine(e).spec();
    bounds_.push_back({network + idle_prefill(spec, work.prompt, work.prefix_tokens), network, e});
  }
  std::sort(bounds_.begin(), bounds_.end(), [](const Bound& a, const Bound& b) {
    return a.least != b.least ? a.least < b.least : a.endpoint < b.endpoint;
  });
  std::optional<std::uint16_t> best;
  Nanos best_time = Nanos::max();
  for (const Bound& bound : bounds_) {
    if (bound.least >= best_time) break;
    const Nanos half = expected_rtt(world_.link(gateway_, bound.endpoint), request.sent) / 2;
    const Instant arrives = request.sent + (bound.network - half);
    const Nanos time = first_token(bound.endpoint, work, arrives) - request.sent + half;
    if (time >= best_time) continue;
    best_time = time;
    best = bound.endpoint;
  }
  return best;
}

Instant Oracle::first_token(std::uint16_t endpoint, const Work& work, Instant arrives) {
  wire_ = world_.on_wire(endpoint);
  std::sort(wire_.begin(), wire_.end(), [](const World::OnWire& a, const World::OnWire& b) {
    return a.at != b.at ? a.at < b.at : a.request < b.request;
  });
  if (copy_)
    *copy_ = world_.engine(endpoint);
  else
    copy_ = world_.engine(endpoint);
  const auto arrive = [&](const Work& one, Instant at) {
    while (copy_->next() <= at) copy_->advance(emissions_);
    copy_->arrive(one, at);
  };
  emissions_.clear();
  for (const World::OnWire& one : wire_)
    if (one.at <= arrives) arrive(world_.work_of(one.request), one.at);
  arrive(work, arrives);
  for (;;) {
    emissions_.clear();
    copy_->advance(emissions_);
    for (const Emission& emission : emissions_)
      if (emission.request == work.request) return emission.at;  // or dropped: as good as never
  }
}

}  // namespace perigee::simulator
