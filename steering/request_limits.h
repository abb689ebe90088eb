// How much may be asked of the router: of a key, or of a service by all of its clients.
#pragma once

#include <cstdint>
#include <optional>

namespace perigee {

namespace yaml {
class Map;
}

// Absent: no limit.
struct RequestLimits {
  std::optional<std::uint64_t> requests;  // a minute
  std::optional<std::uint64_t> tokens;    // a minute
  std::optional<std::uint32_t> concurrency;
  // Those that only watch: what they would refuse is said in the log and counted, and goes through.
  struct Shadow {
    bool requests = false, tokens = false, concurrency = false;
    friend bool operator==(const Shadow&, const Shadow&) = default;
  } shadow;

  [[nodiscard]] bool any() const { return requests || tokens || concurrency; }
  friend bool operator==(const RequestLimits&, const RequestLimits&) = default;
};

// The keys rpm, tpm, concurrency and shadow of `map`.
void read_request_limits(yaml::Map& map, RequestLimits& limits);

}  // namespace perigee
