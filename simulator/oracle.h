// Per request and greedy, with perfect knowledge of this moment: links, queues, batches and caches as they
// are, true counts of tokens, and what all gateways have on the wire. For each engine it plays a copy of it
// forward until the request has its first token, and takes the least time. It does not know what will arrive,
// and gives way to no one, so another rule may be better.
#pragma once

#include <vector>

#include "simulator/dispatcher.h"
#include "simulator/world.h"

namespace perigee::simulator {

class Oracle : public Dispatcher {
 public:
  Oracle(const World& world, std::uint16_t gateway) : world_(world), gateway_(gateway) {}

  std::optional<std::uint16_t> choose(const Knowledge& known, const Dispatched& request,
                                      Random& random) override;

 private:
  struct Bound {
    Nanos least;    // on an empty engine
    Nanos network;  // of which on links
    std::uint16_t endpoint;
  };

  // When `work` that arrives then has its first token.
  Instant first_token(std::uint16_t endpoint, const Work& work, Instant arrives);

  const World& world_;
  std::uint16_t gateway_;
  std::optional<Engine> copy_;
  // Kept for their memory.
  std::vector<Bound> bounds_;
  std::vector<World::OnWire> wire_;
  std::vector<Emission> emissions_;
};

}  // namespace perigee::simulator
