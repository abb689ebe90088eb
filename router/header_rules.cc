#include "router/header_rules.h"

#include <array>
#include <charconv>

namespace perigee::router {
namespace {

// Not among them: everything that speaks for the client (Authorization, Cookie, Forwarded and the like,
// OpenAI's organisation), for the connection, or to a gateway (x-gateway-*); and Accept-Encoding, since
// events are read here.
constexpr bool goes_to_endpoints(FieldName name) {
  return name == FieldName::accept || name == FieldName::content_type || name == FieldName::idempotency_key ||
         name == FieldName::openai_beta || name == FieldName::tracestate || name == FieldName::baggage;
}

// Not among them: the endpoint's server name, cookies, rate limits (of our credential there), and its ids.
constexpr bool goes_to_clients(FieldName name) {
  return name == FieldName::content_type || name == FieldName::content_encoding ||
         name == FieldName::content_disposition || name == FieldName::date ||
         name == FieldName::openai_processing_ms || name == FieldName::openai_version;
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  out += value;
  out += "\r\n";
}

void append_number(std::string& out, std::uint64_t value) {
  std::array<char, 20> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out.append(digits.data(), end);
}

void append_framing(std::string& out, BodyKind body, std::uint64_t length, bool tell_nothing) {
  if (body == BodyKind::chunked) {
    out += "Transfer-Encoding: chunked\r\n";
  } else if (body == BodyKind::length || (body == BodyKind::none && !tell_nothing)) {
    out += "Content-Length: ";
    append_number(out, body == BodyKind::length ? length : 0);
    out += "\r\n";
  }
}

// Whether a Connection field names it, so that it was meant for us only.
bool named_by_connection(const Head& head, std::string_view name) {
  for (std::size_t i = 0; i < head.field_count(); ++i) {
    const Field field = head.field(i);
    if (field.id != FieldName::connection) continue;
    for (std::string_view list = field.value; !list.empty();) {
      const std::size_t comma = list.find(',');
      std::string_view option = list.substr(0, comma);
      while (option.starts_with(' ') || option.starts_with('\t')) option.remove_prefix(1);
      while (option.ends_with(' ') || option.ends_with('\t')) option.remove_suffix(1);
      if (same_ignoring_case(option, name)) return true;
      list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    }
  }
  return false;
}

void append_allowed(std::string& out, const Head& head, bool (*allowed)(FieldName)) {
  for (std::size_t i = 0; i < head.field_count(); ++i) {
    const Field field = head.field(i);
    const std::string_view name = allowed(field.id) ? field_name_text(field.id) : std::string_view{};
    if (!name.empty() && !named_by_connection(head, name)) append_field(out, name, field.value);
  }
}

void append_response_start(std::string& out, const ClientResponseHead& head) {
  out += "HTTP/1.1 ";
  append_number(out, head.status);
  out += ' ';
  out += reason_phrase(head.status);
  out += "\r\n";
  // RFC 9110 section 8.6: 204 and 304 tell no length.
  append_framing(out, head.body, head.length, head.status == 204 || head.status == 304);
  if (!head.keep_alive) out += "Connection: close\r\n";
  if (!head.request_id.empty()) append_field(out, "x-request-id", head.request_id);
  if (head.event_stream) out += "Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n";
  out += head.more_fields;
}

}  // namespace

void write_request_head(std::string& out, const EndpointRequestHead& head, const Head& client) {
  out += head.method;
  out += ' ';
  out += head.target;
  out += " HTTP/1.1\r\n";
  append_field(out, "Host", head.host);
  // A request without a body tells so only where one is expected (RFC 9110 section 8.6).
  append_framing(out, head.body, head.length, head.method != "POST");
  if (!head.authorization.empty()) append_field(out, "Authorization", head.authorization);
  if (!head.request_id.empty()) append_field(out, "x-request-id", head.request_id);
  if (!head.traceparent.empty()) append_field(out, "traceparent", head.traceparent);
  if (!head.keep_alive) out += "Connection: close\r\n";
  out += head.more_fields;
  append_allowed(out, client, goes_to_endpoints);
  out += "\r\n";
}

void write_response_head(std::string& out, const ClientResponseHead& head, const Head& endpoint) {
  append_response_start(out, head);
  append_allowed(out, endpoint, goes_to_clients);
  out += "\r\n";
}

void write_response_head(std::string& out, const ClientResponseHead& head, std::string_view content_type) {
  append_response_start(out, head);
  if (!content_type.empty()) append_field(out, "content-type", content_type);
  out += "\r\n";
}

std::string_view reason_phrase(unsigned status) {
  struct Phrase {
    unsigned status;
    std::string_view text;
  };
  constexpr std::array kPhrases = {
      Phrase{200, "OK"},
      Phrase{201, "Created"},
      Phrase{202, "Accepted"},
      Phrase{204, "No Content"},
      Phrase{206, "Partial Content"},
      Phrase{304, "Not Modified"},
      Phrase{400, "Bad Request"},
      Phrase{401, "Unauthorized"},
      Phrase{403, "Forbidden"},
      Phrase{404, "Not Found"},
      Phrase{405, "Method Not Allowed"},
      Phrase{408, "Request Timeout"},
      Phrase{409, "Conflict"},
      Phrase{411, "Length Required"},
      Phrase{413, "Content Too Large"},
      Phrase{415, "Unsupported Media Type"},
      Phrase{417, "Expectation Failed"},
      Phrase{421, "Misdirected Request"},
      Phrase{422, "Unprocessable Content"},
      Phrase{424, "Failed Dependency"},
      Phrase{429, "Too Many Requests"},
      Phrase{431, "Request Header Fields Too Large"},
      Phrase{500, "Internal Server Error"},
      Phrase{501, "Not Implemented"},
      Phrase{502, "Bad Gateway"},
      Phrase{503, "Service Unavailable"},
      Phrase{504, "Gateway Timeout"},
      Phrase{505, "HTTP Version Not Supported"},
      Phrase{507, "Insufficient Storage"},
  };
  for (const Phrase& phrase : kPhrases)
    if (phrase.status == status) return phrase.text;
  return {};
}

}  // namespace perigee::router
