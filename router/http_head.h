// The head of an HTTP/1 message (RFC 9112 sections 2 to 5), read strictly out of a contiguous buffer. What is
// admitted is an immutable copy; nothing later looks at the octets of the client or endpoint again.
// This file is about the form of a head. What a head may ask for is checked by http_framing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "router/refusal.h"
#include "steering/policy.h"

namespace perigee::router {

struct HeadLimits {
  std::size_t octets = 16U << 10U;  // with the last empty line; at most kMaxHeadOctets
  std::size_t fields = 100;         // at most kMaxHeadFields
};
inline constexpr std::size_t kMaxHeadOctets = kMaxHeaderOctets;
inline constexpr std::size_t kMaxHeadFields = kMaxHeaderFields;

enum class Method : std::uint8_t { get, post, put, patch, delete_, head, options, connect, trace, other };

// The fields that somebody here asks for, recognised once while parsing.
enum class FieldName : std::uint8_t {
  other,
  accept,
  authorization,
  baggage,
  cache_control,
  connection,
  content_disposition,
  content_encoding,
  content_length,
  content_type,
  cookie,
  date,
  expect,
  host,
  idempotency_key,
  keep_alive,
  location,
  openai_beta,
  openai_processing_ms,
  openai_version,
  retry_after,
  retry_after_ms,
  tracestate,
  traceparent,
  transfer_encoding,
  upgrade,
  x_request_id,
  x_stainless_retry_count,
  x_stainless_timeout,
  count_,
};
[[nodiscard]] FieldName field_name(std::string_view name);       // any case
[[nodiscard]] std::string_view field_name_text(FieldName name);  // lower case; "" for other

struct Field {
  FieldName id = FieldName::other;
  std::string_view name;   // as sent, a token (RFC 9110 section 5.6.2)
  std::string_view value;  // without the white space around it; HTAB, SP, visible ASCII and octets >= 0x80
};

class Head {
 public:
  // Of a request.
  [[nodiscard]] Method method() const { return method_; }
  [[nodiscard]] std::string_view method_text() const { return text(0, method_size_); }
  [[nodiscard]] std::string_view target() const {
    return text(target_at_, target_size_);
  }  // without SP and CTL
  // Of a response: 100..999.
  [[nodiscard]] unsigned status() const { return status_; }

  [[nodiscard]] unsigned minor_version() const { return minor_version_; }  // HTTP/1.0 or HTTP/1.1
  [[nodiscard]] std::size_t octets() const { return size_; }  // how many the head took of the buffer

  [[nodiscard]] std::size_t field_count() const { return field_count_; }
  [[nodiscard]] Field field(std::size_t index) const;  // in the order sent
  // The first field of that name. The second form is for names without an enumerator; any case.
  [[nodiscard]] std::optional<std::string_view> find(FieldName name) const;
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
  [[nodiscard]] std::size_t count(FieldName name) const;

 private:
  friend class HeadParser;
  struct Entry {  // without initialisers: it is memory for octets too
    std::uint16_t name_at;
    std::uint16_t name_size;
    std::uint16_t value_at;
    std::uint16_t value_size;
    FieldName id;
  };
  [[nodiscard]] const char* base() const;
  [[nodiscard]] std::string_view text(std::size_t at, std::size_t size) const { return {base() + at, size}; }

  // One allocation: field_count_ entries, then the octets of the head in the memory of further entries.
  std::unique_ptr<Entry[]> block_;
  std::uint16_t size_ = 0;
  std::uint16_t field_count_ = 0;
  std::uint16_t method_size_ = 0;
  std::uint16_t target_at_ = 0;
  std::uint16_t target_size_ = 0;
  std::uint16_t status_ = 0;
  std::uint8_t minor_version_ = 1;
  Method method_ = Method::other;
};

struct HeadResult {
  enum class State : std::uint8_t { need_more, complete, refused };
  State state = State::need_more;
  Refusal refusal = Refusal::none;  // with State::refused
  std::size_t searched = 0;         // with State::need_more: pass it to the next call with the grown buffer
  Head head;                        // with State::complete
};

// `octets`: the buffer from the first octet of the head on; it may hold more than the head.
[[nodiscard]] HeadResult parse_request_head(std::string_view octets, const HeadLimits& limits = {},
                                            std::size_t searched = 0);
[[nodiscard]] HeadResult parse_response_head(std::string_view octets, const HeadLimits& limits = {},
                                             std::size_t searched = 0);

[[nodiscard]] bool same_ignoring_case(std::string_view a, std::string_view b);  // ASCII letters
[[nodiscard]] bool is_token(std::string_view text);                             // RFC 9110 section 5.6.2

}  // namespace perigee::router
