#include "router/choose.h"

#include <algorithm>

#include "contract/rendezvous.h"
#include "router/breaker.h"
#include "steering/expected_cost.h"

namespace perigee::router {
namespace {

constexpr std::uint32_t kFullyWarm = 1000;  // thousandths
constexpr std::uint32_t kColdest = 100;     // a tenth: enough to be seen, too little to be flooded
// At least, for each failure that counts: an endpoint that refuses in a millisecond costs more than a slow
// one.
constexpr Nanos kFailureCost = std::chrono::milliseconds(250);

std::uint32_t effective_weight(std::uint32_t weight, Instant warming_since, Nanos slow_start, Instant now) {
  std::uint32_t share = kFullyWarm;
  // Another thread may have written a time that is not over here.
  const Nanos age = std::max(now - warming_since, Nanos(0));
  if (!warming_since.never() && age < slow_start)
    share = std::max(kColdest, static_cast<std::uint32_t>(age * kFullyWarm / slow_start));
  return weight * share;  // at most 65535 * 1000
}

CostTerms cost_of(const RouterSnapshot& snapshot, const RouterSnapshot::Pool& pool,
                  const RouterSnapshot::Candidate& candidate, const ChoiceRequest& request,
                  const EndpointPool* connections, std::uint32_t failures, Instant now) {
  const RouterSnapshot::Endpoint& endpoint = snapshot.endpoints[candidate.endpoint];
  const EndpointCounters& counters = *endpoint.counters;
  RequestSeen sent{request.octets, request.tokens, {true, false, kInitialWindow}};
  if (connections != nullptr && endpoint.cost.known())
    sent.connection = connections->seen(endpoint.target, now);
  const auto read = [](const auto& counter) {
    return static_cast<double>(counter.load(std::memory_order_relaxed));
  };
  const EngineReading& engine = counters.engine;
  EndpointSeen seen{endpoint.cost, candidate.service, {}, {}};
  QueueSeen& queue = seen.queue;
  queue.outstanding = read(counters.tokens_waiting);
  queue.outstanding_streamed = read(counters.tokens_waiting_streamed);
  queue.mean_prompt = pool.mean_prompt;
  if (engine.counts_until.load(std::memory_order_relaxed) > now.ns && read(engine.waiting) >= 0) {
    queue.waiting = read(engine.waiting);
    queue.age = now - Instant{engine.taken.load(std::memory_order_relaxed)};
    queue.sent_since = read(counters.tokens_sent) - read(engine.sent_before);
    if (read(engine.prompt_tokens) > 0) queue.mean_prompt = read(engine.prompt_tokens);
    if (read(engine.prefill_rate) > 0) seen.prefill_rate = read(engine.prefill_rate);
  }
  CostTerms out = expected_cost(sent, seen);
  out.penalty = failures * std::max(out.service, kFailureCost);
  return out;
}

Contender contender_of(const RouterSnapshot& snapshot, const RouterSnapshot::Pool& pool,
                       const RouterSnapshot::Candidate& candidate, const ChoiceRequest& request,
                       const EndpointPool* connections, Instant now) {
  const RouterSnapshot::Endpoint& endpoint = snapshot.endpoints[candidate.endpoint];
  const EndpointCounters& counters = *endpoint.counters;
  const std::uint64_t breaker = counters.breaker.load(std::memory_order_relaxed);
  const std::uint32_t in_flight = counters.in_flight.load(std::memory_order_relaxed);
  const std::uint32_t failures = breaker_failures(breaker, snapshot.settings.breaker, now);
  Contender out;
  out.endpoint = endpoint.id;
  out.tier = candidate.tier;
  out.full = candidate.standing == Standing::full || (endpoint.capacity && in_flight >= *endpoint.capacity);
  out.unhealthy = candidate.standing == Standing::unhealthy;
  out.breaker_open = !breaker_admits(breaker, now);
  out.stale = now - candidate.refreshed > snapshot.class_of(pool).choice.refresh_after;
  out.load = in_flight + 1 + kFailureLoad * failures;
  out.weight = effective_weight(candidate.weight, {counters.warming_since.load(std::memory_order_relaxed)},
                                snapshot.settings.slow_start, now);
  out.cost = cost_of(snapshot, pool, candidate, request, connections, failures, now);
  out.read = {in_flight, counters.tokens_waiting.load(std::memory_order_relaxed),
              counters.engine.counts_until.load(std::memory_order_relaxed) > now.ns
                  ? counters.engine.waiting.load(std::memory_order_relaxed)
                  : -1};
  const Instant retry_after{counters.retry_after.load(std::memory_order_relaxed)};
  const auto place = request.among == nullptr ? std::nullopt : request.among->place_of(candidate.endpoint);
  if (place && request.among->ordered) out.tier = *place;
  if ((request.only && *request.only != candidate.endpoint) || (request.among != nullptr && !place)) {
    out.barrier = Verdict::pinned_elsewhere;
  } else if (request.has_tried(candidate.endpoint)) {
    out.barrier = Verdict::tried;
  } else if (!request.not_pop.empty() && endpoint.pop == request.not_pop) {
    out.barrier = Verdict::same_pop;
  } else if (candidate.standing == Standing::barred) {
    out.barrier = candidate.excluded == Exclusion::model_absent ? Verdict::model_absent : Verdict::barred;
  } else if ((endpoint.region & request.regions) == 0) {
    out.barrier = Verdict::residency;
  } else if (is_absent(counters, absent_id(pool, request.use), now)) {
    out.barrier = Verdict::model_absent;
  } else if (retry_after > now) {
    out.barrier = Verdict::retry_after;
    out.retry_at = retry_after;
  }
  return out;
}

constexpr std::uint64_t absent_word(std::uint32_t pool, std::uint64_t until_s) {
  return std::uint64_t{pool} << 32U | until_s;
}
constexpr std::uint32_t pool_of(std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32U); }
constexpr std::uint64_t until_of(std::uint64_t word) { return word & 0xffffffffU; }
std::uint64_t seconds_of(Instant now) { return static_cast<std::uint64_t>(now.ns) / 1'000'000'000; }

}  // namespace

std::optional<std::uint8_t> EndpointList::place_of(std::uint16_t endpoint) const {
  for (std::size_t i = 0; i < count; ++i)
    if (endpoints[i] == endpoint) return static_cast<std::uint8_t>(i);
  return std::nullopt;
}

void ChoiceRequest::add_tried(std::uint16_t endpoint) {
  if (tried_count < tried.size()) tried[tried_count++] = endpoint;
}

bool ChoiceRequest::has_tried(std::uint16_t endpoint) const {
  for (std::size_t i = 0; i < tried_count; ++i)
    if (tried[i] == endpoint) return true;
  return false;
}

std::span<const Contender> contend(const RouterSnapshot& snapshot, const RouterSnapshot::Pool& pool,
                                   const ChoiceRequest& request, const EndpointPool* connections, Instant now,
                                   std::span<Contender> out) {
  const std::size_t count = std::min(pool.candidates.size(), out.size());
  for (std::size_t i = 0; i < count; ++i)
    out[i] = contender_of(snapshot, pool, pool.candidates[i], request, connections, now);
  return out.first(count);
}

Decision decide(const RouterSnapshot& snapshot, const RouterSnapshot::Pool& pool,
                std::span<const Contender> contenders, const Draw& draw) {
  Decision out{choose(contenders, snapshot.class_of(pool).choice, draw), {}, {}};
  if (!out.candidate) return out;
  out.endpoint = pool.candidates[*out.candidate].endpoint;
  out.cost = contenders[*out.candidate].cost;
  return out;
}

std::uint64_t prefix_of(const RouterSnapshot::Pool& pool, std::string_view octets) {
  std::uint64_t hash = 0xcbf29ce484222325U ^ pool.id;
  for (const char octet : octets) hash = (hash ^ static_cast<unsigned char>(octet)) * 0x100000001b3U;
  return hash;
}

bool takes_canary(const RouterSnapshot::Model& model, std::uint64_t sticky) {
  if (model.canary_per_10000 == 0) return false;
  return scramble(sticky ^ std::uint64_t{model.pool.id} << 32U) % 10'000 < model.canary_per_10000;
}

void remember_retry_after(EndpointCounters& counters, std::optional<Nanos> after, Instant now) {
  const Nanos wait = std::clamp(after.value_or(kDefaultRetryAfter), Nanos(0), kMaxRetryAfter);
  counters.retry_after.store((now + wait).ns, std::memory_order_relaxed);  // its latest word counts
}

std::uint32_t absent_id(const RouterSnapshot::Pool& pool, std::uint32_t use) {
  const std::uint32_t id = pool.id ^ (use * 0x9e3779b9U);
  return id == 0 ? 1 : id;  // 0 is an empty place
}

void remember_absent(EndpointCounters& counters, std::uint32_t pool, Instant now) {
  const std::uint64_t word = absent_word(pool, seconds_of(now + kAbsentFor));
  std::atomic<std::uint64_t>* slot = &counters.absent[0];
  for (std::atomic<std::uint64_t>& other : counters.absent) {
    const std::uint64_t known = other.load(std::memory_order_relaxed);
    if (pool_of(known) == pool) {
      slot = &other;
      break;
    }
    if (until_of(known) < until_of(slot->load(std::memory_order_relaxed))) slot = &other;
  }
  slot->store(word, std::memory_order_relaxed);  // two at once for one slot: one is learned again later
}

bool is_absent(const EndpointCounters& counters, std::uint32_t pool, Instant now) {
  for (const std::atomic<std::uint64_t>& slot : counters.absent) {
    const std::uint64_t word = slot.load(std::memory_order_relaxed);
    if (word != 0 && pool_of(word) == pool) return seconds_of(now) < until_of(word);
  }
  return false;
}

}  // namespace perigee::router
