#include "gateway/handover.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "gateway/spawned.h"

namespace perigee::gateway {

namespace asio = boost::asio;

namespace {

constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kMaxSockets = std::size_t{32} * 64;  // kMaxListeners, each in every thread
constexpr std::size_t kPerMessage = 200;                   // the kernel takes 253 (SCM_MAX_FD)
constexpr int kAnswerWithinMs = 30'000;  // of an old process that is asked, or told that we are ready
constexpr std::string_view kReady = "ready";
constexpr std::string_view kDone = "done";

using Control = std::array<char, CMSG_SPACE(kPerMessage * sizeof(int))>;

Error failed(const std::string& path, const char* what) {
  return Error{path, std::string(what) + ": " + std::strerror(errno)};
}

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Error{path, "is too long for a Unix socket"};
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

bool is_ours(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == ::geteuid() || peer.uid == 0);
}

// One message: how many descriptors there are in all, and some of them.
bool send_some(int fd, std::size_t all, const Descriptor* first, std::size_t count) {
  std::string text = std::to_string(all);
  iovec part{text.data(), text.size()};
  alignas(cmsghdr) Control control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = CMSG_SPACE(count * sizeof(int));
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(count * sizeof(int));
  for (std::size_t i = 0; i < count; ++i) {
    const int each = first[i].get();
    std::memcpy(CMSG_DATA(header) + i * sizeof(int), &each, sizeof each);
  }
  return ::sendmsg(fd, &message, MSG_NOSIGNAL) >= 0;
}

bool send_all(int fd, const std::vector<Descriptor>& descriptors) {
  for (std::size_t at = 0; at < descriptors.size(); at += kPerMessage)
    if (!send_some(fd, descriptors.size(), &descriptors[at], std::min(kPerMessage, descriptors.size() - at)))
      return false;
  return true;
}

bool wait_readable(int fd) {
  pollfd wait{fd, POLLIN, 0};
  return ::poll(&wait, 1, kAnswerWithinMs) == 1;
}

// Appends what one message has; how many there are in all, or 0: no such message came.
std::size_t receive_some(int fd, std::vector<Descriptor>& out) {
  std::array<char, 16> text{};
  iovec part{text.data(), text.size()};
  alignas(cmsghdr) Control control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (!wait_readable(fd)) return 0;
  const ssize_t got = ::recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
  for (cmsghdr* header = got < 0 ? nullptr : CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t at = 0; at + sizeof(int) <= header->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
      int each = -1;
      std::memcpy(&each, CMSG_DATA(header) + at, sizeof each);
      out.emplace_back(each);
    }
  }
  std::size_t all = 0;
  if (got > 0) std::from_chars(text.data(), text.data() + got, all);
  return (message.msg_flags & MSG_CTRUNC) != 0 || all > kMaxSockets + 1 ? 0 : all;
}

}  // namespace

Result<std::optional<Handover>> Handover::ask(const std::string& path) {
  const auto address = address_of(path);
  if (!address) return address.error();
  Handover handover;
  handover.connection_ = Descriptor(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  const int fd = handover.connection_.get();
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
    if (errno == ENOENT || errno == ECONNREFUSED) return std::optional<Handover>();
    return failed(path, "cannot be asked for the listening sockets");
  }
  if (!is_ours(fd)) return Error{path, "belongs to another user's process"};
  std::vector<Descriptor> all;
  std::size_t expected = 0;
  do {
    expected = receive_some(fd, all);
  } while (all.size() < expected);
  if (expected == 0)
    return Error{path, "hands nothing over: the process there changes its policy, or is ending"};
  handover.lock_ = std::move(all.front());
  all.erase(all.begin());
  handover.sockets_ = std::move(all);
  return std::optional<Handover>(std::move(handover));
}

Result<void> Handover::ready() {
  const int fd = connection_.get();
  std::array<char, 16> answer{};
  if (::send(fd, kReady.data(), kReady.size(), MSG_NOSIGNAL) < 0 || !wait_readable(fd) ||
      ::recv(fd, answer.data(), answer.size(), 0) != static_cast<ssize_t>(kDone.size()))
    return Error{"", "the process before did not let go"};
  return {};
}

HandoverServer::HandoverServer(asio::io_context& io, Predecessor& predecessor, const Log& log)
    : io_(io), predecessor_(predecessor), log_(log) {}

HandoverServer::~HandoverServer() {
  if (listening_ && listening_->is_open()) ::unlink(path_.c_str());
}

Result<void> HandoverServer::listen(const std::string& path) {
  const auto address = address_of(path);
  if (!address) return address.error();
  Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  ::unlink(path.c_str());
  if (::fchmod(socket.get(), 0600) != 0 ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0 ||
      ::listen(socket.get(), 1) != 0)
    return failed(path, "cannot listen");
  path_ = path;
  listening_.emplace(io_, ::fcntl(socket.get(), F_DUPFD_CLOEXEC, 0));
  asio::co_spawn(io_, serve(), kOrEnd);
  return {};
}

asio::awaitable<void> HandoverServer::serve() {
  while (true) {
    auto [error] = co_await listening_->async_wait(asio::posix::stream_descriptor::wait_read, kAsTuple);
    if (error) co_return;
    const int fd = ::accept4(listening_->native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) continue;
    asio::posix::stream_descriptor connection(io_, fd);
    if (!is_ours(fd)) continue;
    const std::vector<Descriptor> given = predecessor_.give();
    if (given.empty()) continue;
    log_.write(LogLevel::info, "handover_begun", {{"sockets", given.size() - 1}});
    bool ready = send_all(fd, given);
    if (ready) ready = co_await is_ready(connection);
    if (!ready) {
      log_.write(LogLevel::error, "handover_given_up");
      predecessor_.keep();
      continue;
    }
    log_.write(LogLevel::info, "handover_done");
    ::unlink(path_.c_str());
    listening_->close();
    predecessor_.leave();
    ::send(fd, kDone.data(), kDone.size(), MSG_NOSIGNAL);
    co_return;
  }
}

asio::awaitable<bool> HandoverServer::is_ready(asio::posix::stream_descriptor& connection) {
  asio::steady_timer late(io_, kReadyWithin);
  late.async_wait([&connection](const boost::system::error_code& error) {
    if (!error) connection.cancel();
  });
  auto [error] = co_await connection.async_wait(asio::posix::stream_descriptor::wait_read, kAsTuple);
  late.cancel();
  std::array<char, 16> word{};
  const ssize_t got = error ? -1 : ::recv(connection.native_handle(), word.data(), word.size(), 0);
  co_return got == static_cast<ssize_t>(kReady.size()) &&
      std::string_view(word.data(), kReady.size()) == kReady;
}

}  // namespace perigee::gateway
