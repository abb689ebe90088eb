// A server for one test: real sockets, canned answers, and the requests it saw.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace perigee::cli {

class HttpServer {
 public:
  // Listens on a free port of 127.0.0.1 and sends `answer`, octet by octet as given, to every request.
  explicit HttpServer(std::string answer) : answer_(std::move(answer)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listen_on(AF_INET, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    socklen_t size = sizeof address;
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  // The same on a Unix socket.
  HttpServer(const std::string& path, std::string answer) : answer_(std::move(answer)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    listen_on(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    thread_ = std::thread([this] { serve(); });
  }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer() { stop(); }

  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  // The requests so far, whole; the server has stopped after this.
  const std::vector<std::string>& requests() {
    stop();
    return requests_;
  }

 private:
  void listen_on(int family, const sockaddr* address, socklen_t size) {
    listener_ = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener_, address, size) != 0 || listen(listener_, 8) != 0) throw std::runtime_error("listen");
  }
  void stop() {
    if (!thread_.joinable()) return;
    stopping_ = true;
    shutdown(listener_, SHUT_RDWR);  // wakes accept()
    thread_.join();
    close(listener_);
  }
  void serve() {
    for (;;) {
      const int client = accept(listener_, nullptr, nullptr);
      if (client < 0 || stopping_) {
        if (client >= 0) close(client);
        return;
      }
      requests_.push_back(receive(client));
      if (!answer_.empty() && write(client, answer_.data(), answer_.size()) < 0) std::abort();
      shutdown(client, SHUT_WR);
      drain(client);
      close(client);
    }
  }
  static std::string receive(int client) {
    std::string request;
    char buffer[4096];
    for (;;) {
      const std::size_t head = request.find("\r\n\r\n");
      if (head != std::string::npos && request.size() >= head + 4 + body_size(request)) return request;
      const ssize_t got = read(client, buffer, sizeof buffer);
      if (got <= 0) return request;
      request.append(buffer, static_cast<std::size_t>(got));
    }
  }
  static std::size_t body_size(const std::string& request) {
    const std::size_t at = request.find("Content-Length: ");
    return at == std::string::npos ? 0 : std::strtoul(request.c_str() + at + 16, nullptr, 10);
  }
  static void drain(int client) {
    char buffer[256];
    while (read(client, buffer, sizeof buffer) > 0) continue;
  }

  std::string answer_;
  std::vector<std::string> requests_;  // written by the thread, read after it ended
  std::atomic<bool> stopping_{false};
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

inline std::string http_answer(const std::string& status, const std::string& body) {
  return "HTTP/1.1 " + status +
         "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\nConnection: close\r\n\r\n" + body;
}

}  // namespace perigee::cli
