// A request at its endpoint, as the choices of others count it.
#pragma once

#include <cstdint>

#include "router/shared_counters.h"

namespace perigee::router {

// In flight from before its first octet to after its last, on every path; its prompt waits until the answer
// begins.
class InFlight {
 public:
  // `tokens`: of the prompt. `streamed`: the answer begins with the first token.
  InFlight(EndpointCounters& counters, std::uint64_t tokens, bool streamed)
      : counters_(counters), tokens_(tokens), streamed_(streamed) {
    counters_.in_flight.fetch_add(1, std::memory_order_relaxed);
    counters_.tokens_sent.fetch_add(tokens, std::memory_order_relaxed);
    counters_.tokens_waiting.fetch_add(tokens, std::memory_order_relaxed);
    if (streamed_) counters_.tokens_waiting_streamed.fetch_add(tokens, std::memory_order_relaxed);
  }
  ~InFlight() { over(); }
  InFlight(const InFlight&) = delete;
  InFlight& operator=(const InFlight&) = delete;

  void over() {
    answer_began();
    if (!over_) counters_.in_flight.fetch_sub(1, std::memory_order_relaxed);
    over_ = true;
  }
  void answer_began() {
    if (began_) return;
    began_ = true;
    counters_.tokens_waiting.fetch_sub(tokens_, std::memory_order_relaxed);
    if (streamed_) counters_.tokens_waiting_streamed.fetch_sub(tokens_, std::memory_order_relaxed);
  }

 private:
  EndpointCounters& counters_;
  const std::uint64_t tokens_;
  const bool streamed_;
  bool began_ = false, over_ = false;
};

}  // namespace perigee::router
