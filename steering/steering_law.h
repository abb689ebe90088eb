// The constants of the decision (policy: steering). What each is for: config/policy.yaml, and
// docs/operate.md, "Near and far".
#pragma once

#include <cstdint>

#include "contract/units.h"

namespace perigee {

struct SteeringLaw {
  Nanos tick{100'000'000};  // between evaluations
  Nanos window{10'000'000'000};
  double hysteresis_relative = 0.10;  // a challenger must be better by both
  Nanos hysteresis_absolute{1'000'000};
  double band_relative = 0.02;  // costs closer than the larger of both are equal
  Nanos band_absolute{100'000};
  double band_enter = 1.2;  // of the best cost: up to here a PoP joins the first tier,
  double band_leave = 1.5;  // and beyond here it leaves
  std::uint32_t dwell = 3;  // evaluations in a row
  Nanos hold{30'000'000'000};
  Nanos good_news{4'000'000'000};         // a fall of the cost counts by half of it each so long
  Nanos flap_half_life{300'000'000'000};  // of the penalty of a path that comes and goes
  Nanos flap_max_wait{600'000'000'000};   // that it keeps such a path waiting
  double capacity_fill = 0.8;             // of an endpoint's capacity: then it is full
  double overprovision = 1.4;             // healthy share times this below 1: the rest goes to the next tier
  double panic = 0.5;                     // healthy share below it: to every tier
  std::uint32_t min_samples = 3;          // a window with fewer replies decides nothing
  std::uint32_t maximum_paths = 1;        // links to one PoP that share its flows when they are as good
  double loss_ignored = 0.01;             // ratio below which loss costs nothing
  Nanos loss_penalty{10'000'000};         // for each percent of loss above it
  friend bool operator==(const SteeringLaw&, const SteeringLaw&) = default;
};

}  // namespace perigee
