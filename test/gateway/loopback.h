// Plain sockets of a test's client, and a scripted endpoint: one thread, one answer for every connection.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace perigee::gateway::test {

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {
    const timeval patience{20, 0};  // a test that waits for ever says nothing
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&&) = delete;
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int fd() const { return fd_; }

  void send(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t sent = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;  // the peer may close while we still talk
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
  }

  // What comes until `end` was seen, or the peer closes.
  [[nodiscard]] std::string read_until(std::string_view end) const {
    std::string text;
    char piece[4096];
    while (end.empty() || text.find(end) == std::string::npos) {
      const ssize_t got = ::recv(fd_, piece, sizeof piece, 0);
      if (got <= 0) break;
      text.append(piece, static_cast<std::size_t>(got));
    }
    return text;
  }
  [[nodiscard]] std::string read_all() const { return read_until(""); }

 private:
  int fd_;
};

inline sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

inline Socket connect_tcp(std::uint16_t port) {
  Socket socket(::socket(AF_INET, SOCK_STREAM, 0));
  const sockaddr_in address = loopback(port);
  if (::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("connect failed");
  }
  return socket;
}

inline Socket connect_unix(const std::string& path) {
  Socket socket(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  if (::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("connect failed");
  }
  return socket;
}

class Listener {
 public:
  Listener() : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    if (::bind(socket_.fd(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(socket_.fd(), 16) != 0 ||
        ::getsockname(socket_.fd(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::runtime_error("listen failed");
    }
    port_ = ntohs(address.sin_port);
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] int fd() const { return socket_.fd(); }

 private:
  Socket socket_;
  std::uint16_t port_ = 0;
};

// A port of loopback where nothing listens.
inline std::uint16_t closed_port() { return Listener().port(); }

class ScriptedEndpoint {
 public:
  using Script = std::function<void(const Socket& client)>;

  explicit ScriptedEndpoint(Script script) : script_(std::move(script)), thread_([this] { serve(); }) {}
  ~ScriptedEndpoint() {
    stopping_ = true;
    thread_.join();
  }
  [[nodiscard]] std::uint16_t port() const { return listener_.port(); }
  [[nodiscard]] int connections() const { return connections_; }

 private:
  void serve() {
    while (!stopping_) {
      pollfd ready{listener_.fd(), POLLIN, 0};
      if (::poll(&ready, 1, 10) <= 0) continue;
      const Socket client(::accept(listener_.fd(), nullptr, nullptr));
      ++connections_;
      script_(client);
    }
  }

  Listener listener_;
  Script script_;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> connections_ = 0;
  std::thread thread_;
};

// Reads a request, then answers `response` and closes.
inline ScriptedEndpoint::Script answering(std::string response) {
  return [response = std::move(response)](const Socket& client) {
    const std::string request = client.read_until("\r\n\r\n");
    client.send(response);
  };
}

inline std::string http_response(const std::string& status, const std::string& body) {
  return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace perigee::gateway::test
