#include "router/orca.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "router/engine_reading.h"
#include "router/http_head.h"
#include "router/usage.h"

namespace perigee::router {
namespace {

constexpr std::string_view kWaiting = "num_requests_waiting";
constexpr std::string_view kUse = "kv_cache_usage_perc";
constexpr std::string_view kUtilization = "kv_cache_utilization";

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Finite and not negative.
std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size() || !std::isfinite(value) || value < 0)
    return std::nullopt;
  return value;
}

void take(std::string_view name, std::string_view text, OrcaReport& out) {
  const auto value = number(text);
  if (!value) return;
  if (name == kWaiting)
    out.waiting =
        static_cast<std::uint32_t>(std::min<double>(*value, std::numeric_limits<std::uint32_t>::max()));
  if (name == kUse || name == kUtilization) out.kv_use = std::min(*value, 1.0);
}

OrcaReport parse_text(std::string_view list) {
  constexpr std::string_view kNamed = "named_metrics.";
  OrcaReport out;
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    const std::string_view item = trimmed(list.substr(0, comma));
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    const std::size_t equals = item.find('=');
    if (!item.starts_with(kNamed) || equals == std::string_view::npos) continue;
    take(trimmed(item.substr(kNamed.size(), equals - kNamed.size())), trimmed(item.substr(equals + 1)), out);
  }
  return out;
}

OrcaReport parse_json(std::string_view object) {
  const std::string_view named = top_level_value(object, "named_metrics");
  OrcaReport out;
  for (const std::string_view name : {kWaiting, kUse, kUtilization})
    take(name, trimmed(top_level_value(named, name)), out);
  return out;
}

}  // namespace

OrcaReport parse_orca(std::string_view value) {
  const std::size_t space = std::min(value.find(' '), value.size());
  const std::string_view form = value.substr(0, space);
  const std::string_view report = trimmed(value.substr(space));
  if (same_ignoring_case(form, "text")) return parse_text(report);
  if (same_ignoring_case(form, "json")) return parse_json(report);
  return {};
}

void take_report(std::optional<std::string_view> field, Instant now, Nanos counts,
                 EndpointCounters& counters) {
  if (!field) return;
  publish(parse_orca(*field), now, counts, counters.engine);
  mark_sent(counters);
}

void publish(const OrcaReport& report, Instant now, Nanos counts, EngineReading& out) {
  if (!report.waiting && !report.kv_use) return;
  const auto store = [](std::atomic<std::int64_t>& into, std::int64_t value) {
    into.store(value, std::memory_order_relaxed);
  };
  const bool stale = now.ns >= out.counts_until.load(std::memory_order_relaxed);
  if (report.kv_use || stale) store(out.kv_use, report.kv_use ? std::llround(*report.kv_use * 10'000) : -1);
  // The times are those of the queue: decisions go by it.
  if (!report.waiting && !stale) return;
  store(out.waiting, report.waiting ? std::int64_t{*report.waiting} : -1);
  store(out.taken, now.ns);
  store(out.counts_until, (now + counts).ns);
}

}  // namespace perigee::router
