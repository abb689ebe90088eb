// What an admitted head may ask for, and where its body ends (RFC 9112 section 6). Run after http_head and
// before any other use of the head. Where the RFC lets a recipient repair a message, it is refused instead:
// two readers of one message must never disagree about where it ends.
#pragma once

#include <boost/system/result.hpp>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "router/http_head.h"

namespace perigee::router {

[[noreturn]] inline void throw_exception_from_error(Refusal refusal, const boost::source_location&) {
  throw std::runtime_error(std::string(refusal_name(refusal)));
}
template <class T>
using Checked = boost::system::result<T, Refusal>;

enum class BodyKind : std::uint8_t {
  none,
  length,       // `length` octets
  chunked,      // RFC 9112 section 7.1
  until_close,  // responses only
};

struct RequestFraming {
  BodyKind body = BodyKind::none;
  std::uint64_t length = 0;  // with BodyKind::length; not 0
  bool keep_alive = true;    // the client may send another request on this connection
  bool expect_continue =
      false;  // it waits for 100 (Continue) before it sends the body (RFC 9110 section 10.1.1)
};

struct ResponseFraming {
  BodyKind body = BodyKind::none;
  std::uint64_t length = 0;  // with BodyKind::length; not 0
  bool keep_alive = true;    // the endpoint lets this connection be used again after the body
  bool interim = false;      // 1xx: the next head follows at once; read at most kMaxInterimResponses of them
};
// Endpoints may send 100, 102 or 103 before the answer; none sends more than a few.
inline constexpr unsigned kMaxInterimResponses = 8;

[[nodiscard]] Checked<RequestFraming> check_request(const Head& head);
// `to_head`: the request was HEAD, so that there is no body whatever the fields say.
[[nodiscard]] Checked<ResponseFraming> check_response(const Head& head, bool to_head = false);

// The path of an origin-form target and its query (without '?', empty when there is none).
struct Target {
  std::string_view path;
  std::string_view query;
};
[[nodiscard]] Target split_target(std::string_view target);

}  // namespace perigee::router
