// One health check of one endpoint, from connect to verdict. Every check has a connection of its own, so
// that a broken accept path is seen, and a bound on time and octets as a whole.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>

#include "gateway/check_result.h"
#include "gateway/endpoint_connection.h"
#include "router/endpoint_access.h"
#include "steering/policy.h"

namespace perigee::gateway {

using router::EndpointAccess;

// Runs on the executor of the calling coroutine; every failure is a finding. `tls` is for https, which checks
// the endpoint's certificate as requests do: what is no endpoint of ours must not pass for a healthy one.
// `want_body`: the result has the body.
boost::asio::awaitable<CheckResult> check_endpoint(CheckTarget target, Policy::Health check,
                                                   EndpointAccess access, bool want_body = false);

}  // namespace perigee::gateway
