#include "router/engine_reading.h"

#include <algorithm>
#include <cmath>

namespace perigee::router {
namespace {

template <class T>
std::int64_t or_unknown(const std::optional<T>& value) {
  return value ? static_cast<std::int64_t>(*value) : -1;
}

std::int64_t or_unknown(const std::optional<double>& value) {
  constexpr double kMost = 1e15;  // no rate or length is near it
  return value ? std::llround(std::min(*value, kMost)) : -1;
}

void store(std::atomic<std::int64_t>& out, std::int64_t value) {
  out.store(value, std::memory_order_relaxed);
}

}  // namespace

void publish(const EngineLoad& load, const EngineRate& rate, Nanos counts, EngineReading& out) {
  const std::int64_t until = (load.taken + counts).ns;
  store(out.waiting, or_unknown(load.waiting));
  store(out.kv_use, load.kv_use ? std::llround(*load.kv_use * 10'000) : -1);
  store(out.taken, load.taken.ns);
  store(out.counts_until, until);
  store(out.running, or_unknown(load.running));
  store(out.prompt_tokens_total, or_unknown(load.prompt_tokens_total));
  store(out.polled_until, until);
  store(out.prefill_rate, or_unknown(rate.prefill_rate()));
  store(out.prompt_tokens, or_unknown(rate.prompt_tokens()));
  const auto prefill = rate.prefill_time();
  store(out.prefill_ns, prefill ? prefill->count() : -1);
}

void add_reports(const EngineReading& reading, Instant now, std::optional<EngineLoad>& load) {
  const auto value = [](const std::atomic<std::int64_t>& of) { return of.load(std::memory_order_relaxed); };
  const Instant taken{value(reading.taken)};
  if (now.ns >= value(reading.counts_until) || (load && load->taken >= taken)) return;
  if (!load) load.emplace();
  load->taken = taken;
  if (const auto waiting = value(reading.waiting); waiting >= 0)
    load->waiting = static_cast<std::uint32_t>(waiting);
  if (const auto kv = value(reading.kv_use); kv >= 0) load->kv_use = static_cast<double>(kv) / 10'000;
}

}  // namespace perigee::router
