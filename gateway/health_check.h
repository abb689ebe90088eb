// One health check of one endpoint, from connect to verdict. Every check has a connection of its own, so
// that a broken accept path is seen, and a bound on time and octets as a whole.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gateway/check_result.h"
#include "gateway/endpoint_connection.h"
#include "router/tls.h"
#include "steering/policy.h"

namespace perigee::gateway {

// With what an endpoint is asked by the gateway itself.
struct EndpointAccess {
  std::shared_ptr<const router::TlsClient> tls;  // null: without TLS
  std::string authorization;  // for its models and its load; empty: none. Secret: never logged
};

// Reads what the endpoints of `policy` name that are checked by https or asked for their models or their
// load, in the policy's order; an error for each that is wrong.
boost::system::result<std::vector<EndpointAccess>, std::vector<std::string>> load_endpoint_access(
    const Policy& policy);

// Runs on the executor of the calling coroutine; every failure is a finding. `tls` is for https, which checks
// the endpoint's certificate as requests do: what is no endpoint of ours must not pass for a healthy one.
// `want_body`: the result has the body.
boost::asio::awaitable<CheckResult> check_endpoint(CheckTarget target, Policy::Health check,
                                                   EndpointAccess access, bool want_body = false);

}  // namespace perigee::gateway
