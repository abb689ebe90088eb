// One request to an endpoint and its response, over a connection of the pool: the codec of the other side.
// As with Exchange, all calls do what can be done now; the stream's Signal tells when there is more.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "router/chunked.h"
#include "router/endpoint_pool.h"
#include "router/http1_exchange.h"
#include "router/http_framing.h"

namespace perigee::router {

class EndpointExchange {
 public:
  // `scratch` is the thread's, not that of its clients: what was read stays there while it is sent on.
  EndpointExchange(PooledStream connection, Scratch scratch)
      : stream_(std::move(connection.stream)), reused_(connection.reused), scratch_(scratch) {}

  [[nodiscard]] Stream& stream() { return *stream_; }
  [[nodiscard]] bool reused() const { return reused_; }

  // Sends what the endpoint takes of `parts`; returns how many octets. Nothing more may be sent once
  // failed().
  std::size_t send(std::span<const std::string_view> parts);
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] std::uint64_t octets_sent() const { return octets_sent_; }

  enum class State : std::uint8_t {
    again,    // nothing now
    head,     // head() is the response's; read on for the body
    payload,  // a piece of the body
    end,      // the response is complete; the last piece may come with it
    broken,   // closed before the end, or not HTTP: fault() says what
  };
  struct Piece {
    State state = State::again;
    std::string_view payload;  // valid until the next read() or until another session runs
  };
  [[nodiscard]] Piece read();

  [[nodiscard]] const Head& head() const { return head_; }
  [[nodiscard]] const ResponseFraming& framing() const { return framing_; }
  [[nodiscard]] bool responded() const { return octets_received_ > 0; }
  [[nodiscard]] std::string_view fault() const { return fault_; }  // static text, for a log

  // After `end`: the connection for the pool, null when it may not carry another request.
  [[nodiscard]] std::unique_ptr<Stream> take_reusable();

 private:
  Piece read_head();
  Piece read_body();
  Piece decode(std::span<char> octets);
  Piece broken(std::string_view why);

  std::unique_ptr<Stream> stream_;
  bool reused_;
  const Scratch scratch_;
  std::string early_;  // read while the head was not complete; with the head's end also what follows it
  std::size_t searched_ = 0;  // of early_
  Head head_;
  ResponseFraming framing_;
  ChunkedDecoder chunks_;
  std::uint64_t left_ = 0;
  unsigned interim_ = 0;
  std::uint64_t octets_sent_ = 0;
  std::uint64_t octets_received_ = 0;
  bool head_read_ = false;
  bool ended_ = false;
  bool clean_ = false;  // nothing follows the response
  bool failed_ = false;
  std::string_view fault_;
};

}  // namespace perigee::router
