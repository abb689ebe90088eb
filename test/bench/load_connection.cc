#include "test/bench/load_connection.h"

#include <openssl/err.h>

namespace perigee::bench {
namespace {

constexpr std::string_view kEvent = "data: {";
constexpr std::string_view kLastChunk = "0\r\n\r\n";

std::size_t count_of(std::string_view text, std::string_view what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + what.size()))
    ++count;
  return count;
}

}  // namespace

LoadConnection::LoadConnection(const sockaddr_in& to, SSL_CTX* tls, SSL_SESSION* session)
    : fd_(open_socket()) {
  if (::connect(fd_, generic(to), sizeof to) != 0 && errno != EINPROGRESS) give_up("connect");
  if (tls == nullptr) return;
  ssl_ = SSL_new(tls);
  if (ssl_ == nullptr || SSL_set_fd(ssl_, fd_) != 1) give_up("TLS");
  SSL_set_connect_state(ssl_);
  if (session != nullptr) SSL_set_session(ssl_, session);
}

LoadConnection::~LoadConnection() {
  if (ssl_ != nullptr) {
    if (open_) SSL_shutdown(ssl_);
    ERR_clear_error();
    SSL_free(ssl_);
  }
  ::close(fd_);
}

LoadConnection::Step LoadConnection::establish() {
  if (!connected_) {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return Step::failed;
    connected_ = true;
  }
  if (ssl_ != nullptr) {
    const int result = SSL_do_handshake(ssl_);
    if (result != 1) {
      const int error = SSL_get_error(ssl_, result);
      return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? Step::again : Step::failed;
    }
  }
  open_ = true;
  return Step::done;
}

bool LoadConnection::start(std::string_view request) {
  unsent_ = request;
  head_.clear();
  tail_.clear();
  in_body_ = chunked_ = false;
  body_left_ = body_octets_ = 0;
  status_ = 0;
  events_ = 0;
  busy_ = true;
  return flush();
}

bool LoadConnection::flush() {
  while (!unsent_.empty()) {
    ssize_t sent = 0;
    if (ssl_ == nullptr) {
      sent = ::send(fd_, unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
      if (sent < 0) return errno == EAGAIN;
    } else {
      sent = SSL_write(ssl_, unsent_.data(), static_cast<int>(unsent_.size()));
      if (sent <= 0) return SSL_get_error(ssl_, static_cast<int>(sent)) == SSL_ERROR_WANT_WRITE;
    }
    unsent_.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

// As recv; -1 with EAGAIN: nothing now.
ssize_t LoadConnection::receive(char* into, std::size_t size) {
  if (ssl_ == nullptr) return ::recv(fd_, into, size, 0);
  const int got = SSL_read(ssl_, into, static_cast<int>(size));
  if (got > 0) return got;
  const bool again = SSL_get_error(ssl_, got) == SSL_ERROR_WANT_READ;
  ERR_clear_error();
  errno = again ? EAGAIN : ECONNRESET;
  return -1;
}

LoadConnection::Step LoadConnection::advance() {
  if (!flush()) return Step::failed;
  static std::array<char, std::size_t{64} * 1024> buffer;
  while (busy_) {
    const ssize_t got = receive(buffer.data(), buffer.size());
    if (got < 0 && errno == EAGAIN) return Step::again;
    if (got <= 0) return Step::failed;
    if (take({buffer.data(), static_cast<std::size_t>(got)})) {
      busy_ = false;
      return Step::done;
    }
    if (ssl_ == nullptr && static_cast<std::size_t>(got) < buffer.size()) return Step::again;
  }
  return Step::again;
}

LoadConnection::Step LoadConnection::listen() {
  std::array<char, 256> buffer;
  const ssize_t got = receive(buffer.data(), buffer.size());
  return got < 0 && errno == EAGAIN ? Step::again : Step::failed;
}

bool LoadConnection::read_head(std::string_view octets) {
  head_ += octets;
  const std::size_t end = head_.find("\r\n\r\n");
  if (end == std::string::npos) return false;
  status_ = static_cast<unsigned>(std::atoi(head_.c_str() + std::min<std::size_t>(9, head_.size())));
  std::transform(
      head_.begin(), head_.begin() + static_cast<std::ptrdiff_t>(end), head_.begin(),
      [](char octet) { return octet >= 'A' && octet <= 'Z' ? static_cast<char>(octet + 32) : octet; });
  chunked_ = head_.find("\r\ntransfer-encoding: chunked") < end;
  const std::size_t length = head_.find("\r\ncontent-length:");
  body_left_ = length < end ? static_cast<std::size_t>(std::atoll(head_.c_str() + length + 17)) : 0;
  in_body_ = true;
  return true;
}

// True: the answer is complete.
bool LoadConnection::take(std::string_view octets) {
  std::string rest;
  if (!in_body_) {
    if (!read_head(octets)) return false;
    rest = head_.substr(head_.find("\r\n\r\n") + 4);
    octets = rest;
  }
  body_octets_ += octets.size();
  if (!chunked_) {
    body_left_ -= std::min(body_left_, octets.size());
    return body_left_ == 0;
  }
  // An event's beginning may be cut between two reads.
  const std::size_t kept = std::min(tail_.size(), kEvent.size() - 1);
  events_ += count_of(octets, kEvent);
  if (kept > 0 && !octets.empty()) {
    const std::string seam =
        tail_.substr(tail_.size() - kept) + std::string(octets.substr(0, kEvent.size() - 1));
    events_ += count_of(seam, kEvent);
  }
  tail_ += octets.substr(octets.size() - std::min<std::size_t>(octets.size(), 16));
  if (tail_.size() > 32) tail_.erase(0, tail_.size() - 16);
  return std::string_view(tail_).ends_with(kLastChunk);
}

}  // namespace perigee::bench
