// What the operator rules out, as a policy has it: maintenance windows, and where the new flows or requests
// of a service may go at all. constraints_in_force.h says what holds now.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "steering/wall_time.h"

namespace perigee {

inline constexpr std::size_t kMaxMaintenance = 32;  // windows of one thing: past ones are deleted some day
inline constexpr std::size_t kMaxNoteOctets = 255;  // a line in the log
inline constexpr std::uint32_t kMaxCostTier = 15;   // a table has as many tiers for a service

// Of a PoP, link or endpoint, from `from` and before `to`: new flows avoid it, established ones stay.
struct Maintenance {
  WallTime from, to;
  std::string note;
  friend bool operator==(const Maintenance&, const Maintenance&) = default;
};

// Before `until` only these endpoints of a service are used.
struct Pin {
  std::vector<std::size_t> endpoints;  // indexes into Policy::endpoints, sorted, each once
  WallTime until;
  friend bool operator==(const Pin&, const Pin&) = default;
};

// Of a service.
struct Confines {
  std::optional<std::vector<std::size_t>> pops;  // indexes, sorted, each once; absent: any
  std::optional<Pin> pin;
  friend bool operator==(const Confines&, const Confines&) = default;
};

}  // namespace perigee
