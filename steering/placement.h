// One service's or pool's place in the Route: its endpoints by the hard constraints, its paths ranked, its
// tiers put together.
//
// A tier serves as long as it can. What is as near as the first tier, or nearer, is its front; when less than
// 1/overprovision of the front is healthy, the part that it cannot carry spills to the endpoints of the next
// tier; below `panic` everything that may be used serves, near or far. No constraint is loosened for that.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "steering/conditions.h"
#include "steering/policy.h"
#include "steering/route.h"

namespace perigee {

// A path and what it costs now, for every service that may use it.
struct PathTerms {
  Path path;
  Cost cost;
  bool down = false;
  bool maintained = false;  // the operator works on it
};

// What one ranking chooses among: a forwarded service, or a model of a routed one.
struct Members {
  ServiceId id;
  const std::vector<std::size_t>& endpoints;
  const std::vector<std::uint32_t>* weights = nullptr;  // beside them; none: the endpoints' own
  std::optional<Nanos> max_rtt;
  const Confines& confines;
  const std::string* model =
      nullptr;  // of a routed service, at its endpoints: requests go over kernel sockets
};

class Placement {
 public:
  // `ways`: by PoP, each in policy order. `endpoints`: in policy order. All outlive this.
  Placement(const Policy& policy, const Conditions& conditions, const Members& members,
            const std::vector<std::vector<PathTerms>>& ways, const std::vector<EndpointRoute>& endpoints,
            Instant now);

  [[nodiscard]] RankingStep rank(const Ranking& previous);
  [[nodiscard]] ServiceRoute assemble(Ranking ranking) const;

 private:
  // An endpoint of the service.
  struct Member {
    std::size_t endpoint = 0;  // index into Policy::endpoints
    std::size_t pop = 0;       // index into pops_
    std::optional<Exclusion> exclusion;
    double size = 0;  // of the service: by capacity when each endpoint has one, else by weight
  };
  // A candidate on its way into a tier.
  struct Weighed {
    std::size_t member;
    LinkId link;
    double weight;
  };
  using Draft = std::vector<Weighed>;

  void leave_to_lower_cost_tiers(std::vector<PathInput>& inputs, const Ranking& previous);
  [[nodiscard]] Usable usable(std::size_t pop) const;
  [[nodiscard]] bool over_max_rtt(const PathInput& input, const Ranking& previous) const;
  [[nodiscard]] bool full(const EndpointRoute& endpoint) const;
  [[nodiscard]] double room(const EndpointRoute& endpoint) const;  // of its weight
  [[nodiscard]] std::uint32_t own_weight(const Member& member) const;
  [[nodiscard]] double healthy_front(const Ranking& ranking) const;
  [[nodiscard]] std::vector<Draft> drafts(const Ranking& ranking) const;
  void spread(std::vector<Draft>& tiers, const ServiceRoute& out) const;
  [[nodiscard]] Tier finished(const Draft& draft) const;
  void exclude(ServiceRoute& out) const;

  const Policy& policy_;
  const Members& members_;
  const std::vector<std::vector<PathTerms>>& ways_;
  const std::vector<EndpointRoute>& endpoints_;
  const Instant now_;
  std::vector<std::size_t> pops_;  // of the endpoints, indexes into Policy::pops, as they first come
  std::vector<Member> list_;       // in the order of the service's endpoints
};

}  // namespace perigee
