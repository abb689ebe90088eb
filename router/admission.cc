#include "router/admission.h"

#include <algorithm>

namespace perigee::router {
namespace {

constexpr std::string_view kScheme = "Bearer";
constexpr std::string_view kResidency = "x-perigee-residency";

// The token of "Bearer TOKEN" (RFC 6750 section 2.1); empty: the field is of another form.
std::string_view bearer(std::string_view authorization) {
  if (authorization.size() <= kScheme.size() || authorization[kScheme.size()] != ' ' ||
      !same_ignoring_case(authorization.substr(0, kScheme.size()), kScheme)) {
    return {};
  }
  authorization.remove_prefix(kScheme.size());
  return authorization.substr(std::min(authorization.find_first_not_of(' '), authorization.size()));
}

ApiError no_key(bool given) {
  ApiError error;
  error.status = 401;
  error.type = "invalid_request_error";
  error.code = "invalid_api_key";
  error.message = given ? "Incorrect API key provided."
                        : "No API key provided: send it as \"Authorization: Bearer KEY\".";
  return error;
}

// A list of names; those unknown name nothing.
RegionSet regions_of(const RouterSnapshot& snapshot, std::string_view list) {
  RegionSet regions = 0;
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    std::string_view name = list.substr(0, comma);
    while (!name.empty() && (name.front() == ' ' || name.front() == '\t')) name.remove_prefix(1);
    while (!name.empty() && (name.back() == ' ' || name.back() == '\t')) name.remove_suffix(1);
    regions |= snapshot.region(name);
    list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
  }
  return regions;
}

// FNV-1a.
std::uint64_t hashed(std::uint64_t hash, std::string_view text) {
  for (const char octet : text) hash = (hash ^ static_cast<unsigned char>(octet)) * 0x100000001b3ULL;
  return hash;
}

}  // namespace

Identity identify(const RouterSnapshot& snapshot, const RouterSnapshot::Service& service, const Head& head) {
  if (snapshot.keys == nullptr)
    return {nullptr, service.require_key ? std::optional(no_key(false)) : std::nullopt};
  const auto field = head.find(FieldName::authorization);
  const std::string_view token = field && head.count(FieldName::authorization) == 1 ? bearer(*field) : "";
  const ApiKey* key = token.empty() ? nullptr : snapshot.keys->find(token);
  if (key != nullptr || !service.require_key) return {key, std::nullopt};
  return {nullptr, no_key(field.has_value())};
}

RegionSet common_regions(const RouterSnapshot& snapshot, const RouterSnapshot::Service& service,
                         const ApiKey* key, const Head& head) {
  RegionSet regions = service.residency;
  if (key != nullptr && key->residency) {
    RegionSet of_key = 0;
    for (const std::string& name : *key->residency) of_key |= snapshot.region(name);
    regions &= of_key;
  }
  // Several fields are one list (RFC 9110 section 5.3).
  std::optional<RegionSet> asked;
  for (std::size_t i = 0; i < head.field_count(); ++i) {
    const Field field = head.field(i);
    if (same_ignoring_case(field.name, kResidency))
      asked = asked.value_or(0) | regions_of(snapshot, field.value);
  }
  return asked ? regions & *asked : regions;
}

bool has_candidate(const RouterSnapshot& snapshot, const RouterSnapshot::Pool& pool, RegionSet regions,
                   const EndpointList* among) {
  return std::ranges::any_of(pool.candidates, [&](const RouterSnapshot::Candidate& candidate) {
    return (among == nullptr || among->place_of(candidate.endpoint)) &&
           (snapshot.endpoints[candidate.endpoint].region & regions) != 0;
  });
}

ApiError outside_residency() {
  ApiError error;
  error.status = 403;
  error.code = "residency_not_allowed";
  error.message =
      "No endpoint of this model is in a region that the service, the API key and the request allow.";
  return error;
}

std::optional<std::uint64_t> sticky_of(const ApiKey* key, const Head& head) {
  auto session = head.find("x-session-id");
  if (!session) session = head.find("x-session-token");
  if (key == nullptr && !session) return std::nullopt;
  std::uint64_t hash = hashed(0xcbf29ce484222325ULL, key == nullptr ? std::string_view() : key->id);
  return hashed(hashed(hash, std::string_view("\0", 1)), session.value_or(""));
}

}  // namespace perigee::router
