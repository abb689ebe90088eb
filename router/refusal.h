// Why a message is refused at the trust boundary. Each has a name that never changes (a metric label, a word
// in the log and in the test vectors) and the status that a client gets; the connection is then closed.
#pragma once

#include <cstdint>
#include <string_view>

namespace perigee::router {

enum class Refusal : std::uint8_t {
  none,
  // The form of a head.
  head_too_large,
  too_many_fields,
  empty_start_line,
  bad_start_line,
  bad_version,
  bad_method,
  bad_status,
  bare_cr,
  bare_lf,
  nul_octet,
  obs_fold,
  bad_field_name,
  space_before_colon,
  missing_colon,
  bad_field_value,
  // The target.
  absolute_target,
  authority_target,
  asterisk_target,
  bad_target_octet,
  fragment_in_target,
  bad_percent_encoding,
  encoded_slash,
  double_slash,
  dot_segment,
  // What a head asks for.
  connect_method,
  trace_method,
  upgrade,
  no_host,
  repeated_host,
  bad_host,
  transfer_encoding_not_chunked,
  repeated_transfer_encoding,
  transfer_encoding_with_length,
  transfer_encoding_on_1_0,
  repeated_content_length,
  content_length_list,
  bad_content_length,
  repeated_field,
  bad_expect,
  bad_connection,
  // Chunked bodies.
  bad_chunk_size,
  chunk_size_overflow,
  chunk_extension_too_long,
  bad_chunk_end,
  bad_trailer,
  trailer_too_long,
  // Responses only.
  switching_protocols,
  too_many_interim,
  count_,
};

[[nodiscard]] std::string_view refusal_name(Refusal refusal);  // "obs_fold": the enumerator's name
[[nodiscard]] unsigned refusal_status(
    Refusal refusal);  // 400, 417, 431, 501 or 505; of use for requests only

}  // namespace perigee::router
