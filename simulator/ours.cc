#include "simulator/ours.h"

#include <algorithm>

#include "steering/expected_cost.h"

namespace perigee::simulator {
namespace {

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
  EndpointSeen seen{known.placed.path, endpoint.service, {}, {}};
  QueueSeen& queue = seen.queue;
  queue.outstanding = queue.outstanding_streamed = endpoint.tokens_waiting;
  queue.mean_prompt = mean_prompt_;
  if (known.metrics && now - known.metrics_at <= kMetricsCountFor) {
    queue.waiting = known.metrics->waiting;
    queue.age = now - known.metrics_at;
    queue.sent_since = endpoint.tokens_sent - endpoint.sent_before;
    seen.prefill_rate = known.rate.prefill_rate();
  }
  return expected_cost({octets, tokens, {true, false, kInitialWindow}}, seen);
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
    contender.weight = known.endpoints[e].placed.weight;
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
  if (const auto took = service_seen(sent.cost, now - request.sent))
    learned_.add(ServiceSample{id_of(request.endpoint), kPool, sent.tokens, *took}, settings_.service, now);
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
