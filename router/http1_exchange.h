// HTTP/1.1 (RFC 9112) for a client's connection: one Exchange after another over one Stream.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "router/chunked.h"
#include "router/exchange.h"
#include "router/http_framing.h"
#include "router/stream.h"

namespace perigee::router {

// Octets are read into this, one for each thread: what is not used in the turn it came in is copied out.
inline constexpr std::size_t kScratchOctets = 64U << 10U;
using Scratch = std::span<char>;

class Http1Exchange final : public Exchange {
 public:
  // `scratch` is the thread's; both outlive the exchange.
  Http1Exchange(Stream& stream, Scratch scratch, ClientPlace client, const HeadLimits& limits)
      : stream_(stream), scratch_(scratch), client_(client), limits_(limits) {}

  enum class Next : std::uint8_t {
    request,  // head() is a new request
    again,
    refused,  // the head is no proper request: refusal() says why
    gone,     // closed between requests
  };
  // Looks for the next request's head.
  Next next();
  // Octets of a head have come, but not all.
  [[nodiscard]] bool head_begun() const { return !in_.empty(); }
  // The answer is out or kept, and the request was read to its end: another may follow on this connection.
  [[nodiscard]] bool reusable() const;
  // From now on answers say that the connection closes.
  void close_after_answer() { keep_alive_ = false; }
  // The answer broke off, and its end is that of the connection: only a reset tells the client. Or the client
  // does not take it: closed in order, the kernel would hold megabytes for it for as long as it likes.
  [[nodiscard]] bool must_reset() const {
    return abandoned_ && (answer_body_ == BodyKind::until_close || unsent() > 0);
  }
  // Drops the body's octets that have come, at most `limit`; false: nothing more to wait for.
  bool drain(std::size_t& limit);

  [[nodiscard]] const Head& head() const override { return head_; }
  [[nodiscard]] const ClientPlace& client() const override { return client_; }
  Source read_body(std::string& out, std::size_t credit) override;
  [[nodiscard]] std::optional<std::uint64_t> body_length() const override;
  [[nodiscard]] Refusal refusal() const override { return refusal_; }
  void admit_body() override;
  void start(const AnswerHead& head) override;
  void send(std::span<const std::string_view> parts) override { put(parts, false); }
  void end(std::span<const std::string_view> parts) override { put(parts, true); }
  void abandon() override;
  void flush() override;
  [[nodiscard]] std::size_t unsent() const override { return out_.size() - out_sent_; }
  [[nodiscard]] std::uint64_t octets_in() const override { return octets_in_; }
  [[nodiscard]] std::uint64_t octets_out() const override { return octets_out_; }
  [[nodiscard]] bool gone() const override { return failed_ || stream_.peer_closed(); }

 private:
  enum class Body : std::uint8_t { reading, ended, refused };
  void begin_request();
  std::size_t take(std::string_view octets, std::string& out);  // decodes; returns how many were used
  void put(std::span<const std::string_view> parts, bool last);
  void write(std::span<const iovec> parts);
  void keep(std::span<const iovec> parts, std::size_t sent);

  Stream& stream_;
  const Scratch scratch_;
  const ClientPlace client_;
  const HeadLimits limits_;

  std::string in_;            // read, not used yet
  std::size_t searched_ = 0;  // of in_, for the end of a head
  Head head_;
  RequestFraming framing_;
  ChunkedDecoder chunks_;
  std::uint64_t left_ = 0;  // of a body with a length
  Body body_ = Body::ended;
  Refusal refusal_ = Refusal::none;
  std::uint64_t octets_in_ = 0;

  std::string out_;  // the answer's octets that have not left
  std::size_t out_sent_ = 0;
  std::uint64_t octets_out_ = 0;
  BodyKind answer_body_ = BodyKind::none;
  bool keep_alive_ = true;
  bool answered_ = false;
  bool continue_due_ = false;
  bool failed_ = false;
  bool abandoned_ = false;
};

}  // namespace perigee::router
