// One run: gateways, links and engines in virtual time, one event after the other.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "simulator/dispatcher.h"
#include "simulator/engine.h"
#include "simulator/event_queue.h"
#include "simulator/link_process.h"
#include "simulator/rules.h"
#include "simulator/situation.h"

namespace perigee::simulator {

// What came of a run. Every counted arrival is in `ttft`, in order of arrival: the time to its first event at
// the gateway, or the time-out when it was refused, lost or too late.
struct Outcome {
  std::vector<std::int64_t> ttft;            // ns
  std::uint64_t refused = 0, timed_out = 0;  // of those counted
  std::uint64_t preemptions = 0;             // of all engines
};

class World {
 public:
  World(const Situation& situation, RuleKind rule, const Tuning& tuning);  // `situation` outlives it
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // Until every arrival has its first event or has failed. Once.
  [[nodiscard]] Outcome run();

  // The truth, for the oracle.
  struct OnWire {
    Instant at;  // it arrives
    std::uint32_t request = 0;
  };
  [[nodiscard]] const Scenario& scenario() const { return scenario_; }
  [[nodiscard]] const Engine& engine(std::size_t endpoint) const { return engines_[endpoint]; }
  [[nodiscard]] const std::vector<OnWire>& on_wire(std::size_t endpoint) const { return on_wire_[endpoint]; }
  [[nodiscard]] const LinkProcess& link(std::uint16_t gateway, std::size_t endpoint) const {
    return situation_.links[gateway][scenario_.engines[endpoint].pop];
  }
  [[nodiscard]] Work work_of(std::uint32_t request) const;

 private:
  enum class State : std::uint8_t { waiting, answered, ended };
  struct Request {
    Dispatched what;
    State state = State::ended;
    Instant first_at;  // its first token reaches the gateway; nothing overtakes it on its connection
  };
  struct Gateway {
    Knowledge known;
    std::unique_ptr<Dispatcher> dispatcher;
    Random random;
    std::vector<EngineMetrics> on_the_way;  // a poll's answer, for each engine
    std::size_t ticks = 0;                  // of its log, that were told
  };

  void dispatch(std::uint32_t request);
  void handle(const Event& event);
  void tick(const Event& event);
  void poll(const Event& event);
  void answer_poll(const Event& event);
  void first_event(const Event& event);
  void end(const Event& event);
  void emit(const Emission& emission);
  void expire(std::uint32_t request);
  void settle(std::uint32_t request, Nanos ttft);
  [[nodiscard]] std::uint64_t chance(std::uint32_t request, std::uint32_t leg) const {
    return std::uint64_t{request} * 4 + leg;
  }

  const Situation& situation_;
  const Scenario& scenario_;
  const std::vector<Arrival>& arrivals_;
  std::vector<Engine> engines_;
  std::vector<std::vector<OnWire>> on_wire_;
  std::vector<Gateway> gateways_;
  std::vector<Request> requests_;
  EventQueue events_;
  std::vector<Emission> emissions_;
  std::size_t oldest_ = 0;  // the first arrival that may still time out
  std::size_t next_speed_ = 0;
  Outcome outcome_;
};

}  // namespace perigee::simulator
