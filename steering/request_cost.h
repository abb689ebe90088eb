// What a request costs at an endpoint, in time until its first event: network + wait + service, three
// estimates that are kept apart, so that it can be said which part is the network.
#pragma once

#include <cstdint>
#include <optional>

#include "contract/units.h"

namespace perigee {

// What a connection may send before it has to wait for an acknowledgement when it is new: ten segments of
// 1460 octets (RFC 6928 section 2).
inline constexpr std::uint32_t kInitialWindow = 14'600;

// The terms. A term that is not known is absent or 0 as said; nothing is ever taken for a measurement.
struct CostTerms {
  std::optional<Nanos> network;  // round trips until the first event; absent: no round trip is known
  Nanos wait{0};                 // for what is before it at the endpoint
  Nanos service{0};              // once it is its turn
  Nanos penalty{0};              // for recent failures: failing fast must not look like being fast

  // Without the network where that is not known: compare such sums with each other only.
  [[nodiscard]] Nanos total() const { return network.value_or(Nanos(0)) + at_endpoint(); }
  [[nodiscard]] Nanos at_endpoint() const { return wait + service + penalty; }
  friend bool operator==(const CostTerms&, const CostTerms&) = default;
};

// The connection that a request would go out on.
struct ConnectionSeen {
  bool open = false;                      // its handshakes are done
  bool tls = false;                       // TLS 1.3: one round trip more
  std::uint32_t window = kInitialWindow;  // octets; the congestion window
};

// Round trips from the first octet that is sent to the first octet of the answer, not counting what the
// endpoint takes: the handshakes, and one for each window that the request fills, which doubles each time
// (slow start, RFC 5681 section 3.1).
[[nodiscard]] std::uint32_t round_trips(const ConnectionSeen& connection, std::uint64_t request_octets);

// What is before a new request at an endpoint, as this gateway sees it. Tokens are of prompts.
struct QueueSeen {
  // Of the last reading of the engine; absent: none, or too old.
  std::optional<double> waiting;    // requests that it has not begun
  Nanos age{0};                     // of that reading
  double sent_since = 0;            // tokens that this gateway sent after it
  double mean_prompt = 0;           // tokens of a request
  double outstanding = 0;           // tokens that this gateway sent and that have no answer yet
  double outstanding_streamed = 0;  // the part of requests whose answer begins with the first token
};

// Tokens over the rate at which prompts are worked off. What was sent since the reading counts besides what
// the reading says, and what was worked off since does not, so that the requests between two polls do not all
// go to the one that was idle at the first.
[[nodiscard]] Nanos expected_wait(const QueueSeen& seen, double tokens_per_second);

}  // namespace perigee
