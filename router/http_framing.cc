#include "router/http_framing.h"

#include <array>
#include <limits>

namespace perigee::router {
namespace {

// What both directions read alike out of a head.
struct Fields {
  std::array<std::uint8_t, static_cast<std::size_t>(FieldName::count_)> counts{};
  std::string_view content_length;
  std::string_view transfer_encoding;
  bool close = false;

  [[nodiscard]] std::uint8_t count(FieldName name) const { return counts[static_cast<std::size_t>(name)]; }
};

// The members of a comma-separated list (RFC 9110 section 5.6.1): empty ones are skipped. Stops when `visit`
// says so.
template <class Visit>
bool each_member(std::string_view list, Visit visit) {
  while (true) {
    const std::size_t comma = list.find(',');
    std::string_view member = list.substr(0, comma);
    while (!member.empty() && (member.front() == ' ' || member.front() == '\t')) member.remove_prefix(1);
    while (!member.empty() && (member.back() == ' ' || member.back() == '\t')) member.remove_suffix(1);
    if (!member.empty() && !visit(member)) return false;
    if (comma == std::string_view::npos) return true;
    list.remove_prefix(comma + 1);
  }
}

Refusal read_connection(std::string_view value, bool of_request, Fields& fields) {
  Refusal refusal = Refusal::none;
  each_member(value, [&](std::string_view option) {
    if (!is_token(option)) refusal = Refusal::bad_connection;
    if (of_request && same_ignoring_case(option, "upgrade")) refusal = Refusal::upgrade;
    if (same_ignoring_case(option, "close")) fields.close = true;
    return refusal == Refusal::none;
  });
  return refusal;
}

Refusal read_fields(const Head& head, bool of_request, Fields& fields) {
  for (std::size_t i = 0; i < head.field_count(); ++i) {
    const Field field = head.field(i);
    ++fields.counts[static_cast<std::size_t>(field.id)];
    if (field.id == FieldName::content_length) fields.content_length = field.value;
    if (field.id == FieldName::transfer_encoding) fields.transfer_encoding = field.value;
    if (field.id != FieldName::connection) continue;
    const Refusal refusal = read_connection(field.value, of_request, fields);
    if (refusal != Refusal::none) return refusal;
  }
  return Refusal::none;
}

struct Framing {
  BodyKind body = BodyKind::none;
  std::uint64_t length = 0;
};

// RFC 9112 section 6.3, with every repair that it allows refused. Leading zeros are refused too: some readers
// take them for octal.
Checked<std::uint64_t> read_length(std::string_view text) {
  if (text.find(',') != std::string_view::npos) return Refusal::content_length_list;
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return Refusal::bad_content_length;
  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
  std::uint64_t value = 0;
  for (const char octet : text) {
    if (octet < '0' || octet > '9') return Refusal::bad_content_length;
    const auto digit = static_cast<std::uint64_t>(octet - '0');
    if (value > (kMost - digit) / 10) return Refusal::bad_content_length;
    value = value * 10 + digit;
  }
  return value;
}

Checked<Framing> read_framing(const Head& head, const Fields& fields) {
  const auto encodings = fields.count(FieldName::transfer_encoding);
  const auto lengths = fields.count(FieldName::content_length);
  if (encodings > 1) return Refusal::repeated_transfer_encoding;
  if (lengths > 1) return Refusal::repeated_content_length;
  if (encodings != 0 && lengths != 0) return Refusal::transfer_encoding_with_length;
  if (encodings != 0) {
    if (head.minor_version() == 0) return Refusal::transfer_encoding_on_1_0;
    if (!same_ignoring_case(fields.transfer_encoding, "chunked"))
      return Refusal::transfer_encoding_not_chunked;
    return Framing{BodyKind::chunked, 0};
  }
  if (lengths == 0) return Framing{};
  const Checked<std::uint64_t> length = read_length(fields.content_length);
  if (!length) return length.error();
  return *length == 0 ? Framing{} : Framing{BodyKind::length, *length};
}

int hex_value(char octet) {
  if (octet >= '0' && octet <= '9') return octet - '0';
  const int letter = octet | 0x20;
  return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

// Encoded forms of what a path is divided by, or of what no path holds, would be read by some and not by
// others.
Refusal check_escape(std::string_view after_percent) {
  if (after_percent.size() < 2) return Refusal::bad_percent_encoding;
  const int high = hex_value(after_percent[0]);
  const int low = hex_value(after_percent[1]);
  if (high < 0 || low < 0) return Refusal::bad_percent_encoding;
  const int octet = high * 16 + low;
  if (octet == '/' || octet == '\\') return Refusal::encoded_slash;
  if (octet == '.') return Refusal::dot_segment;
  return octet < 0x20 || octet == 0x7f || octet == '%' ? Refusal::bad_percent_encoding : Refusal::none;
}

Refusal check_path(std::string_view path) {
  for (std::size_t i = 0; i < path.size(); ++i) {
    const std::string_view rest = path.substr(i);
    if (rest.starts_with("//")) return Refusal::double_slash;
    if (rest.starts_with("..") || rest == "/." || rest.starts_with("/./")) return Refusal::dot_segment;
    if (path[i] == '\\') return Refusal::bad_target_octet;
    if (path[i] != '%') continue;
    const Refusal refusal = check_escape(rest.substr(1));
    if (refusal != Refusal::none) return refusal;
  }
  return Refusal::none;
}

Refusal check_target(std::string_view target) {
  for (const char octet : target)
    if (octet <= 0x20 || octet >= 0x7f) return Refusal::bad_target_octet;
  if (target == "*") return Refusal::asterisk_target;
  if (target[0] != '/')
    return target.find("://") != std::string_view::npos ? Refusal::absolute_target
                                                        : Refusal::authority_target;
  if (target.find('#') != std::string_view::npos) return Refusal::fragment_in_target;
  return check_path(split_target(target).path);
}

// RFC 9110 section 7.2, as far as it must be one authority and nothing else: it is compared, never resolved.
bool host_ok(std::string_view host) {
  if (host.empty()) return false;
  for (const char octet : host)
    if (octet <= 0x20 || octet >= 0x7f ||
        std::string_view("/\\@?#,\"<>%{}|^`").find(octet) != std::string_view::npos)
      return false;
  return true;
}

Refusal check_what_it_asks(const Head& head, const Fields& fields) {
  if (fields.count(FieldName::upgrade) != 0) return Refusal::upgrade;
  if (fields.count(FieldName::host) == 0) return Refusal::no_host;
  if (fields.count(FieldName::host) > 1) return Refusal::repeated_host;
  if (!host_ok(*head.find(FieldName::host))) return Refusal::bad_host;
  for (const FieldName name : {FieldName::authorization, FieldName::content_type, FieldName::content_encoding,
                               FieldName::expect, FieldName::idempotency_key})
    if (fields.count(name) > 1) return Refusal::repeated_field;
  const auto expect = head.find(FieldName::expect);
  if (expect && !same_ignoring_case(*expect, "100-continue")) return Refusal::bad_expect;
  return Refusal::none;
}

}  // namespace

Target split_target(std::string_view target) {
  const std::size_t mark = target.find('?');
  if (mark == std::string_view::npos) return {target, {}};
  return {target.substr(0, mark), target.substr(mark + 1)};
}

Checked<RequestFraming> check_request(const Head& head) {
  if (head.method() == Method::connect) return Refusal::connect_method;
  if (head.method() == Method::trace) return Refusal::trace_method;
  Fields fields;
  Refusal refusal = check_target(head.target());
  if (refusal == Refusal::none) refusal = read_fields(head, true, fields);
  if (refusal == Refusal::none) refusal = check_what_it_asks(head, fields);
  if (refusal != Refusal::none) return refusal;
  const Checked<Framing> framing = read_framing(head, fields);
  if (!framing) return framing.error();
  RequestFraming request{framing->body, framing->length};
  request.keep_alive = head.minor_version() == 1 && !fields.close;
  request.expect_continue =
      head.minor_version() == 1 && fields.count(FieldName::expect) != 0 && framing->body != BodyKind::none;
  return request;
}

Checked<ResponseFraming> check_response(const Head& head, bool to_head) {
  if (head.status() == 101) return Refusal::switching_protocols;
  Fields fields;
  const Refusal refusal = read_fields(head, false, fields);
  if (refusal != Refusal::none) return refusal;
  const Checked<Framing> framing = read_framing(head, fields);
  if (!framing) return framing.error();
  ResponseFraming response{framing->body, framing->length};
  response.keep_alive = head.minor_version() == 1 && !fields.close;
  response.interim = head.status() < 200;
  if (to_head || response.interim || head.status() == 204 || head.status() == 304) {
    // It has no body by definition. One that announces a body where none may be announced might still send
    // it, and the next answer on this connection would begin with it.
    if (head.status() == 204 && framing->body != BodyKind::none) response.keep_alive = false;
    response.body = BodyKind::none;
    response.length = 0;
  } else if (fields.count(FieldName::transfer_encoding) == 0 &&
             fields.count(FieldName::content_length) == 0) {
    response.body = BodyKind::until_close;
    response.keep_alive = false;
  }
  return response;
}

}  // namespace perigee::router
