#include "steering/expected_cost.h"

#include <algorithm>

namespace perigee {
namespace {

constexpr std::uint64_t kUsualHead = 512;  // octets, of a request to an endpoint
constexpr double kFastest = 1000;          // ns a token: no engine works off a million of them in a second
constexpr int kNoWait = 8;                 // a wait of less than this part of the service is none

}  // namespace

CostTerms expected_cost(const RequestSeen& request, const EndpointSeen& endpoint) {
  CostTerms out;
  const Cost& path = endpoint.path;
  if (path.known())
    out.network = round_trips(request.connection, kUsualHead + request.octets) * (*path.rtt + path.declared) +
                  path.policy + path.loss;
  out.service = endpoint.service.of(request.tokens);
  const double rate = endpoint.prefill_rate.value_or(1e9 / std::max(endpoint.service.ns_per_token, kFastest));
  out.wait = expected_wait(endpoint.queue, rate);
  return out;
}

std::optional<Nanos> service_seen(const CostTerms& expected, Nanos first_event) {
  if (!expected.network || expected.wait > expected.service / kNoWait) return std::nullopt;
  return first_event - *expected.network;
}

}  // namespace perigee
