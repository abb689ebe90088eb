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

// How each endpoint of a policy is spoken to, in its order; null: without TLS.
using CheckTls = std::vector<std::shared_ptr<const router::TlsClient>>;

// Reads what the endpoints name that are checked by https, or asked over TLS for their models or their load;
// an error for each that is wrong.
boost::system::result<CheckTls, std::vector<std::string>> load_check_tls(const Policy& policy);

// Runs on the executor of the calling coroutine; every failure is a finding. `tls` is for https, which checks
// the endpoint's certificate as requests do: what is no endpoint of ours must not pass for a healthy one.
// `want_body`: the result has the body.
boost::asio::awaitable<CheckResult> check_endpoint(CheckTarget target, Policy::Health check,
                                                   std::shared_ptr<const router::TlsClient> tls,
                                                   bool want_body = false);

}  // namespace perigee::gateway
