// Finds the `model` field of a multipart/form-data body (RFC 7578) while it passes. The field must come
// before any file, so that a request can be routed before its large part arrives, and may occur once.
// Incremental.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "router/json_scan.h"

namespace perigee::router {

inline constexpr std::size_t kMaxBoundaryOctets = 70;    // RFC 2046 section 5.1.1
inline constexpr std::size_t kMaxPartHeadOctets = 2048;  // a name, a file's name and a type
inline constexpr unsigned kMaxParts = 64;                // no such API has more than a few fields

enum class MultipartFault : std::uint8_t {
  none,
  bad_boundary,
  bad_part_head,
  too_many_parts,
  model_after_file,
  no_model,  // the body ended without one
  duplicate_model,
  value_too_long,   // of model or stream
  truncated,        // the body ended before its last boundary
  trailing_octets,  // something after the last boundary
  count_,
};
[[nodiscard]] std::string_view multipart_fault_name(MultipartFault fault);  // the enumerator's name

// The boundary of a Content-Type value when that is multipart/form-data with a usable boundary.
[[nodiscard]] std::optional<std::string> multipart_boundary(std::string_view content_type);

class MultipartScanner {
 public:
  enum class Status : std::uint8_t { need_more, complete, refused };

  explicit MultipartScanner(std::string_view boundary);
  Status feed(std::string_view octets);  // the next octets of the body
  Status finish();                       // the body has ended

  [[nodiscard]] Status status() const { return status_; }
  [[nodiscard]] MultipartFault fault() const { return fault_; }
  [[nodiscard]] const std::optional<std::string>& model() const { return model_; }
  [[nodiscard]] OctetRange model_range() const { return model_range_; }  // of the body, for body edits
  [[nodiscard]] bool stream() const { return stream_; }                  // a field `stream` says true

 private:
  enum class At : std::uint8_t { content, after_delimiter, part_head, epilogue };
  enum class Part : std::uint8_t { other, model, stream };

  void refuse(MultipartFault fault);
  void take(char octet);
  void take_content(char octet);
  void after_delimiter(char octet);
  void end_part();
  void read_part_head();
  void keep(std::string_view octets);

  std::string delimiter_;  // CRLF "--" boundary
  std::string held_;       // the head of a part, or the content of one of interest
  std::optional<std::string> model_;
  OctetRange model_range_;
  std::uint64_t offset_ = 0;  // of the octet looked at, in the body
  std::size_t matched_ = 2;   // octets of the delimiter: the first one has no CRLF before it
  std::uint64_t content_begin_ = 0;
  unsigned parts_ = 0;
  At at_ = At::content;
  Part part_ = Part::other;
  char after_first_ = 0;  // of the two octets after a delimiter, or of the epilogue
  bool file_seen_ = false;
  bool stream_ = false;
  Status status_ = Status::need_more;
  MultipartFault fault_ = MultipartFault::none;
};

}  // namespace perigee::router
