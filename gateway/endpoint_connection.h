// A connection of the gateway's own to an endpoint, plain or TLS, over which it is asked with GET: by health
// checks, each over one of its own, and for its load, over one that is kept. The source address is the
// kernel's choice: in a PoP, the kernel routes endpoint prefixes to the host port, so that all of it takes
// the real path.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <memory>
#include <optional>
#include <string>

#include "contract/address.h"
#include "gateway/check_result.h"
#include "router/tls.h"

namespace perigee::gateway {

struct CheckTarget {
  IpAddress address;
  std::uint16_t port = 0;
};

// How an endpoint is spoken to; with `use` and no client, every connection fails.
struct ConnectionTls {
  bool use = false;
  std::shared_ptr<const router::TlsClient> client;
};

// Whoever calls, awaits each call, and keeps the object until then. What fails is a finding in `result`.
class EndpointConnection {
 public:
  struct Question {
    std::string path;
    std::string authorization;   // the field's value; empty: none
    unsigned status = 200;       // another one is a finding
    bool want_body = false;      // it is in the result, when the status is good
    std::uint32_t max_body = 0;  // octets
    bool keep = false;           // further questions follow
  };

  EndpointConnection(const boost::asio::any_io_executor& executor, CheckTarget target, ConnectionTls tls);

  // Bounds all that begins from now on, until the next call of it.
  void expires_after(Nanos limit) { tcp_.expires_after(limit); }
  boost::asio::awaitable<void> open(CheckResult& result);
  boost::asio::awaitable<void> get(const Question& question, CheckResult& result);
  // After a get(): the endpoint takes another question.
  [[nodiscard]] bool kept() const { return kept_; }
  void close() { tcp_.close(); }  // also while a call is under way, which then fails

 private:
  boost::asio::awaitable<void> shake_hands(CheckResult& result);
  template <class Stream>
  boost::asio::awaitable<void> exchange(Stream& stream, const Question& question, CheckResult& result);

  CheckTarget target_;
  ConnectionTls tls_;
  boost::beast::tcp_stream tcp_;
  std::optional<boost::asio::ssl::stream<boost::beast::tcp_stream&>> secure_;
  boost::beast::flat_buffer buffer_{kMaxCheckResponse};
  bool kept_ = false;
};

}  // namespace perigee::gateway
