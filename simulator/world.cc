#include "simulator/world.h"

#include <algorithm>
#include <limits>

namespace perigee::simulator {
namespace {

constexpr Nanos kTick = std::chrono::milliseconds(100);  // Policy::Steering::tick
constexpr Instant kNever{std::numeric_limits<std::int64_t>::max()};
constexpr double kLearn = 0.02;  // of an average: the share of the newest

void approach(double& average, double value, double share) { average += share * (value - average); }

}  // namespace

World::World(const Situation& situation, RuleKind rule, const Tuning& tuning)
    : situation_(situation),
      scenario_(*situation.scenario),
      arrivals_(situation.arrivals),
      on_wire_(scenario_.engines.size()),
      requests_(arrivals_.size()) {
  for (const Scenario::EngineAt& placed : scenario_.engines) engines_.emplace_back(placed.engine);
  for (std::uint16_t g = 0; g < scenario_.gateways(); ++g) {
    Gateway gateway{Knowledge{}, make_dispatcher(rule, tuning, *this, g), Random(mix(situation.seed, 300, g)),
                    std::vector<EngineMetrics>(engines_.size()), 0};
    for (const Scenario::EngineAt& placed : scenario_.engines) {
      EndpointKnowledge endpoint;
      endpoint.placed.usable = true;  // until the first tick
      endpoint.declared_rtt = scenario_.links[g][placed.pop].rtt;
      gateway.known.endpoints.push_back(endpoint);
    }
    gateways_.push_back(std::move(gateway));
    events_.add({situation.placements[g].first_tick, 0, 0, g, 0, Event::Kind::tick});
  }
  // Each poll from a random phase of its own.
  Random random(mix(situation.seed, 400, 0));
  for (std::uint16_t g = 0; g < scenario_.gateways(); ++g) {
    for (std::uint16_t e = 0; e < scenario_.engine_count(); ++e) {
      const double phase = random.uniform() * static_cast<double>(scenario_.poll_interval.count());
      events_.add({kStart + Nanos(static_cast<std::int64_t>(phase)), 0, 0, g, e, Event::Kind::poll});
    }
  }
}

Outcome World::run() {
  std::size_t arrived = 0;
  while (oldest_ < arrivals_.size()) {
    const Instant arrival = arrived < arrivals_.size() ? arrivals_[arrived].at : kNever;
    const Instant event = events_.next();
    const Instant deadline = oldest_ < arrived ? arrivals_[oldest_].at + scenario_.timeout : kNever;
    std::size_t soonest = 0;
    for (std::size_t e = 1; e < engines_.size(); ++e)
      if (engines_[e].next() < engines_[soonest].next()) soonest = e;
    const Instant now = std::min(std::min(arrival, event), std::min(deadline, engines_[soonest].next()));
    if (next_speed_ < scenario_.speeds.size() && scenario_.speeds[next_speed_].at <= now) {
      const Scenario::SpeedChange& change = scenario_.speeds[next_speed_++];
      engines_[change.engine].set_speed(change.speed);
      continue;
    }
    if (engines_[soonest].next() == now) {
      emissions_.clear();
      engines_[soonest].advance(emissions_);
      for (const Emission& emission : emissions_) emit(emission);
    } else if (event == now) {
      handle(events_.take());
    } else if (arrival == now) {
      dispatch(static_cast<std::uint32_t>(arrived++));
    } else {
      expire(static_cast<std::uint32_t>(oldest_));
    }
    while (oldest_ < arrived && requests_[oldest_].state != State::waiting) ++oldest_;
  }
  for (const Engine& engine : engines_) outcome_.preemptions += engine.preemptions();
  outcome_.ttft.erase(std::remove(outcome_.ttft.begin(), outcome_.ttft.end(), -1), outcome_.ttft.end());
  return std::move(outcome_);
}

Work World::work_of(std::uint32_t request) const {
  const Arrival& arrival = arrivals_[request];
  return {request,        arrival.prompt,        arrival.output,
          arrival.prefix, arrival.prefix_tokens, arrival.at + scenario_.timeout};
}

void World::dispatch(std::uint32_t request) {
  const Arrival& arrival = arrivals_[request];
  Gateway& gateway = gateways_[arrival.gateway];
  Request& made = requests_[request];
  made.what = {request, arrival.octets, arrival.prefix, 0, arrival.at};
  approach(gateway.known.mean_octets, arrival.octets, kLearn);
  const auto chosen = gateway.dispatcher->choose(gateway.known, made.what, gateway.random);
  if (!chosen) {
    if (arrival.at >= kCountedFrom) ++outcome_.refused;
    settle(request, scenario_.timeout);
    return;
  }
  made.what.endpoint = *chosen;
  made.state = State::waiting;
  EndpointKnowledge& endpoint = gateway.known.endpoints[*chosen];
  ++endpoint.in_flight;
  endpoint.octets_waiting += arrival.octets;
  endpoint.octets_since += arrival.octets;
  gateway.dispatcher->dispatched(gateway.known, made.what);
  const LinkProcess& way = link(arrival.gateway, *chosen);
  const Instant last_octet = arrival.at + further_round_trips(arrival.octets) * way.rtt(arrival.at);
  const Instant at = way.deliver(last_octet, chance(request, 0), scenario_.timeout);
  if (at.never()) return;
  on_wire_[*chosen].push_back({at, request});
  events_.add({at, 0, request, arrival.gateway, *chosen, Event::Kind::at_engine});
}

void World::handle(const Event& event) {
  switch (event.kind) {
    case Event::Kind::at_engine: {
      std::vector<OnWire>& wire = on_wire_[event.endpoint];
      const auto found = std::find_if(wire.begin(), wire.end(),
                                      [&](const OnWire& one) { return one.request == event.request; });
      *found = wire.back();
      wire.pop_back();
      engines_[event.endpoint].arrive(work_of(event.request), event.at);
      return;
    }
    case Event::Kind::first_event:
      return first_event(event);
    case Event::Kind::ended:
      return end(event);
    case Event::Kind::poll:
      return poll(event);
    case Event::Kind::poll_answer:
      return answer_poll(event);
    case Event::Kind::tick:
      return tick(event);
  }
}

void World::tick(const Event& event) {
  Gateway& gateway = gateways_[event.gateway];
  const PlacementLog& log = situation_.placements[event.gateway];
  while (gateway.ticks < log.at.size() && log.at[gateway.ticks] <= event.at) {
    for (std::size_t e = 0; e < engines_.size(); ++e)
      gateway.known.endpoints[e].placed = log.placed[gateway.ticks * engines_.size() + e];
    ++gateway.ticks;
  }
  gateway.dispatcher->placed(gateway.known, event.at);
  Event next = event;
  next.at = event.at + kTick;
  events_.add(next);
}

// At the engine: what it says now reaches the gateway half a round trip later.
void World::poll(const Event& event) {
  Event next = event;
  const LinkProcess& way = link(event.gateway, event.endpoint);
  next.at = event.at + scenario_.poll_interval;
  const bool frozen = event.at >= scenario_.frozen_from && event.at < scenario_.frozen_until;
  if (!frozen && way.loss(event.at) < 1) {
    gateways_[event.gateway].on_the_way[event.endpoint] = engines_[event.endpoint].metrics(event.at);
    events_.add(
        {event.at + way.rtt(event.at) / 2, 0, 0, event.gateway, event.endpoint, Event::Kind::poll_answer});
  }
  events_.add(next);
}

void World::answer_poll(const Event& event) {
  Gateway& gateway = gateways_[event.gateway];
  EndpointKnowledge& endpoint = gateway.known.endpoints[event.endpoint];
  const EngineMetrics& now = gateway.on_the_way[event.endpoint];
  EngineLoad load;
  load.taken = event.at;
  load.waiting = now.waiting;
  load.prompt_tokens_total = now.prompt_tokens_total;
  endpoint.rate.take(load);
  endpoint.metrics = now;
  endpoint.metrics_at = event.at;
  endpoint.octets_since = 0;
  gateway.dispatcher->polled(gateway.known, event.endpoint, now, event.at);
}

void World::emit(const Emission& emission) {
  if (emission.kind == Emission::Kind::dropped) return;  // its gateway gave it up before
  Request& request = requests_[emission.request];
  const std::uint16_t gateway = arrivals_[emission.request].gateway;
  const bool first = emission.kind == Emission::Kind::first;
  Instant at = link(gateway, request.what.endpoint)
                   .deliver(emission.at, chance(emission.request, first ? 1 : 2), scenario_.timeout);
  if (at.never()) at = emission.at + scenario_.timeout;  // the connection is given up
  if (first) request.first_at = at;
  at = std::max(at, request.first_at);
  events_.add({at, 0, emission.request, gateway, request.what.endpoint,
               first ? Event::Kind::first_event : Event::Kind::ended});
}

void World::first_event(const Event& event) {
  Request& request = requests_[event.request];
  if (request.state != State::waiting) return;
  Gateway& gateway = gateways_[event.gateway];
  request.state = State::answered;
  gateway.known.endpoints[event.endpoint].octets_waiting -= request.what.octets;
  settle(event.request, event.at - request.what.sent);
  gateway.dispatcher->first_event(gateway.known, request.what, event.at);
}

void World::end(const Event& event) {
  Request& request = requests_[event.request];
  if (request.state != State::answered) return;
  Gateway& gateway = gateways_[event.gateway];
  request.state = State::ended;
  --gateway.known.endpoints[event.endpoint].in_flight;
  const Arrival& arrival = arrivals_[event.request];
  approach(gateway.known.octets_per_token, static_cast<double>(arrival.octets) / arrival.prompt, kLearn);
  gateway.dispatcher->ended(gateway.known, request.what, arrival.prompt, event.at);
}

void World::expire(std::uint32_t index) {
  Request& request = requests_[index];
  Gateway& gateway = gateways_[arrivals_[index].gateway];
  EndpointKnowledge& endpoint = gateway.known.endpoints[request.what.endpoint];
  request.state = State::ended;
  --endpoint.in_flight;
  endpoint.octets_waiting -= request.what.octets;
  if (request.what.sent >= kCountedFrom) ++outcome_.timed_out;
  settle(index, scenario_.timeout);
  gateway.dispatcher->failed(gateway.known, request.what, request.what.sent + scenario_.timeout);
}

// Requests settle out of order; the result is in the order of arrival.
void World::settle(std::uint32_t request, Nanos ttft) {
  if (outcome_.ttft.empty()) outcome_.ttft.assign(arrivals_.size(), -1);
  if (arrivals_[request].at >= kCountedFrom) outcome_.ttft[request] = ttft.count();
}

}  // namespace perigee::simulator
