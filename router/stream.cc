#include "router/stream.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "router/descriptors.h"
#include "router/socket_address.h"
#include "router/tls.h"
#include "steering/request_cost.h"

namespace perigee::router {
namespace {

constexpr std::uint32_t kEvents = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
constexpr std::size_t kMaxParts = 1024;  // IOV_MAX: the kernel takes no more at once
// Copying so much into one part costs less than having the kernel take several.
constexpr std::size_t kGathered = 2048;

// An endpoint may think for as long as its time-outs allow: that it is still there, and that nothing on the
// way forgets a silent connection, is for the kernel to see.
void keep_alive(int fd) {
  constexpr int kIdleSeconds = 30, kIntervalSeconds = 10, kProbes = 3, kOn = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &kOn, sizeof kOn);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &kIdleSeconds, sizeof kIdleSeconds);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &kIntervalSeconds, sizeof kIntervalSeconds);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &kProbes, sizeof kProbes);
}

bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

Error system_error(const char* doing) { return Error{doing, std::strerror(errno)}; }

}  // namespace

Stream::Stream(Loop& loop, int fd, Signal& signal, State state)
    : loop_(loop), signal_(&signal), fd_(fd), state_(state) {
  // What we write is a whole event or message: waiting to fill a segment would only delay it.
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Result<std::unique_ptr<Stream>> Stream::connect(Loop& loop, const IpAddress& address, std::uint16_t port,
                                                const TlsClient* tls, Signal& signal) {
  const SocketAddress to(address, port);
  const int fd = ::socket(to.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Error{std::string(kNoDescriptors), std::strerror(errno)};
  if (!leaves_reserve(fd, DescriptorUse::endpoint)) {
    ::close(fd);
    return Error{std::string(kNoDescriptors), "no more but the reserve"};
  }
  keep_alive(fd);
  std::unique_ptr<Stream> stream(new Stream(loop, fd, signal, State::connecting));
  if (::connect(fd, to.get(), to.size()) != 0 && errno != EINPROGRESS) return system_error("connect");
  // Only now: a socket that never began to connect reads as hung up.
  if (!loop.watch(fd, kEvents, *stream)) return system_error("epoll");
  if (tls != nullptr && !stream->attach(tls->new_connection())) {
    return Error{"TLS", "no memory for a connection"};
  }
  return stream;
}

Result<std::unique_ptr<Stream>> Stream::adopt(Loop& loop, int fd, Signal& signal) {
  std::unique_ptr<Stream> stream(new Stream(loop, fd, signal, State::open));
  stream->writable_ = true;
  if (!loop.watch(fd, kEvents, *stream)) return system_error("epoll");
  return stream;
}

Stream::~Stream() { close(); }

void Stream::on_events(std::uint32_t events) {
  bool changed = false;
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
    peer_closed_ = changed = true;
    mark_readable();
  }
  if ((events & EPOLLIN) != 0) {
    mark_readable();
    changed |= wants_read_ || state_ != State::open;
  }
  // The bit comes along with every other one; it is news only to those who found the socket full.
  if ((events & EPOLLOUT) != 0 && !writable_) {
    writable_ = changed = true;
    // TLS may have something of its own to send before it reads on.
    if (ssl_ != nullptr) readable_ = true;
  }
  if (changed && signal_ != nullptr) signal_->raise();
}

void Stream::mark_readable() {
  readable_ = true;
  socket_readable_ = true;
}

IoStatus Stream::establish() {
  if (state_ == State::connecting) {
    if (const IoStatus status = finish_connect(); status != IoStatus::ok) return status;
  }
  if (state_ == State::handshake) return handshake();
  return state_ == State::open ? IoStatus::ok : IoStatus::failed;
}

IoStatus Stream::finish_connect() {
  if (!writable_ && !peer_closed_) return IoStatus::again;
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) {
    state_ = State::failed;
    return fail("connect", std::strerror(error));
  }
  state_ = ssl_ != nullptr ? State::handshake : State::open;
  return IoStatus::ok;
}

