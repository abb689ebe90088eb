// One health check of one endpoint, from connect to verdict. Every check has a connection of its own, so
// that a broken accept path is seen, and a bound on time and octets as a whole.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ssl/context.hpp>
#include <cstdint>

#include "contract/address.h"
#include "gateway/check_result.h"
#include "steering/policy.h"

namespace perigee::gateway {

struct CheckTarget {
  IpAddress address;
  std::uint16_t port = 0;
};

// Runs on the executor of the calling coroutine; every failure is a finding. `tls` is used for https only,
// and must outlive the call; certificates are not verified, as endpoints are known by address and a check
// carries nothing secret. `want_body`: the result has the body. The source address is the kernel's choice: in
// a PoP, the kernel routes endpoint prefixes to the host port, so that the check takes the real path.
boost::asio::awaitable<CheckResult> check_endpoint(CheckTarget target, Policy::Health check,
                                                   boost::asio::ssl::context& tls, bool want_body = false);

}  // namespace perigee::gateway
