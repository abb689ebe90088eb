// A client's connection of router_load: sends one prepared request, tells when parts of the answer came. With
// TLS when it is given a context.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "test/bench/bench_sockets.h"

namespace perigee::bench {

class LoadConnection {
 public:
  // Begins to connect; `tls` may be null, and `session` too: one to go on from.
  LoadConnection(const sockaddr_in& to, SSL_CTX* tls, SSL_SESSION* session);
  ~LoadConnection();
  LoadConnection(const LoadConnection&) = delete;
  LoadConnection& operator=(const LoadConnection&) = delete;

  enum class Step : std::uint8_t { again, done, failed };
  // Connecting and the handshake; done: requests may be sent.
  Step establish();
  // Sends what the socket takes; the answer is for advance() alone. `request` outlives it. False: broken.
  bool start(std::string_view request);
  // Sends what is left and reads what has come; done: the answer is complete.
  Step advance();
  // Reads what comes outside of an answer: with TLS, tickets.
  Step listen();

  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] bool open() const { return open_; }
  [[nodiscard]] bool busy() const { return busy_; }
  [[nodiscard]] SSL* tls() const { return ssl_; }
  // Of the answer so far.
  [[nodiscard]] unsigned status() const { return status_; }
  [[nodiscard]] std::uint64_t events() const { return events_; }
  [[nodiscard]] bool body_begun() const { return body_octets_ > 0; }

 private:
  bool flush();
  [[nodiscard]] ssize_t receive(char* into, std::size_t size);
  bool take(std::string_view octets);
  bool read_head(std::string_view octets);

  int fd_;
  SSL* ssl_ = nullptr;
  bool connected_ = false;
  bool open_ = false;
  bool busy_ = false;
  std::string_view unsent_;

  std::string head_;
  bool in_body_ = false;
  bool chunked_ = false;
  std::size_t body_left_ = 0;
  std::size_t body_octets_ = 0;
  std::string tail_;  // the last octets of the body: an end or an event's beginning may be cut
  unsigned status_ = 0;
  std::uint64_t events_ = 0;
};

}  // namespace perigee::bench
