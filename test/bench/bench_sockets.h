// What the programs of `scripts/bench router` share: time, sockets on loopback, waiting with nanoseconds.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <span>
#include <string_view>

namespace perigee::bench {

inline constexpr std::int64_t kSecond = 1'000'000'000;

inline std::int64_t now_ns() {
  timespec at{};
  ::clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * kSecond + at.tv_nsec;
}

// Ends the program: a bench that cannot go on says why.
[[noreturn]] inline void give_up(std::string_view what) {
  std::fprintf(stderr, "%.*s: %s\n", static_cast<int>(what.size()), what.data(), std::strerror(errno));
  std::exit(1);
}

inline sockaddr_in ipv4(const char* address, std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  if (::inet_pton(AF_INET, address, &out.sin_addr) != 1) give_up("address");
  return out;
}

inline int open_socket() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  if (fd < 0 || ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) give_up("socket");
  return fd;
}

inline const sockaddr* generic(const sockaddr_in& address) {
  return reinterpret_cast<const sockaddr*>(&address);  // as the socket calls want it
}

class Poller {
 public:
  Poller() : fd_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (fd_ < 0) give_up("epoll");
  }
  ~Poller() { ::close(fd_); }
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  void add(int fd, std::uint32_t events, std::uint64_t token) const {
    epoll_event event{};
    event.events = events;
    event.data.u64 = token;
    if (::epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) != 0) give_up("epoll_ctl");
  }
  // Until something happens or the time `until` has come.
  std::span<const epoll_event> wait(std::int64_t until) {
    const std::int64_t left = std::max<std::int64_t>(until - now_ns(), 0);
    const timespec timeout{left / kSecond, left % kSecond};
    const int count =
        ::epoll_pwait2(fd_, events_.data(), static_cast<int>(events_.size()), &timeout, nullptr);
    return {events_.data(), static_cast<std::size_t>(std::max(count, 0))};
  }

 private:
  int fd_;
  std::array<epoll_event, 512> events_{};
};

}  // namespace perigee::bench
