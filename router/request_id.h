// Names of one request: x-request-id and the W3C trace context.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace perigee::router {

// [A-Za-z0-9._-]{1,128}: what may stand in a log or a header as it is.
[[nodiscard]] bool valid_request_id(std::string_view text);

struct TraceParent {                // https://www.w3.org/TR/trace-context/, version 00
  std::array<char, 32> trace_id{};  // lower case hexadecimal, not all zero
  std::array<char, 16> parent_id{};
  std::uint8_t flags = 0;  // bit 0: sampled

  [[nodiscard]] std::string_view trace() const { return {trace_id.data(), trace_id.size()}; }
  [[nodiscard]] std::string_view parent() const { return {parent_id.data(), parent_id.size()}; }
  [[nodiscard]] std::string text() const;  // 55 octets
};
// nullopt: to be ignored. A later version is read as far as version 00 goes, as the specification wants.
[[nodiscard]] std::optional<TraceParent> parse_traceparent(std::string_view text);

// Makes names for one thread's requests. Unique, not secret: seeded once by the kernel, then a counter
// through a mixer, so that a name costs no system call.
class RequestNames {
 public:
  RequestNames();

  // The client's id when it is valid, else 32 new hexadecimal digits.
  [[nodiscard]] std::string request_id(std::string_view from_client);
  // The client's trace with a new parent id, or a new trace.
  [[nodiscard]] TraceParent trace(std::optional<std::string_view> from_client);
  [[nodiscard]] std::uint64_t number();  // 64 well mixed bits, for sampling and jitter too

 private:
  std::uint64_t seed_ = 0;
  std::uint64_t counter_ = 0;
};

}  // namespace perigee::router
