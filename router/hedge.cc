#include "router/hedge.h"

#include <algorithm>
#include <array>
#include <bit>

namespace perigee::router {
namespace {

constexpr std::int64_t kWhole = 1'000'000;  // credits are millionths
constexpr std::int64_t kMemory = 512;       // requests, of what was earned
constexpr std::uint32_t kMostTimes = 2000;  // then each count is halved

// Microseconds, eight buckets an octave: within 12 %.
std::size_t bucket_of(Nanos took) {
  const auto us = static_cast<std::uint64_t>(std::max(took, Nanos(0)) / std::chrono::microseconds(1));
  if (us < 8) return us;
  const auto octave = static_cast<unsigned>(std::bit_width(us)) - 4U;
  return std::min<std::size_t>(8 + octave * 8 + ((us >> octave) & 7U), kHedgeBuckets - 1);
}

// Where a bucket ends.
Nanos edge_of(std::size_t bucket) {
  const std::size_t octave = bucket < 8 ? 0 : (bucket - 8) / 8;
  const std::uint64_t us = bucket < 8 ? bucket + 1 : (8 + (bucket - 8) % 8 + 1) << octave;
  return std::chrono::microseconds(us);
}

void earn(std::atomic<std::int64_t>& credit, std::int64_t earned) {
  std::int64_t had = credit.load(std::memory_order_relaxed);
  while (!credit.compare_exchange_weak(had, had - had / kMemory + earned, std::memory_order_relaxed)) {
  }
}

bool take(std::atomic<std::int64_t>& credit, std::int64_t price) {
  std::int64_t had = credit.load(std::memory_order_relaxed);
  do {
    if (had < price) return false;
  } while (!credit.compare_exchange_weak(had, had - price, std::memory_order_relaxed));
  return true;
}

}  // namespace

void earn(HedgeCounters& counters, const HedgeLaw& law, std::uint64_t tokens) {
  earn(counters.requests, law.share_ppm);
  earn(counters.tokens, static_cast<std::int64_t>(tokens * law.share_ppm));
}

bool take(HedgeCounters& counters, std::uint64_t tokens) {
  if (!take(counters.requests, kWhole)) return false;
  if (take(counters.tokens, static_cast<std::int64_t>(tokens) * kWhole)) return true;
  counters.requests.fetch_add(kWhole, std::memory_order_relaxed);
  return false;
}

void give_back(HedgeCounters& counters, std::uint64_t tokens) {
  counters.requests.fetch_add(kWhole, std::memory_order_relaxed);
  counters.tokens.fetch_add(static_cast<std::int64_t>(tokens) * kWhole, std::memory_order_relaxed);
}

void add_first_event(HedgeCounters& counters, HedgeKind kind, Nanos took) {
  counters.times[static_cast<std::size_t>(kind)][bucket_of(took)].fetch_add(1, std::memory_order_relaxed);
}

void look_at_times(HedgeCounters& counters, const HedgeLaw& law) {
  for (std::size_t kind = 0; kind < counters.times.size(); ++kind) {
    std::array<std::uint32_t, kHedgeBuckets> counts;
    std::uint64_t all = 0;
    for (std::size_t i = 0; i < counts.size(); ++i)
      all += counts[i] = counters.times[kind][i].load(std::memory_order_relaxed);
    if (all < law.samples || all == 0) {
      counters.after[kind].store(-1, std::memory_order_relaxed);
      continue;
    }
    std::uint64_t beyond = 0;
    std::size_t bucket = counts.size() - 1;
    while ((beyond + counts[bucket]) * 20 <= all) beyond += counts[bucket--];
    counters.after[kind].store(edge_of(bucket).count(), std::memory_order_relaxed);
    if (all < kMostTimes) continue;
    for (std::size_t i = 0; i < counts.size(); ++i)
      counters.times[kind][i].fetch_sub(counts[i] / 2, std::memory_order_relaxed);
  }
}

std::optional<Nanos> hedge_after(const HedgeCounters& counters, HedgeKind kind) {
  const std::int64_t ns = counters.after[static_cast<std::size_t>(kind)].load(std::memory_order_relaxed);
  return ns < 0 ? std::nullopt : std::optional(Nanos(ns));
}

bool any_queues(std::span<const Contender> contenders) {
  return std::ranges::any_of(contenders, [](const Contender& one) {
    if (one.barrier == Verdict::retry_after) return true;  // it said so itself
    const bool counts =
        one.barrier == Verdict::chosen || one.barrier == Verdict::tried || one.barrier == Verdict::same_pop;
    return counts && (one.read.engine_waiting < 0 ? one.full : one.read.engine_waiting > 0);
  });
}

bool usable(const RouterSnapshot& now, ServiceId service, std::uint32_t pool, EndpointId endpoint) {
  const auto found = std::ranges::find(now.services, service, &RouterSnapshot::Service::id);
  if (found == now.services.end()) return false;
  const RouterSnapshot::Model* model = found->model_of_pool(pool);
  if (model == nullptr) return false;
  const auto& candidates = (model->pool.id == pool ? model->pool : model->canary).candidates;
  return std::ranges::any_of(candidates, [&](const RouterSnapshot::Candidate& one) {
    return now.endpoints[one.endpoint].id == endpoint && one.standing == Standing::usable;
  });
}

std::string_view name_of(HedgeKind kind) {
  constexpr std::array<std::string_view, 2> kNames = {"stream", "embeddings"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string_view name_of(HedgeEnd end) {
  constexpr std::array<std::string_view, 4> kNames = {"won", "lost", "failed", "abandoned"};
  return kNames[static_cast<std::size_t>(end)];
}

std::string_view name_of(HedgeRefusal reason) {
  constexpr std::array<std::string_view, 3> kNames = {"queue", "no_endpoint", "budget"};
  return kNames[static_cast<std::size_t>(reason)];
}

}  // namespace perigee::router
