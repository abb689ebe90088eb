// A request to the admin API and its answer as plain values: admin_server reads and writes them on sockets,
// admin decides. No Beast types, so that only one file pays for them.
#pragma once

#include <sys/types.h>

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <optional>
#include <string>

namespace perigee::gateway {

// Who is at the other end of a Unix socket (SO_PEERCRED).
struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};

struct AdminRequest {
  std::string method;  // "GET"
  std::string target;  // "/api/v1/links?x=y", as sent
  std::string body;
  std::optional<PeerCredentials> peer;  // set: came over the Unix socket and may change things
};

struct AdminResponse {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::string allow;  // of a 405
};

using AdminHandler = std::function<boost::asio::awaitable<AdminResponse>(AdminRequest)>;

}  // namespace perigee::gateway
