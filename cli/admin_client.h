// HTTP to the gateway's admin API: reading over TCP, changing over its Unix socket. The only file of the
// command line that knows Beast.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "contract/error.h"

namespace perigee::cli {

inline constexpr const char* kDefaultAdmin = "http://127.0.0.1:8620";

struct AdminReply {
  unsigned status = 0;
  std::string body;
};

// `base` is "http://HOST[:PORT]", `target` starts with "/". An error names the address and says what to look
// at; a reply of any status is no error.
Result<AdminReply> admin_get(const std::string& base, const std::string& target,
                             std::chrono::milliseconds timeout = std::chrono::seconds(10));

// The timeout is longer than the gateway waits for the data plane (5 s) and than a change before this one.
Result<AdminReply> admin_post(const std::string& socket_path, const std::string& target, std::string body,
                              std::chrono::milliseconds timeout = std::chrono::seconds(30));

// For one segment of a path or one value of a query (RFC 3986 section 2.1).
std::string percent_encoded(std::string_view text);

}  // namespace perigee::cli
