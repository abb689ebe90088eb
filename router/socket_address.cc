#include "router/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace perigee::router {
namespace {

// sockaddr_storage is made to be seen as its families' types; copies keep that free of casts.
template <class Family>
Family as(const sockaddr_storage& storage) {
  Family family{};
  std::memcpy(&family, &storage, sizeof family);
  return family;
}

}  // namespace

SocketAddress::SocketAddress(const IpAddress& address, std::uint16_t port) {
  if (address.is_v4()) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    v4.sin_addr.s_addr = htonl(address.v4_value());
    size_ = sizeof v4;
    std::memcpy(&storage_, &v4, sizeof v4);
  } else {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::ranges::copy(address.octets, v6.sin6_addr.s6_addr);
    size_ = sizeof v6;
    std::memcpy(&storage_, &v6, sizeof v6);
  }
}

SocketAddress SocketAddress::of_peer(int fd) {
  SocketAddress result;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&result.storage_), &result.size_) != 0) return {};
  return result;
}

SocketAddress SocketAddress::of_socket(int fd) {
  SocketAddress result;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&result.storage_), &result.size_) != 0) return {};
  return result;
}

SocketAddress SocketAddress::accept(int listening, int& fd) {
  SocketAddress result;
  auto* const address = reinterpret_cast<sockaddr*>(&result.storage_);
  fd = ::accept4(listening, address, &result.size_, SOCK_NONBLOCK | SOCK_CLOEXEC);
  return result;
}

const sockaddr* SocketAddress::get() const { return reinterpret_cast<const sockaddr*>(&storage_); }

IpAddress SocketAddress::address() const {
  if (family() == AF_INET) return IpAddress::v4(ntohl(as<sockaddr_in>(storage_).sin_addr.s_addr));
  IpAddress result;
  if (family() == AF_INET6)
    std::ranges::copy(as<sockaddr_in6>(storage_).sin6_addr.s6_addr, result.octets.begin());
  return result;
}

std::uint16_t SocketAddress::port() const {
  if (family() == AF_INET) return ntohs(as<sockaddr_in>(storage_).sin_port);
  return family() == AF_INET6 ? ntohs(as<sockaddr_in6>(storage_).sin6_port) : std::uint16_t{0};
}

}  // namespace perigee::router
