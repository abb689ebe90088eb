// Any octets as a head of either direction and, where one is admitted, its framing and chunked body: the
// answer is the same in whatever pieces the octets come, and what is admitted holds what every later reader
// relies on.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "router/chunked.h"
#include "router/header_rules.h"

namespace perigee::router {
namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

HeadResult parse(bool request, std::string_view octets, std::size_t searched = 0) {
  return request ? parse_request_head(octets, {}, searched) : parse_response_head(octets, {}, searched);
}

// Octet by octet a head may be refused earlier, and for what stands earlier, but never be another one.
void check_pieces(bool request, std::string_view octets, const HeadResult& whole) {
  HeadResult cut;
  std::size_t size = 0;
  while (cut.state == HeadResult::State::need_more && size < octets.size())
    cut = parse(request, octets.substr(0, ++size), cut.searched);
  require(cut.state == whole.state, "one outcome in whatever pieces");
  if (whole.state == HeadResult::State::complete)
    require(cut.head.octets() == whole.head.octets(), "one end");
}

void check_head(bool request, const Head& head) {
  require(head.field_count() <= HeadLimits{}.fields, "bounded fields");
  for (std::size_t i = 0; i < head.field_count(); ++i) {
    const Field field = head.field(i);
    require(is_token(field.name), "names are tokens");
    require(field.value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos,
            "values are one line");
    require(field.id == field_name(field.name), "names are recognised");
  }
  require(request || (head.status() >= 100 && head.status() < 600), "a status");
}

void check_chunks(std::string_view body) {
  std::string payloads[2];
  ChunkedDecoder decoders[2];
  for (std::size_t at = 0, which = 0; which < 2; ++which, at = 0) {
    while (at < body.size() && decoders[which].state() == ChunkedDecoder::State::reading) {
      const auto step = decoders[which].next(which == 0 ? body.substr(at) : body.substr(at, 1));
      require(step.consumed > 0, "progress");
      payloads[which] += step.payload;
      at += step.consumed;
    }
  }
  require(payloads[0] == payloads[1], "one payload in whatever pieces");
  require(decoders[0].state() == decoders[1].state(), "one end in whatever pieces");
  require(decoders[0].refusal() == decoders[1].refusal(), "one refusal in whatever pieces");
}

void check_request_use(const Head& head, std::string_view rest) {
  const auto framing = check_request(head);
  if (!framing) return require(refusal_status(framing.error()) >= 400, "a status for each refusal");
  require(head.count(FieldName::host) == 1 && head.target().starts_with('/'), "one place to go");
  if (framing->body == BodyKind::chunked) check_chunks(rest);
  std::string out;
  write_request_head(
      out, {"POST", head.target(), "host", "", "", "", framing->body, framing->length, true, ""}, head);
  const HeadResult again = parse(true, out);
  require(again.state == HeadResult::State::complete && again.head.octets() == out.size(),
          "one head is written");
  const auto sent = check_request(again.head);
  require(sent && sent->body == framing->body && sent->length == framing->length, "with its framing");
}

void check(bool request, std::string_view octets) {
  const HeadResult result = parse(request, octets);
  check_pieces(request, octets, result);
  if (result.state != HeadResult::State::complete) return;
  check_head(request, result.head);
  const std::string_view rest = octets.substr(result.head.octets());
  if (request) return check_request_use(result.head, rest);
  const auto framing = check_response(result.head);
  if (framing && framing->body == BodyKind::chunked) check_chunks(rest);
}

}  // namespace
}  // namespace perigee::router

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view octets(size == 0 ? "" : reinterpret_cast<const char*>(data), size);
  perigee::router::check(!octets.starts_with("HTTP"), octets);
  return 0;
}
