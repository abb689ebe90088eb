// Perigee's own decision: the tiers and weights of route(), the costs of steering/request_cost.h with what
// steering/learned_costs.h and steering/engine_rate.h learned, and steering/choice.h. All of it is the code
// that the router runs; here is only what the router does around it.
#pragma once

#include <vector>

#include "simulator/dispatcher.h"
#include "steering/choice.h"
#include "steering/learned_costs.h"

namespace perigee::simulator {

class Ours : public Dispatcher {
 public:
  explicit Ours(const ChoiceLaw& law) : law_(law) {}

  std::optional<std::uint16_t> choose(const Knowledge& known, const Dispatched& request,
                                      Random& random) override;
  void placed(const Knowledge& known, Instant now) override;
  void dispatched(const Knowledge& known, const Dispatched& request) override;
  void first_event(const Knowledge& known, const Dispatched& request, Instant now) override;
  void ended(const Knowledge& known, const Dispatched& request, std::uint32_t prompt_tokens,
             Instant now) override;
  void failed(const Knowledge& known, const Dispatched& request, Instant now) override;
  void polled(const Knowledge& known, std::uint16_t endpoint, const EngineMetrics& metrics,
              Instant now) override;

 private:
  struct Endpoint {
    ServiceTerms service;  // as of the last tick, like the router's snapshot
    Instant refreshed;
    double tokens_waiting = 0;  // sent, without a first event
    double tokens_sent = 0;
    double sent_before = 0;  // tokens_sent when the last poll was answered
  };
  struct Sent {
    double tokens = 0;
    CostTerms cost;
  };

  [[nodiscard]] CostTerms cost_of(const EndpointKnowledge& known, const Endpoint& endpoint,
                                  std::uint64_t octets, double tokens, Instant now) const;

  ChoiceLaw law_;
  Policy::Router settings_;
  LearnedCosts learned_;
  double octets_per_token_ = LearnedCosts::kOctetsPerToken, mean_prompt_ = 0;  // as of the last tick
  std::vector<Endpoint> endpoints_;
  std::vector<Contender> contenders_;
  std::vector<Sent> sent_;  // by request; those of other gateways stay empty
  Sent next_;               // of the request that was chosen for last
};

}  // namespace perigee::simulator
