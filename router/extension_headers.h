// The headers of the Gateway API inference extension (its proposal 004) under its names and those that llm-d
// gives them since, from a gateway in front that the listener lists. They narrow what the policy, the key and
// the health of endpoints allow, and never widen it. From anybody else they are as if not sent; to endpoints
// they never go.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "router/choose.h"
#include "router/gate.h"
#include "router/http_head.h"
#include "router/snapshot.h"

namespace perigee::router {

struct ExtensionHeaders {
  bool listed = false;                 // the client is: it is told who served, and why a request was dropped
  std::string_view model;              // to be taken instead of the body's, of `head`; empty: the body's
  std::optional<Priority> objective;   // only one lower than the key's counts
  std::unique_ptr<EndpointList> only;  // null: any endpoint
};
// Nothing, unless `client` is listed. The result holds views of `head`.
[[nodiscard]] ExtensionHeaders read_extension_headers(const RouterSnapshot& snapshot,
                                                      const Policy::Listener& listener,
                                                      const IpAddress& client, const Head& head);

// Lines of an answer, each with CRLF. Who served, by address and port: to a gateway in front this is no
// diagnosis but its protocol (proposal 004 gives endpoints no other name, and its conformance tests compare
// this field with what the gateway sent), and it is told only to whom the policy lists. Everybody else, who
// may be told by `diagnostics`, gets the endpoint's name in the policy and never an address.
[[nodiscard]] std::string served_field(const EndpointTarget& target);
// Why a request that got the error `code` was dropped before any endpoint had it; empty: it was not.
[[nodiscard]] std::string_view dropped_reason_field(std::string_view code);

}  // namespace perigee::router
