// One request and its answer, as the session sees them: a head, a source of body octets, a sink for the
// answer. HTTP/1.1 is one codec behind it (http1_exchange); nothing in the session knows how messages are
// framed. All calls do what can be done now and never wait: what changes later raises the session's Signal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "contract/address.h"
#include "router/http_head.h"

namespace perigee::router {

// Who asks.
struct ClientPlace {
  IpAddress address;
  std::uint16_t port = 0;
};

// The start of an answer. The fields of the endpoint's head that may cross are taken from `endpoint`; an
// answer of our own has `content_type` instead.
struct AnswerHead {
  unsigned status = 200;
  std::optional<std::uint64_t> length;  // octets of the body; absent: the body ends when end() says so
  bool event_stream = false;
  std::string_view request_id;
  std::string_view more_fields;  // lines of ours, each with CRLF
  const Head* endpoint = nullptr;
  std::string_view content_type;
};

class Exchange {
 public:
  virtual ~Exchange() = default;

  [[nodiscard]] virtual const Head& head() const = 0;
  [[nodiscard]] virtual const ClientPlace& client() const = 0;

  // The request's body.
  enum class Source : std::uint8_t {
    more,     // octets were appended, and there may be more now
    again,    // nothing now; the Signal is raised when there is
    end,      // the body is complete; octets may have been appended
    refused,  // its framing is broken: refusal() says how
    gone,     // the client went before the body ended
  };
  // Appends at most `credit` octets of what has come. No credit, no reading: the client waits.
  virtual Source read_body(std::string& out, std::size_t credit) = 0;
  [[nodiscard]] virtual std::optional<std::uint64_t> body_length()
      const = 0;  // declared; 0: there is no body
  [[nodiscard]] virtual Refusal refusal() const = 0;
  // The request is admitted by its head: a client that waits for that may send the body.
  virtual void admit_body() = 0;

  // The answer. Octets leave at once as far as the client takes them, in one piece with the head when that
  // has not left; the rest is kept.
  virtual void start(const AnswerHead& head) = 0;  // sends nothing yet
  virtual void send(std::span<const std::string_view> parts) = 0;
  // The last parts; the answer is complete. A short end may be kept for flush().
  virtual void end(std::span<const std::string_view> parts = {}) = 0;
  // The answer breaks off, and the client can tell: the connection closes without the end of the body.
  virtual void abandon() = 0;
  // Tries again to send what was kept. unsent(): octets the client has yet to take.
  virtual void flush() = 0;
  [[nodiscard]] virtual std::size_t unsent() const = 0;
  [[nodiscard]] virtual std::uint64_t octets_in() const = 0;   // of the body
  [[nodiscard]] virtual std::uint64_t octets_out() const = 0;  // of the answer, its head included

  // The client closed or reset: nobody waits for the answer.
  [[nodiscard]] virtual bool gone() const = 0;
};

}  // namespace perigee::router
