// A TLS client of the test's own: blocking, and it sees single records.
#pragma once

#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>

#include "test/router/loop_fixture.h"

namespace perigee::router {

struct RawClient {
  explicit RawClient(std::uint16_t port)
      : context(SSL_CTX_new(TLS_client_method())), ssl(SSL_new(context)), fd(connect_to(port)) {
    SSL_set_fd(ssl, fd);
  }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  ~RawClient() {
    SSL_free(ssl);
    SSL_CTX_free(context);
    ::close(fd);
  }
  void connect() const { EXPECT_EQ(SSL_connect(ssl), 1); }
  // SSL_read gives one record's octets at most.
  int read_record() const {
    std::array<char, 1000> into{};
    return SSL_read(ssl, into.data(), static_cast<int>(into.size()));
  }
  // FIN from below TLS: what a cut does.
  void cut() const { ::shutdown(fd, SHUT_WR); }

  SSL_CTX* context;
  SSL* ssl;
  int fd;
};

}  // namespace perigee::router
