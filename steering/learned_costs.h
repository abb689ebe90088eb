// What requests taught about endpoints: service times per (endpoint, pool), octets per token per pool. A
// plain value of its one owner; the router's threads send it samples.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "contract/units.h"
#include "steering/service_estimate.h"

namespace perigee {

// A request that met no queue, at its first event: of a stream, with data.
struct ServiceSample {
  EndpointId endpoint;
  ServiceId pool;
  double tokens = 0;  // of its prompt, as estimated when it was sent
  Nanos took{0};      // without the network
  friend bool operator==(const ServiceSample&, const ServiceSample&) = default;
};

// A request whose endpoint said how many tokens its prompt had.
struct TokenSample {
  ServiceId pool;
  std::uint64_t octets = 0;  // of its body
  std::uint64_t tokens = 0;
  friend bool operator==(const TokenSample&, const TokenSample&) = default;
};

// What an engine says of its own: a prompt of so many tokens took so long, from its queue to its first token.
struct PrefillSeen {
  double tokens = 0;  // > 0
  Nanos took{0};
};

class LearnedCosts {
 public:
  static constexpr double kOctetsPerToken = 4;  // before anything is known; English prose in JSON
  static constexpr double kLeastRatio = 0.25, kMostRatio = 64;

  void add(const ServiceSample& sample, const ServiceTerms& prior, Instant now);
  void add(const TokenSample& sample);

  // Of an endpoint that was not seen yet: as its peers in the pool, or else the prior; either through the
  // point that its engine tells of, which is what it can do itself. The less was seen, the more that weighs.
  [[nodiscard]] ServiceTerms service(EndpointId endpoint, ServiceId pool, const ServiceTerms& prior,
                                     const std::optional<PrefillSeen>& engine = {}) const;
  // When the last sample came; never: there was none.
  [[nodiscard]] Instant refreshed(EndpointId endpoint, ServiceId pool) const;
  [[nodiscard]] double samples(EndpointId endpoint, ServiceId pool) const;
  [[nodiscard]] double octets_per_token(ServiceId pool) const;
  [[nodiscard]] double mean_prompt(ServiceId pool) const;  // tokens; 0: nothing was seen

  // What is not of these any more is kept for a while, for an endpoint that comes back, and speaks for nobody
  // until then. So it is bounded: by the policy, and by kMostRetired.
  static constexpr Nanos kRetiredFor = std::chrono::hours(1);  // later it may be another machine
  static constexpr std::size_t kMostRetired = 1024;            // of (endpoint, pool): some 150 KB
  void keep(const std::vector<ServiceId>& pools, const std::vector<EndpointId>& endpoints, Instant now);

 private:
  struct Known {
    ServiceEstimate estimate;
    Instant retired;  // never: it is of the policy
  };
  struct Pool {
    double octets = 0, tokens = 0;  // decayed sums
    double prompt = 0, requests = 0;
    std::map<EndpointId, Known> endpoints;
  };
  void forget_retired(Instant until);
  [[nodiscard]] const ServiceEstimate* find(EndpointId endpoint, ServiceId pool) const;
  // Of the others in the pool that were seen often enough: their mean.
  [[nodiscard]] static ServiceTerms peers(const Pool& pool, EndpointId except, const ServiceTerms& prior);

  std::map<ServiceId, Pool> pools_;
};

}  // namespace perigee
