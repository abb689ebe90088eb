// A loop and what tests run on it: a coroutine from its start to its end, and pairs of connected sockets.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "router/loop.h"
#include "router/signal.h"
#include "router/socket_address.h"
#include "router/stream.h"
#include "router/task.h"

namespace perigee::router {

inline const IpAddress kLoopback = IpAddress::v4(127, 0, 0, 1);

// A listening socket of the test's own; blocking.
class ListeningSocket {
 public:
  ListeningSocket() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const SocketAddress any(kLoopback, 0);
    EXPECT_EQ(::bind(fd_, any.get(), any.size()), 0);
    EXPECT_EQ(::listen(fd_, 16), 0);
  }
  ListeningSocket(const ListeningSocket&) = delete;
  ListeningSocket& operator=(const ListeningSocket&) = delete;
  ~ListeningSocket() { ::close(fd_); }

  [[nodiscard]] std::uint16_t port() const { return SocketAddress::of_socket(fd_).port(); }
  [[nodiscard]] int fd() const { return fd_; }
  // Waits for a connection.
  [[nodiscard]] int accept(int flags = 0) const {
    return ::accept4(fd_, nullptr, nullptr, flags | SOCK_CLOEXEC);
  }

 private:
  int fd_;
};

// A blocking client socket.
inline int connect_to(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const SocketAddress to(kLoopback, port);
  EXPECT_EQ(::connect(fd, to.get(), to.size()), 0);
  return fd;
}

inline void send_all(int fd, std::string_view text) {
  EXPECT_EQ(::send(fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
}

// Up to `size` octets, or what came before the end ("" at once: the end).
inline std::string receive(int fd, std::size_t size) {
  std::string text(size, '\0');
  const ssize_t got = ::recv(fd, text.data(), size, 0);
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return text;
}

inline IoResult write_text(Stream& stream, std::string_view text) {
  const iovec part{const_cast<char*>(text.data()), text.size()};
  return stream.write({&part, 1});
}

struct LoopTest : testing::Test {
  // Runs `body` to its end. Fails after ten seconds, which nothing here needs.
  void run(Task<> body) {
    Task<> watchdog = watch();
    watchdog.start();
    Task<> whole = until_done(std::move(body));
    whole.start();
    loop->run();
  }

  // Lets the loop turn a few times: what is due has happened then.
  Task<> turns(int count = 3) {
    Signal signal(loop->ready());
    Timer timer(loop->timers(), signal);
    for (int i = 0; i < count; ++i) {
      timer.arm(loop->now());
      co_await signal.wait();
    }
  }

  Task<IoStatus> open(Stream& stream, Signal& signal) {
    for (;;) {
      const IoStatus status = stream.establish();
      if (status != IoStatus::again) co_return status;
      co_await signal.wait();
    }
  }

  // Reads `size` octets; fewer when the stream ends before.
  Task<std::string> read_text(Stream& stream, Signal& signal, std::size_t size) {
    std::string text(size, '\0');
    std::size_t got = 0;
    while (got < size) {
      const IoResult result = stream.read(std::span(text).subspan(got));
      got += result.octets;
      if (result.status == IoStatus::again) {
        co_await signal.wait();
      } else if (result.status != IoStatus::ok) {
        break;
      }
    }
    text.resize(got);
    co_return text;
  }

  std::unique_ptr<Loop> loop = Loop::create().value();

 private:
  Task<> until_done(Task<> body) {
    co_await std::move(body);
    loop->stop();
  }
  Task<> watch() {
    Signal signal(loop->ready());
    Timer timer(loop->timers(), signal);
    timer.arm(loop->now() + std::chrono::seconds(10));
    co_await signal.wait();
    ADD_FAILURE() << "still not done";
    loop->stop();
  }
};

}  // namespace perigee::router
