// One health check of one endpoint, from connect to verdict. Every check has a connection of its own, so
// that a broken accept path is seen, and a bound on time and octets as a whole.
#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ssl/context.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "contract/address.h"
#include "contract/units.h"
#include "steering/health.h"
#include "steering/policy.h"

namespace perigee::gateway {

// What came of a check, as it is counted and shown; the law of health (steering/health.h) needs less.
enum class CheckFinding : std::uint8_t {
  ok,
  refused,      // the endpoint answered the SYN with RST
  unreachable,  // no route, or an ICMP error
  timeout,      // of the whole check, wherever it was
  reset,        // the connection broke after it was made
  tls_failed,   // handshake or certificate
  bad_status,
  bad_body,   // a good status, but the text looked for is not in it
  malformed,  // no HTTP response
  too_large,  // more than kMaxCheckResponse
  count_
};
inline constexpr std::size_t kCheckFindingCount = static_cast<std::size_t>(CheckFinding::count_);
inline constexpr std::array<const char*, kCheckFindingCount> kCheckFindingNames = {
    "ok",         "refused",    "unreachable", "timeout",   "reset",
    "tls_failed", "bad_status", "bad_body",    "malformed", "too_large"};

// Octets of a response that are looked at; an endpoint's health page is far smaller.
inline constexpr std::uint32_t kMaxCheckResponse = 64U << 10U;

struct CheckResult {
  CheckFinding finding = CheckFinding::ok;
  std::string detail;                // for people: "status 503, not 200"
  std::optional<Nanos> connect_rtt;  // SYN to SYN-ACK as connect() saw it; absent: no connection was made
  unsigned status = 0;               // HTTP status; 0: none was read

  // For the law: a failure counts as one of connecting only when no connection was made.
  [[nodiscard]] CheckOutcome outcome() const;
};

struct CheckTarget {
  IpAddress address;
  std::uint16_t port = 0;
};

// Runs on the executor of the calling coroutine; every failure is a finding. `tls` is used for https only,
// and must outlive the call; certificates are not verified, as endpoints are known by address and a check
// carries nothing secret. The source address is the kernel's choice: in a PoP, the kernel
// routes endpoint prefixes to the host port, so that the check takes the real path.
boost::asio::awaitable<CheckResult> check_endpoint(CheckTarget target, Policy::Health check,
                                                   boost::asio::ssl::context& tls);

}  // namespace perigee::gateway
