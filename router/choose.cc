#include "router/choose.h"

#include <algorithm>

#include "router/breaker.h"

namespace perigee::router {
namespace {

constexpr std::uint32_t kFullyWarm = 1000;  // thousandths
constexpr std::uint32_t kColdest = 100;     // a tenth: enough to be seen, too little to be flooded

std::uint32_t effective_weight(std::uint32_t weight, Instant warming_since, Nanos slow_start, Instant now) {
  std::uint32_t share = kFullyWarm;
  // Another thread may have written a time that is not over here.
  const Nanos age = std::max(now - warming_since, Nanos(0));
  if (!warming_since.never() && age < slow_start)
    share = std::max(kColdest, static_cast<std::uint32_t>(age * kFullyWarm / slow_start));
  return weight * share;  // at most 65535 * 1000
}

Contender contender_of(const RouterSnapshot& snapshot, const RouterSnapshot::Pool& pool,
                       const RouterSnapshot::Candidate& candidate, const ChoiceRequest& request,
                       Instant now) {
  const RouterSnapshot::Endpoint& endpoint = snapshot.endpoints[candidate.endpoint];
  const EndpointCounters& counters = *endpoint.counters;
  const std::uint64_t breaker = counters.breaker.load(std::memory_order_relaxed);
  const std::uint32_t in_flight = counters.in_flight.load(std::memory_order_relaxed);
  Contender out;
  out.tier = candidate.tier;
  out.full = candidate.standing == Standing::full || (endpoint.capacity && in_flight >= *endpoint.capacity);
  out.unhealthy = candidate.standing == Standing::unhealthy;
  out.breaker_open = !breaker_admits(breaker, now);
  out.load = in_flight + 1 + kFailureLoad * breaker_failures(breaker, snapshot.settings.breaker, now);
  out.weight = effective_weight(candidate.weight, {counters.warming_since.load(std::memory_order_relaxed)},
                                snapshot.settings.slow_start, now);
  const Instant retry_after{counters.retry_after.load(std::memory_order_relaxed)};
  const auto place = request.among == nullptr ? std::nullopt : request.among->place_of(candidate.endpoint);
  if (place && request.among->ordered) out.tier = *place;
  if ((request.only && *request.only != candidate.endpoint) || (request.among != nullptr && !place)) {
    out.barrier = Verdict::pinned_elsewhere;
  } else if (request.has_tried(candidate.endpoint)) {
    out.barrier = Verdict::tried;
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

// What comes first in the order of choice, least first: what speaks against it, then its tier.
std::uint32_t order_of(const Contender& contender) {
  const std::uint32_t against =
      (contender.unhealthy ? 4U : 0U) | (contender.breaker_open ? 2U : 0U) | (contender.full ? 1U : 0U);
  return against << 8U | contender.tier;
}

Verdict verdict_of(const Contender& contender) {
  if (contender.unhealthy) return Verdict::unhealthy;
  if (contender.breaker_open) return Verdict::breaker_open;
  return contender.full ? Verdict::full : Verdict::behind;
}

// Of the candidates `among`, whose weights sum up to `total`: one in proportion to weight.
std::uint8_t drawn(std::uint32_t random, std::span<const Contender> contenders,
                   std::span<const std::uint8_t> among, std::uint64_t total) {
  std::uint64_t point =
      std::uint64_t{random} * total >> 32U;  // total is below 2^32: 64 weights of 65535 * 1000
  for (const std::uint8_t index : among.first(among.size() - 1)) {
    if (point < contenders[index].weight) return index;
    point -= contenders[index].weight;
  }
  return among.back();
}

bool heavier(const Contender& a, const Contender& b) {
  return std::uint64_t{a.load} * b.weight > std::uint64_t{b.load} * a.weight;
}

// The finalizer of splitmix64: every bit of the result depends on every bit of the input.
std::uint64_t mixed(std::uint64_t value) {
  value = (value ^ value >> 30U) * 0xbf58476d1ce4e5b9U;
  value = (value ^ value >> 27U) * 0x94d049bb133111ebU;
  return value ^ value >> 31U;
}

constexpr std::uint64_t absent_word(std::uint32_t pool, std::uint64_t until_s) {
  return std::uint64_t{pool} << 32U | until_s;
}
constexpr std::uint32_t pool_of(std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32U); }
constexpr std::uint64_t until_of(std::uint64_t word) { return word & 0xffffffffU; }
std::uint64_t seconds_of(Instant now) { return static_cast<std::uint64_t>(now.ns) / 1'000'000'000; }

}  // namespace

const char* name_of(Verdict verdict) {
  constexpr std::array<const char*, 13> kNames = {
      "chosen",      "lost",         "not_drawn", "behind", "full",  "breaker_open",    "unhealthy",
      "retry_after", "model_absent", "residency", "barred", "tried", "pinned_elsewhere"};
  return kNames[static_cast<std::size_t>(verdict)];
}

const char* name_of(Rule rule) {
  constexpr std::array<const char*, 4> kNames = {"only_one", "less_load", "same_drawn", "nothing_left"};
  return kNames[static_cast<std::size_t>(rule)];
}

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
                                   const ChoiceRequest& request, Instant now, std::span<Contender> out) {
  const std::size_t count = std::min(pool.candidates.size(), out.size());
  for (std::size_t i = 0; i < count; ++i)
    out[i] = contender_of(snapshot, pool, pool.candidates[i], request, now);
  return out.first(count);
}

Decision choose(std::span<const Contender> contenders, Draw draw) {
  Decision out;
  out.count = static_cast<std::uint8_t>(std::min(contenders.size(), out.verdicts.size()));
  std::uint32_t least = ~std::uint32_t{0};
  for (std::size_t i = 0; i < out.count; ++i) {
    const Contender& contender = contenders[i];
    if (contender.barrier == Verdict::chosen)
      least = std::min(least, order_of(contender));
    else if (!contender.retry_at.never() && (out.retry_at.never() || contender.retry_at < out.retry_at))
      out.retry_at = contender.retry_at;
  }
  std::array<std::uint8_t, kMaxServiceEndpoints> best{};
  std::size_t best_count = 0;
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < out.count; ++i) {
    const Contender& contender = contenders[i];
    if (contender.barrier != Verdict::chosen) {
      out.verdicts[i] = contender.barrier;
    } else if (order_of(contender) == least) {
      out.verdicts[i] = Verdict::not_drawn;
      best[best_count++] = static_cast<std::uint8_t>(i);
      total += contender.weight;
    } else {
      out.verdicts[i] = verdict_of(contender);
    }
  }
  if (best_count == 0) return out;
  const auto among = std::span<const std::uint8_t>(best).first(best_count);
  const std::uint8_t first = drawn(draw.first, contenders, among, total);
  const std::uint8_t second = drawn(draw.second, contenders, among, total);
  const bool swap = heavier(contenders[first], contenders[second]);
  out.candidate = swap ? second : first;
  out.verdicts[swap ? first : second] = Verdict::lost;
  out.verdicts[*out.candidate] = Verdict::chosen;
  out.rule = best_count == 1 ? Rule::only_one : first == second ? Rule::same_drawn : Rule::less_load;
  out.panic = contenders[*out.candidate].unhealthy || contenders[*out.candidate].breaker_open;
  return out;
}

Decision choose(const RouterSnapshot& snapshot, const RouterSnapshot::Pool& pool,
                const ChoiceRequest& request, Instant now, Draw draw) {
  std::array<Contender, kMaxServiceEndpoints> contenders;  // written before it is read
  Decision out = choose(contend(snapshot, pool, request, now, contenders), draw);
  if (out.candidate) out.endpoint = pool.candidates[*out.candidate].endpoint;
  return out;
}

bool takes_canary(const RouterSnapshot::Model& model, std::uint64_t sticky) {
  if (model.canary_per_10000 == 0) return false;
  return mixed(sticky ^ std::uint64_t{model.pool.id} << 32U) % 10'000 < model.canary_per_10000;
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