IoResult Stream::read(std::span<char> into) {
  if (state_ != State::open) return {0, IoStatus::failed};
  if (!readable_) return {0, IoStatus::again};
  if (ssl_ != nullptr) return read_tls(into);
  const ssize_t got = receive(into.data(), into.size());
  readable_ = socket_readable_;
  if (got > 0) return {static_cast<std::size_t>(got), IoStatus::ok};
  if (got == 0) return {0, IoStatus::eof};
  if (would_block(errno)) return {0, IoStatus::again};
  state_ = State::failed;
  return {0, fail("read", std::strerror(errno))};
}

// One recv, which also learns from a short answer that the socket is empty now: whatever comes later raises a
// new event. After the peer's end there is none, so then one reads on until it is met.
ssize_t Stream::receive(char* into, std::size_t size) {
  ssize_t got = 0;
  do {
    got = ::recv(fd_, into, size, 0);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    if (would_block(errno)) socket_readable_ = false;
  } else if (static_cast<std::size_t>(got) < size && !peer_closed_) {
    socket_readable_ = false;
  }
  if (got == 0) peer_closed_ = socket_readable_ = true;
  return got;
}

IoResult Stream::write(std::span<const iovec> parts) {
  if (state_ != State::open) return {0, IoStatus::failed};
  if (!writable_) return {0, IoStatus::again};
  if (ssl_ != nullptr) return write_tls(parts);
  const ssize_t sent = send(parts);
  if (sent >= 0) return {static_cast<std::size_t>(sent), IoStatus::ok};
  if (would_block(errno)) return {0, IoStatus::again};
  // Reading goes on: the peer may have said why before it closed.
  return {0, fail("write", std::strerror(errno))};
}

ssize_t Stream::send(std::span<const iovec> parts) {
  parts = parts.first(std::min(parts.size(), kMaxParts));
  std::size_t total = 0;
  for (const iovec& part : parts) total += part.iov_len;
  std::array<char, kGathered> gathered;  // filled as far as it is sent
  iovec one = parts.front();
  if (parts.size() > 1 && total <= gathered.size()) {
    std::size_t at = 0;
    for (const iovec& part : parts) {
      std::memcpy(gathered.data() + at, part.iov_base, part.iov_len);
      at += part.iov_len;
    }
    one = {gathered.data(), total};
  }
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());  // sendmsg only reads it
  message.msg_iovlen = parts.size();
  ssize_t sent = 0;
  do {
    sent = one.iov_len == total ? ::send(fd_, one.iov_base, total, MSG_NOSIGNAL)
                                : ::sendmsg(fd_, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0 ? would_block(errno) : static_cast<std::size_t>(sent) < total) writable_ = false;
  return sent;
}

void Stream::shutdown_send() {
  if (state_ != State::open) return;
  if (ssl_ != nullptr) send_close_notify();
  ::shutdown(fd_, SHUT_WR);
}

void Stream::abort() {
  if (fd_ < 0) return;
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  release();
}

void Stream::close() {
  if (fd_ < 0) return;
  if (ssl_ != nullptr && state_ == State::open) send_close_notify();
  release();
}

void Stream::release() {
  if (ssl_ != nullptr) free_tls();
  loop_.unwatch(fd_);
  ::close(std::exchange(fd_, -1));
  state_ = State::closed;
  readable_ = writable_ = false;
}

IoStatus Stream::fail(const char* doing, std::string reason) {
  failure_ = std::string(doing) + ": " + std::move(reason);
  return IoStatus::failed;
}

std::optional<std::chrono::microseconds> Stream::rtt() const {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd_, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return std::nullopt;
  if (info.tcpi_rtt == 0) return std::nullopt;
  return std::chrono::microseconds(info.tcpi_rtt);
}

std::uint32_t Stream::window() const {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd_, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return kInitialWindow;
  return info.tcpi_snd_cwnd * info.tcpi_snd_mss;
}

IpAddress Stream::peer_address() const { return SocketAddress::of_peer(fd_).address(); }
std::uint16_t Stream::peer_port() const { return SocketAddress::of_peer(fd_).port(); }
IpAddress Stream::local_address() const { return SocketAddress::of_socket(fd_).address(); }

}  // namespace perigee::router
