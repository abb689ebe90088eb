// What the network between a gateway and a PoP does at each moment: round trip and loss as a function of time
// alone, so that probes, requests and the oracle meet the same network and no draw depends on another.
#pragma once

#include <cstdint>
#include <vector>

#include "contract/units.h"

namespace perigee::simulator {

// Something that happens to a link between two moments.
struct LinkChange {
  enum class Kind : std::uint8_t {
    step,    // `amount` more while it lasts
    ramp,    // from 0 to `amount` more, evenly
    sine,    // `amount` times the sine of the time since its begin over `period`
    loss,    // of `ratio` of all packets
    outage,  // nothing passes
  };
  Kind kind = Kind::step;
  Instant begin, end;
  Nanos amount{0};
  Nanos period{0};
  double ratio = 0;
};

struct LinkSpec {
  Nanos rtt{0};
  double noise = 0;  // the round trip is off by up to this ratio, uniformly, anew every 10 ms
  std::vector<LinkChange> changes;
};

class LinkProcess {
 public:
  LinkProcess(LinkSpec spec, std::uint64_t seed) : spec_(std::move(spec)), seed_(seed) {}

  [[nodiscard]] const LinkSpec& spec() const { return spec_; }
  [[nodiscard]] Nanos rtt(Instant at) const;
  [[nodiscard]] double loss(Instant at) const;  // of packets, 0..1; 1: an outage
  // When what is sent at `sent` arrives, half a round trip later. A packet that is lost is sent again after
  // the round trip and 200 ms, the least variance Linux allows for, then after twice that and so on (RFC 6298
  // section 5). `chance` names the packet. Never (0): not within `patience`.
  [[nodiscard]] Instant deliver(Instant sent, std::uint64_t chance, Nanos patience) const;

 private:
  LinkSpec spec_;
  std::uint64_t seed_;
};

// Round trips beyond the first that a request of `octets` takes on a connection that was idle: its window
// begins at ten segments (RFC 6928 section 2) and doubles each time (RFC 5681 section 3.1).
[[nodiscard]] std::uint32_t further_round_trips(std::uint32_t octets);

}  // namespace perigee::simulator
