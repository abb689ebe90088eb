// The admin API's sockets: a read-only TCP listener and a Unix socket for changes. Reads requests within
// limits, checks Host, hands plain values to the handler and writes its answers.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "contract/error.h"
#include "gateway/admin_message.h"
#include "gateway/log.h"

namespace perigee::gateway {

struct AdminLimits {
  std::size_t header_octets = 8U << 10U;      // a browser's or scraper's header is under 2 KiB
  std::size_t body_octets = 1U << 20U;        // a policy; only on the Unix socket, 0 on TCP
  std::size_t connections = 64;               // of each listener, so that TCP cannot lock the socket out
  std::chrono::milliseconds timeout{10'000};  // to send one whole request, and to take one answer
};

// Lives on one io_context, run by one thread. Destroy it only when that context no longer runs.
class AdminServer {
 public:
  AdminServer(boost::asio::io_context& io, AdminHandler handler, const Log& log, AdminLimits limits = {});
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  // "127.0.0.1:8620" or "[::1]:8620"; port 0 takes a free one. Only a request whose Host is an address of
  // this connection, a loopback address or "localhost" is served (against DNS rebinding). Nothing is done
  // when it listens already; so for both.
  Result<void> listen_tcp(const std::string& address_and_port);

  // Mode 0660. A socket file left by a dead process is replaced, one that answers is an error.
  Result<void> listen_unix(const std::string& path);

  // The port in use; 0 before listen_tcp().
  [[nodiscard]] std::uint16_t tcp_port() const;

  // Stops accepting and closes the listeners, for good; the Unix socket's file goes.
  void close();
  [[nodiscard]] bool closed() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace perigee::gateway
