#include "steering/request_limits.h"

#include "steering/yaml_reader.h"

namespace perigee {
namespace {

using yaml::Cursor;
using yaml::Map;

constexpr std::uint64_t kMaxRate = 1'000'000'000;
constexpr std::uint32_t kMaxConcurrency = 1'000'000;

template <class T>
void read_limit(Map& map, std::string_view key, std::optional<T>& out, T most) {
  T limit = 0;
  if (map.integer<T>(key, limit, 1, most)) out = limit;
}

// "true": all limits that there are; or a list of them.
void read_shadow(Map& map, RequestLimits& limits) {
  const auto at = map.child("shadow");
  if (!at) return;
  yaml::Report& report = map.report();
  if (at->is(yaml::Node::Kind::scalar)) {
    const Result<bool> all = parse_flag(at->node->scalar);
    if (!all) return report.add(at->path, all.error().what);
    if (*all && !limits.any())
      return report.add(at->path, "says nothing without \"rpm\", \"tpm\" or \"concurrency\"");
    limits.shadow = {*all, *all, *all};
    return;
  }
  for (const Cursor& item : yaml::scalars(*at, report)) {
    const std::string& name = item.node->scalar;
    const bool has = (name == "rpm" && limits.requests) || (name == "tpm" && limits.tokens) ||
                     (name == "concurrency" && limits.concurrency);
    if (!has) report.add(item.path, yaml::quoted(name) + " is none of the limits beside it");
    (name == "rpm"   ? limits.shadow.requests
     : name == "tpm" ? limits.shadow.tokens
                     : limits.shadow.concurrency) = true;
  }
}

}  // namespace

void read_request_limits(Map& map, RequestLimits& limits) {
  read_limit(map, "rpm", limits.requests, kMaxRate);
  read_limit(map, "tpm", limits.tokens, kMaxRate);
  read_limit(map, "concurrency", limits.concurrency, kMaxConcurrency);
  read_shadow(map, limits);
}

}  // namespace perigee
