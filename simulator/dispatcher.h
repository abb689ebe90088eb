// The one interface behind which all rules are: what a gateway knows, and a rule that chooses by it. The
// gateway keeps the knowledge, the same for every rule.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "contract/units.h"
#include "simulator/engine.h"
#include "simulator/random.h"
#include "steering/engine_rate.h"
#include "steering/ranking.h"

namespace perigee::simulator {

// What the slow loop says of an endpoint, by its last tick.
struct Placed {
  bool usable = false;     // in a tier of the Route: its PoP can be reached
  std::uint32_t tier = 0;  // of the Route
  std::uint32_t weight = 1;
  Cost path;  // the p50 of the window of probes, and what loss costs
  friend bool operator==(const Placed&, const Placed&) = default;
};

// What a gateway knows of one endpoint. Octets are of prompts: tokens it does not see until the answer ends.
struct EndpointKnowledge {
  Placed placed;
  Nanos declared_rtt{0};                 // what the operator would write: the round trip at the start
  std::uint32_t in_flight = 0;           // own requests that have not ended
  std::uint64_t octets_waiting = 0;      // of own requests without a first event
  std::uint64_t octets_since = 0;        // sent since the last poll was answered
  std::optional<EngineMetrics> metrics;  // of the last poll that was answered
  Instant metrics_at;                    // when the answer came
  EngineRate rate;                       // what polls taught of its speed
};

// An older reading of an engine is none: as the router takes it.
inline constexpr Nanos kMetricsCountFor = std::chrono::seconds(2);

struct Knowledge {
  std::vector<EndpointKnowledge> endpoints;
  double octets_per_token = 4;  // learned from the usage at the end of answers
  double mean_octets = 4000;    // of a request

  [[nodiscard]] std::uint16_t count() const { return static_cast<std::uint16_t>(endpoints.size()); }

  [[nodiscard]] double tokens(double octets) const { return octets / octets_per_token; }
};

// What is told of a request.
struct Dispatched {
  std::uint32_t request = 0;
  std::uint32_t octets = 0;
  std::uint32_t prefix = 0;    // as a hash of the prompt's beginning would tell; 0: none known
  std::uint16_t endpoint = 0;  // once chosen
  Instant sent;
};

class Dispatcher {
 public:
  virtual ~Dispatcher() = default;

  // The endpoint for `request`, one that is usable; none: there is none, and the request is refused.
  virtual std::optional<std::uint16_t> choose(const Knowledge& known, const Dispatched& request,
                                              Random& random) = 0;

  // What happens; most rules need little of it, as Knowledge is kept for them.
  virtual void placed(const Knowledge&, Instant) {}  // after each tick
  virtual void dispatched(const Knowledge&, const Dispatched&) {}
  virtual void first_event(const Knowledge&, const Dispatched&, Instant) {}
  virtual void ended(const Knowledge&, const Dispatched&, std::uint32_t /*prompt_tokens*/, Instant) {}
  virtual void failed(const Knowledge&, const Dispatched&, Instant) {}
  virtual void polled(const Knowledge&, std::uint16_t /*endpoint*/, const EngineMetrics&, Instant) {}
};

}  // namespace perigee::simulator
