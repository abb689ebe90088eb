// Why a client of a service gets the endpoint it gets: every candidate, its terms, and why it won or lost.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "contract/address.h"
#include "contract/error.h"
#include "steering/conditions.h"
#include "steering/policy.h"
#include "steering/route.h"

namespace perigee {

struct ExplainedCandidate {
  std::string endpoint;
  std::string pop;
  std::string link;                 // empty: in this PoP
  std::optional<std::size_t> tier;  // 0 is served first; absent: excluded
  Cost cost;
  std::optional<Nanos> damped;  // what it counts as in the order; absent: unknown
  double flap_penalty = 0;      // how often its path left of late
  std::uint32_t weight = 0;
  double share = 0;  // of new flows while the tiers before are gone: weight within the tier; 0 when excluded
  // That a new flow of a client that is not known goes here now: its share of the first tier, 0 behind it.
  // Absent: of a routed service, where load decides.
  std::optional<double> probability;
  bool canary = false;  // of the model's canary
  std::string verdict;  // one sentence for people, with numbers
};

struct Explanation {
  std::string service;
  std::string model;          // of a routed service, by its name
  std::string request_class;  // of the model; empty: none
  IpAddress client;
  std::optional<std::uint16_t> client_port;
  std::vector<ExplainedCandidate> candidates;  // best first, then the excluded ones
  std::string summary;                         // one sentence: where new flows of this client go
  std::string drawn;                           // the endpoint that a new flow from this client and port gets;
                                               // empty: no port was given, nobody gets it, or it is routed
};

// It is a fresh draw, not what became of a flow that is there. Which endpoint of a tier a flow gets is the
// data plane's rendezvous over client, port and service: with the port it is known, without it the shares are
// the odds. Of a routed service, which endpoint of the tier a request gets is by load; the shares are the
// weights' then, and `model` (or an alias) says which one is meant: it may be empty when there is one.
// Errors: no such service or model (with the names there are), a service that is delivered to the host.
Result<Explanation> explain(const Policy& policy, const Route& route, std::string_view service,
                            const IpAddress& client, std::optional<std::uint16_t> client_port, Instant now,
                            std::string_view model = {});

}  // namespace perigee
