// What came of one health check, as a value.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "contract/units.h"
#include "steering/health.h"

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
  not_made,   // this host lacked a descriptor, a port or the permission: no word about the endpoint
  count_
};
inline constexpr std::size_t kCheckFindingCount = static_cast<std::size_t>(CheckFinding::count_);
inline constexpr std::array<const char*, kCheckFindingCount> kCheckFindingNames = {
    "ok",         "refused",  "unreachable", "timeout",   "reset",   "tls_failed",
    "bad_status", "bad_body", "malformed",   "too_large", "not_made"};

// Octets of a response that are looked at; an endpoint's health page is far smaller, and its list of models
// is some hundred octets a model.
inline constexpr std::uint32_t kMaxCheckResponse = 64U << 10U;

struct CheckResult {
  CheckFinding finding = CheckFinding::ok;
  std::string detail;                // for people: "status 503, not 200"
  std::optional<Nanos> connect_rtt;  // SYN to SYN-ACK as connect() saw it; absent: no connection was made
  unsigned status = 0;               // HTTP status; 0: none was read
  std::string body{};                // of a good status, when it was asked for

  // For the law: a failure is one of connecting only when the endpoint refused it or nobody answered. What a
  // router or our own kernel says takes it out, but is no reason to reset its flows.
  [[nodiscard]] CheckOutcome outcome() const;
};

}  // namespace perigee::gateway
