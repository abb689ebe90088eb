// What the threads of the router decide by: one immutable value, made by the control loop from the policy,
// the Route and the material that was loaded for them, and posted to each thread, which swaps it whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "contract/units.h"
#include "router/endpoint_access.h"
#include "router/endpoint_target.h"
#include "router/gate.h"
#include "router/model_list.h"
#include "router/shared_counters.h"
#include "steering/learned_costs.h"
#include "steering/policy.h"
#include "steering/route.h"

namespace perigee::router {

class KeyRing;
class TlsServer;

// A set of regions, a bit each in the order of Policy::regions. PoPs without a region have a bit of their
// own, which no residency has.
using RegionSet = std::uint64_t;
inline constexpr RegionSet kAnyRegion = ~RegionSet{0};
inline constexpr RegionSet kNoRegion = RegionSet{1} << kMaxRegions;

// Why the policy or the Route keeps a candidate from new requests.
enum class Standing : std::uint8_t {
  usable,
  full,       // of forwarded flows; used when all are
  unhealthy,  // by the health checks; used when nothing else is left
  barred      // by the operator, link down, over max_rtt, without the model: never used
};

struct RouterSnapshot {
  struct Endpoint {
    EndpointId id;
    std::string name;
    std::string pop;
    RegionSet region = kNoRegion;  // one bit
    std::string region_name;       // empty: none
    std::optional<std::uint32_t> capacity;
    Policy::Load load;        // counters->engine has what was learned by it
    bool accepts_new = true;  // for the Route: not drained, and not unhealthy
    // The link that transit uses now for its PoP: requests leave over it, through the host port.
    std::string link;  // name; empty: in this PoP, or no link leads there
    Cost cost;
    EndpointTarget target;
    std::string credential;                   // the value of Authorization; empty: none. Secret: never logged
    std::shared_ptr<const ModelList> models;  // as it lists them; null: it was not asked
    std::shared_ptr<EndpointCounters> counters;  // never null
  };

  struct Candidate {
    std::uint16_t endpoint = 0;  // index into endpoints
    std::uint8_t tier = 0;       // 0 is used first
    Standing standing = Standing::usable;
    std::optional<Exclusion> excluded;  // the Route's reason when the standing is not usable
    std::uint32_t weight = 1;
    ServiceTerms service;  // of a request of this pool
    Instant refreshed;     // when that was last learned from; never: it is its peers', or the policy's
  };

  // The endpoints of a model or of its canary, best tier first; each endpoint once.
  struct Pool {
    std::uint32_t id = 0;  // of "service/model": the (endpoint, model) memory goes by it
    std::string served_name;
    std::size_t request_class = 0;                            // index into settings.classes
    std::vector<Candidate> candidates;                        // at most kMaxServiceEndpoints
    double octets_per_token = LearnedCosts::kOctetsPerToken;  // of request bodies
    double mean_prompt = 0;                                   // tokens; 0: not known yet
  };

  struct Model {
    std::string name;
    Pool pool;
    Policy::Model::Timeouts timeouts;
    Nanos sse_keep_alive{0};             // 0: none
    std::uint32_t canary_per_10000 = 0;  // 0: no canary
    Pool canary;
  };

  struct Service {
    ServiceId id;
    std::string name;
    bool require_key = false;
    RegionSet residency = kAnyRegion;
    std::shared_ptr<Gate>
        gate;             // null: any number of requests at once. New ones are shut until Gate::change()
    Nanos queue_time{0};  // at its gate
    RequestLimits limits;
    std::shared_ptr<LimitCounters> counters;  // of `limits`; never null
    std::vector<Model> models;
    std::vector<std::pair<std::string, std::size_t>> names;  // names and aliases to models, sorted by octets

    // By name or alias, as a client asks; nullptr: none. Costs a binary search, allocates nothing.
    [[nodiscard]] const Model* model(std::string_view asked) const;
    // By the id of its pool or its canary's; nullptr: none.
    [[nodiscard]] const Model* model_of_pool(std::uint32_t pool) const;
  };

  struct Listener {
    Policy::Listener policy;
    std::size_t service = 0;               // index into services
    std::shared_ptr<const TlsServer> tls;  // null: plain
  };

  std::uint64_t number = 0;          // one more than that of the snapshot before
  std::vector<std::string> regions;  // in the order of the bits
  std::vector<Endpoint> endpoints;   // in policy order
  std::vector<Service> services;     // the same
  std::vector<Listener> listeners;   // the same
  Policy::Router settings;
  std::vector<std::shared_ptr<HedgeCounters>> hedges;  // beside settings.classes; null: none of that class
  std::shared_ptr<const KeyRing> keys;                 // null: there is no key file

  [[nodiscard]] const RequestClass& class_of(const Pool& pool) const {
    return settings.classes[pool.request_class];
  }
  // The bit of a region by name; 0: there is none of that name.
  [[nodiscard]] RegionSet region(std::string_view name) const;
};

// What was loaded for a policy: beside its endpoints and listeners, in their order.
struct RouterMaterial {
  std::vector<EndpointAccess> endpoints;
  std::vector<std::shared_ptr<const TlsServer>> listener_tls;  // null: plain
  std::shared_ptr<const KeyRing> keys;
};

// The counters of endpoints that `previous` (may be null) knew live on. An endpoint that is new to it, or
// became healthy since, begins its slow start at `now`; with no previous one nothing does.
[[nodiscard]] RouterSnapshot make_snapshot(const Policy& policy, const Route& route,
                                           const RouterMaterial& material, const LearnedCosts& learned,
                                           const RouterSnapshot* previous, Instant now);

}  // namespace perigee::router
