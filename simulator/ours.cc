#include "simulator/ours.h"

#include <algorithm>

namespace perigee::simulator {
namespace {

// Of router/attempt.cc and router/choose.cc.
constexpr int kNoWait = 8;             // a wait of less than this part of the service is none
constexpr std::uint64_t kHead = 512;   // octets of a request besides its prompt
constexpr double kFastest = 1000;      // ns a token
constexpr std::uint32_t kWarm = 1000;  // thousandths of a weight

const ServiceId kPool{1};  // there is one model

EndpointId id_of(std::size_t endpoint) { return EndpointId{static_cast<std::uint32_t>(endpoint + 1)}; }

}  // namespace

void Ours::placed(const Knowledge& known, Instant) {
  endpoints_.resize(known.endpoints.size());
  octets_per_token_ = learned_.octets_per_token(kPool);
  mean_prompt_ = learned_.mean_prompt(kPool);
  for (std::size_t e = 0; e < endpoints_.size(); ++e) {
    endpoints_[e].service = learned_.service(id_of(e), kPool, settings_.service);
    endpoints_[e].refreshed = learned_.refreshed(id_of(e), kPool);
  }
}

CostTerms Ours::cost_of(const EndpointKnowledge& known, const Endpoint& endpoint, std::uint64_t octets,
                        double tokens, Instant now) const {
  CostTerms out;
  if (known.placed.path.known()) {
    const std::uint32_t rounds = round_trips({true, false, kInitialWindow}, kHead + octets);
    out.network = rounds * (*known.placed.path.rtt + known.placed.path.declared) + known.placed.path.policy +
                  known.placed.path.loss;
  }
  out.service = endpoint.service.of(tokens);
  double rate = 1e9 / std::max(endpoint.service.ns_per_token, kFastest);
  QueueSeen queue;
  queue.outstanding = queue.outstanding_streamed = endpoint.tokens_waiting;
  queue.mean_prompt = mean_prompt_;
  if (known.metrics && now - known.metrics_at <= kMetricsCountFor) {
    queue.waiting = known.metrics->waiting;
    queue.age = now - known.metrics_at;
    queue.sent_since = endpoint.tokens_sent - endpoint.sent_before;
    rate = known.rate.prefill_rate().value_or(rate);
  }
  out.wait = expected_wait(queue, rate);
  return out;
}

std::optional<std::uint16_t> Ours::choose(const Knowledge& known, const Dispatched& request, Random& random) {
  endpoints_.resize(known.endpoints.size());
  const double tokens = request.octets / octets_per_token_;
  contenders_.clear();
  for (std::size_t e = 0; e < endpoints_.size(); ++e) {
    Contender contender;
    contender.endpoint = id_of(e);
    contender.barrier = known.endpoints[e].placed.usable ? Verdict::chosen : Verdict::barred;
    contender.tier = static_cast<std::uint8_t>(known.endpoints[e].placed.tier);
    contender.stale = request.sent - endpoints_[e].refreshed > law_.refresh_after;
    contender.load = known.endpoints[e].in_flight + 1;
    contender.weight = known.endpoints[e].placed.weight * kWarm;
    contender.cost = cost_of(known.endpoints[e], endpoints_[e], request.octets, tokens, request.sent);
    contenders_.push_back(contender);
  }
  Draw draw;
  draw.random = random.next();
  if (request.prefix != 0) draw.prefix = request.prefix;
  const Choice choice = perigee::choose(contenders_, law_, draw);
  if (!choice.candidate) return std::nullopt;
  next_ = {tokens, contenders_[*choice.candidate].cost};
  return *choice.candidate;
}

void Ours::dispatched(const Knowledge&, const Dispatched& request) {
  if (sent_.size() <= request.request) sent_.resize(request.request + request.request / 2 + 1);
  sent_[request.request] = next_;
  endpoints_[request.endpoint].tokens_waiting += next_.tokens;
  endpoints_[request.endpoint].tokens_sent += next_.tokens;
}

void Ours::first_event(const Knowledge&, const Dispatched& request, Instant now) {
  const Sent& sent = sent_[request.request];
  endpoints_[request.endpoint].tokens_waiting -= sent.tokens;
  if (!sent.cost.network || sent.cost.wait > sent.cost.service / kNoWait) return;
  learned_.add(
      ServiceSample{id_of(request.endpoint), kPool, sent.tokens, now - request.sent - *sent.cost.network},
      settings_.service, now);
}

void Ours::failed(const Knowledge&, const Dispatched& request, Instant) {
  endpoints_[request.endpoint].tokens_waiting -= sent_[request.request].tokens;
}

void Ours::ended(const Knowledge&, const Dispatched& request, std::uint32_t prompt_tokens, Instant) {
  learned_.add(TokenSample{kPool, request.octets, prompt_tokens});
}

void Ours::polled(const Knowledge&, std::uint16_t endpoint, const EngineMetrics&, Instant) {
  endpoints_.resize(std::max<std::size_t>(endpoints_.size(), endpoint + 1U));
  endpoints_[endpoint].sent_before = endpoints_[endpoint].tokens_sent;
}

}  // namespace perigee::simulator
