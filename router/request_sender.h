// A request on its way to one endpoint: the head, then the body from its first octet, as far as the client
// has sent it. Each attempt has one of its own, and what it sends stays held for the others.
#pragma once

#include <string>
#include <string_view>

#include "router/endpoint_exchange.h"
#include "router/held_body.h"

namespace perigee::router {

class RequestSender {
 public:
  // `head` outlives it. `chunked`: the body's length is not known.
  RequestSender(HeldBody& body, std::string_view head, bool chunked)
      : body_(body), head_(head), chunked_(chunked) {}

  // Sends what there is and `endpoint` takes. True: something was sent, and it takes more.
  bool push(EndpointExchange& endpoint);
  [[nodiscard]] bool sent_body() const { return body_.sent_all(at_); }  // it was handed out, framed or not
  [[nodiscard]] bool sent_all() const {
    return head_sent_ == head_.size() && chunk_sent_ == chunk_.size() && sent_body() &&
           last_chunk_ == chunked_;
  }
  // There is no other attempt any more: what was sent need not be held.
  void release() { body_.release_sent(at_); }

 private:
  void frame_chunk();

  HeldBody& body_;
  const std::string_view head_;
  const bool chunked_;
  BodyCursor at_;
  std::size_t head_sent_ = 0;
  std::string chunk_;  // of a body without a length: framed, not sent yet
  std::size_t chunk_sent_ = 0;
  bool last_chunk_ = false;
};

}  // namespace perigee::router
