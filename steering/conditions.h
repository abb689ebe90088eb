// What was measured, as a plain value taken once per tick. Absent is unknown; nothing here is ever 0 for want
// of a measurement. The entries are in the order of Policy::links and Policy::endpoints; missing ones (also
// all of them) are unknown.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "contract/telemetry.h"
#include "contract/units.h"
#include "steering/engine_metrics.h"
#include "steering/wall_time.h"

namespace perigee {

// What the health checks say. `dead` is unhealthy, and connecting itself is refused or times out: its
// established flows cannot live.
enum class Health : std::uint8_t { unknown, healthy, unhealthy, dead };
[[nodiscard]] const char* name_of(Health health);

struct Conditions {
  struct Window {  // of replies that counted
    Nanos min{0}, p50{0}, p99{0};
    std::uint64_t samples = 0;
    Instant taken;               // its age decides whether it is stale
    std::optional<double> loss;  // ratio of settled probes; absent when none has settled
    friend bool operator==(const Window&, const Window&) = default;
  };

  struct FlowTimes {  // of forwarded connections lately (telemetry::kFlowWindow); nearest rank
    Nanos min{0}, p50{0};
    std::uint64_t samples = 0;
    friend bool operator==(const FlowTimes&, const FlowTimes&) = default;
  };

  struct Link {
    telemetry::LinkState state = telemetry::LinkState::unknown;
    std::optional<Window> window;
    std::optional<FlowTimes> flow_rtt{};  // of handshakes over it with endpoints of its own PoP
    friend bool operator==(const Link&, const Link&) = default;
  };

  struct Endpoint {
    Health health = Health::unknown;
    Instant since;                          // of the verdict
    std::optional<std::uint64_t> flows;     // it has now, as the data plane counts them
    std::optional<Nanos> connection_rtt{};  // least round trip of this host's own connections to it lately
    Instant passed_at{};                    // when a check passed last; never: none did
    Instant failing_since{};  // when the first failed of those that fail in a row; never: the last one passed
    std::optional<FlowTimes> first_byte{};     // over all links
    std::vector<std::string> absent_models{};  // that it should have and does not list, by its own names
    std::optional<EngineLoad> load{};          // as its engine said lately; absent: not asked, or it is stale
    friend bool operator==(const Endpoint&, const Endpoint&) = default;
  };

  // The data plane's heartbeat is fresh. While it is not, every link is unknown, and as health checks go
  // through it their verdicts say nothing about endpoints (see route.h).
  bool dataplane_alive = false;
  // The time of day, for what the operator has set a time for. Unknown: no maintenance, and no pin.
  std::optional<WallTime> wall{};
  bool dataplane_stalled = false;  // it did not look at its ports for longer than silence on a link may last
  std::vector<Link> links;
  std::vector<Endpoint> endpoints;

  [[nodiscard]] Link link(std::size_t index) const { return index < links.size() ? links[index] : Link{}; }
  [[nodiscard]] Endpoint endpoint(std::size_t index) const {
    return index < endpoints.size() ? endpoints[index] : Endpoint{};
  }
  friend bool operator==(const Conditions&, const Conditions&) = default;
};

}  // namespace perigee
