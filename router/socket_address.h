// An address and a port as the socket calls want them.
#pragma once

#include <sys/socket.h>

#include <cstdint>

#include "contract/address.h"

namespace perigee::router {

class SocketAddress {
 public:
  SocketAddress(const IpAddress& address, std::uint16_t port);
  // None (AF_UNSPEC) when the socket has none.
  static SocketAddress of_peer(int fd);
  static SocketAddress of_socket(int fd);
  // accept(2) of a non-blocking socket: `fd` is -1 when there is none (errno says why).
  static SocketAddress accept(int listening, int& fd);

  [[nodiscard]] int family() const { return storage_.ss_family; }
  [[nodiscard]] const sockaddr* get() const;
  [[nodiscard]] socklen_t size() const { return size_; }
  [[nodiscard]] IpAddress address() const;
  [[nodiscard]] std::uint16_t port() const;

 private:
  SocketAddress() = default;
  sockaddr_storage storage_{};
  socklen_t size_ = sizeof storage_;
};

}  // namespace perigee::router
