// What a request of a routed model would get if it came now: the terms of each candidate as the router has
// them at this moment, and the odds of a fresh draw.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "router/snapshot.h"
#include "steering/choice.h"

namespace perigee::gateway {

struct RequestOdds {
  std::string endpoint;
  bool canary = false;
  Contender contender;
  double probability = 0;  // of getting the request
};

// For a request of `octets` without key or residency of its own, over open connections. Empty: no such
// service or model (by name or alias; empty: the only one). From any thread.
[[nodiscard]] std::vector<RequestOdds> request_odds(const router::RouterSnapshot& snapshot,
                                                    std::string_view service, std::string_view model,
                                                    std::uint64_t octets, Instant now);

}  // namespace perigee::gateway
