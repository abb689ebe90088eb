#include "router/extension_headers.h"

#include <algorithm>

#include "steering/text_units.h"

namespace perigee::router {
namespace {

constexpr std::string_view kDestination = "x-gateway-destination-endpoint";
constexpr std::string_view kSubset = "x-gateway-destination-endpoint-subset";

std::string_view find(const Head& head, std::string_view name, std::string_view older) {
  const auto found = head.find(name);
  return found ? *found : head.find(older).value_or("");
}

std::optional<Priority> priority_of(std::string_view objective) {
  for (std::size_t i = 0; i < kPriorities; ++i)
    if (objective == name_of(static_cast<Priority>(i))) return static_cast<Priority>(i);
  return std::nullopt;
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  return text;
}

// What the snapshot does not have is passed over.
void add_endpoint(const RouterSnapshot& snapshot, std::string_view text, EndpointList& out) {
  const auto socket = parse_socket(text);
  if (!socket) return;
  const auto found = std::ranges::find_if(snapshot.endpoints, [&](const RouterSnapshot::Endpoint& each) {
    return each.target.address == socket->address && each.target.port == socket->port;
  });
  if (found == snapshot.endpoints.end()) return;
  const auto index = static_cast<std::uint16_t>(found - snapshot.endpoints.begin());
  if (!out.place_of(index)) out.endpoints[out.count++] = index;
}

// All fields of that name are one list (RFC 9110 section 5.3). Of a longer one than a pool can be the
// beginning counts. Null: there is none.
std::unique_ptr<EndpointList> read_list(const RouterSnapshot& snapshot, const Head& head,
                                        std::string_view name) {
  std::unique_ptr<EndpointList> out;
  std::size_t items = 0;
  for (std::size_t i = 0; i < head.field_count(); ++i) {
    if (!same_ignoring_case(head.field(i).name, name)) continue;
    if (out == nullptr) out = std::make_unique<EndpointList>();
    for (std::string_view list = head.field(i).value; !list.empty() && items < out->endpoints.size();
         ++items) {
      const std::size_t comma = list.find(',');
      add_endpoint(snapshot, trimmed(list.substr(0, comma)), *out);
      list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    }
  }
  return out;
}

}  // namespace

ExtensionHeaders read_extension_headers(const RouterSnapshot& snapshot, const Policy::Listener& listener,
                                        const IpAddress& client, const Head& head) {
  ExtensionHeaders out;
  out.listed = std::ranges::any_of(listener.extension_headers_from,
                                   [&](const Prefix& prefix) { return prefix.contains(client); });
  if (!out.listed) return out;
  out.model = find(head, "x-llm-d-model-name-rewrite", "x-gateway-model-name-rewrite");
  out.objective = priority_of(find(head, "x-llm-d-inference-objective", "x-gateway-inference-objective"));
  out.only = read_list(snapshot, head, kDestination);
  auto subset = read_list(snapshot, head, kSubset);
  if (out.only == nullptr) {
    out.only = std::move(subset);
    return out;
  }
  out.only->ordered = true;
  if (subset == nullptr) return out;
  const auto kept = std::remove_if(out.only->endpoints.begin(), out.only->endpoints.begin() + out.only->count,
                                   [&](std::uint16_t endpoint) { return !subset->place_of(endpoint); });
  out.only->count = static_cast<std::size_t>(kept - out.only->endpoints.begin());
  return out;
}

std::string served_field(const EndpointTarget& target) {
  const std::string host = target.address.text();
  return std::string(kDestination) + "-served: " + (target.address.is_v4() ? host : "[" + host + "]") + ":" +
         std::to_string(target.port) + "\r\n";
}

std::string_view dropped_reason_field(std::string_view code) {
  // One whose place in the queue another got is no "evicted" of llm-d's: those were at an endpoint.
  if (code == name_of(Shed::full) || code == name_of(Shed::evicted))
    return "x-llm-d-request-dropped-reason: rejected-saturated\r\n";
  if (code == name_of(Shed::late)) return "x-llm-d-request-dropped-reason: rejected-ttl-expired\r\n";
  if (code == "no_endpoint") return "x-llm-d-request-dropped-reason: rejected-no-endpoints\r\n";
  return {};
}

}  // namespace perigee::router
