// The loads of router_load, and what they found.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "test/bench/bench_sockets.h"

namespace perigee::bench {

struct LoadOptions {
  sockaddr_in to{};
  SSL_CTX* tls = nullptr;  // null: plain
  std::string request;
  std::function<std::string()> another;  // when given, each request is one of its own
  unsigned expected = 200;               // status of an answer; others are errors
  std::size_t connections = 1;
  std::size_t requests = 1;  // closed loop: all together
  double rate = 0;           // open loop: requests/s
  double seconds = 1;        // open loop and handshakes
  bool resume = false;       // handshakes: go on from the session before
};

struct LoadResult {
  std::uint64_t done = 0;
  std::uint64_t errors = 0;
  std::uint64_t events = 0;
  std::uint64_t resumed = 0;
  double seconds = 0;
  std::vector<std::int64_t>
      first_ns;  // from a request's (intended) sending to the first octet of its answer's body
  std::vector<std::int64_t> whole_ns;  // ... to its last
  std::vector<std::int64_t> gaps_ns;   // between reads with events of one answer
};

// So many connections, each sends its next request when it has the answer.
LoadResult closed_loop(const LoadOptions& options);
// A stream on each connection, of which we wait for the first event; then all stay until our standard input
// ends.
LoadResult hold(const LoadOptions& options);
// Requests leave at their times, whatever became of those before.
LoadResult open_loop(const LoadOptions& options);
// New TLS connections, each closed once its ticket is there.
LoadResult handshakes(const LoadOptions& options);

}  // namespace perigee::bench
