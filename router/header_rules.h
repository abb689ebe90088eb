// Which fields cross the gateway, by allow-lists, and the heads it writes. A head is always written from
// values: what a client or an endpoint sent is never serialised again, so that no field of theirs crosses by
// accident.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "router/http_framing.h"

namespace perigee::router {

struct EndpointRequestHead {
  std::string_view method;         // "POST"
  std::string_view target;         // origin-form: of the admitted client's head
  std::string_view host;           // of the endpoint, by policy
  std::string_view authorization;  // the endpoint's credential as a field value ("Bearer ..."); empty: none
  std::string_view request_id;
  std::string_view traceparent;
  BodyKind body = BodyKind::none;  // none, length or chunked
  std::uint64_t length = 0;
  bool keep_alive = true;
  std::string_view more_fields;  // further lines of ours, each with CRLF
};
// Appends the head, and after its own fields those of `client` that may cross: Accept, Content-Type,
// Idempotency-Key, OpenAI-Beta, tracestate, baggage; none that the client's Connection names (RFC 9110
// section 7.6.1).
void write_request_head(std::string& out, const EndpointRequestHead& head, const Head& client);

struct ClientResponseHead {
  unsigned status = 200;
  BodyKind body = BodyKind::none;  // none, length, chunked, or until_close for a client of HTTP/1.0
  std::uint64_t length = 0;
  bool keep_alive = true;
  bool event_stream = false;  // adds what keeps proxies from holding events back
  std::string_view request_id;
  std::string_view more_fields;  // further lines of ours, each with CRLF: error_fields, diagnostics
};
// Appends the head, and after its own fields those of `endpoint` that may cross: Content-Type,
// Content-Encoding, Content-Disposition, Date, openai-processing-ms, openai-version.
void write_response_head(std::string& out, const ClientResponseHead& head, const Head& endpoint);
// The head of an answer of our own.
void write_response_head(std::string& out, const ClientResponseHead& head, std::string_view content_type);

inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
[[nodiscard]] std::string_view reason_phrase(unsigned status);  // "" when unknown

}  // namespace perigee::router
