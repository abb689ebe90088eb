#include "router/refusal.h"

#include <array>
#include <cstddef>

namespace perigee::router {
namespace {

struct Row {
  Refusal refusal;
  std::string_view name;
  unsigned status = 400;
};

constexpr std::array kRows = {
    Row{Refusal::none, "none"},
    Row{Refusal::head_too_large, "head_too_large", 431},
    Row{Refusal::too_many_fields, "too_many_fields", 431},
    Row{Refusal::empty_start_line, "empty_start_line"},
    Row{Refusal::bad_start_line, "bad_start_line"},
    Row{Refusal::bad_version, "bad_version", 505},
    Row{Refusal::bad_method, "bad_method"},
    Row{Refusal::bad_status, "bad_status"},
    Row{Refusal::bare_cr, "bare_cr"},
    Row{Refusal::bare_lf, "bare_lf"},
    Row{Refusal::nul_octet, "nul_octet"},
    Row{Refusal::obs_fold, "obs_fold"},
    Row{Refusal::bad_field_name, "bad_field_name"},
    Row{Refusal::space_before_colon, "space_before_colon"},
    Row{Refusal::missing_colon, "missing_colon"},
    Row{Refusal::bad_field_value, "bad_field_value"},
    Row{Refusal::absolute_target, "absolute_target"},
    Row{Refusal::authority_target, "authority_target"},
    Row{Refusal::asterisk_target, "asterisk_target"},
    Row{Refusal::bad_target_octet, "bad_target_octet"},
    Row{Refusal::fragment_in_target, "fragment_in_target"},
    Row{Refusal::bad_percent_encoding, "bad_percent_encoding"},
    Row{Refusal::encoded_slash, "encoded_slash"},
    Row{Refusal::double_slash, "double_slash"},
    Row{Refusal::dot_segment, "dot_segment"},
    Row{Refusal::connect_method, "connect_method", 501},
    Row{Refusal::trace_method, "trace_method", 501},
    Row{Refusal::upgrade, "upgrade"},
    Row{Refusal::no_host, "no_host"},
    Row{Refusal::repeated_host, "repeated_host"},
    Row{Refusal::bad_host, "bad_host"},
    Row{Refusal::transfer_encoding_not_chunked, "transfer_encoding_not_chunked", 501},
    Row{Refusal::repeated_transfer_encoding, "repeated_transfer_encoding"},
    Row{Refusal::transfer_encoding_with_length, "transfer_encoding_with_length"},
    Row{Refusal::transfer_encoding_on_1_0, "transfer_encoding_on_1_0"},
    Row{Refusal::repeated_content_length, "repeated_content_length"},
    Row{Refusal::content_length_list, "content_length_list"},
    Row{Refusal::bad_content_length, "bad_content_length"},
    Row{Refusal::repeated_field, "repeated_field"},
    Row{Refusal::bad_expect, "bad_expect", 417},
    Row{Refusal::bad_connection, "bad_connection"},
    Row{Refusal::bad_chunk_size, "bad_chunk_size"},
    Row{Refusal::chunk_size_overflow, "chunk_size_overflow"},
    Row{Refusal::chunk_extension_too_long, "chunk_extension_too_long"},
    Row{Refusal::bad_chunk_end, "bad_chunk_end"},
    Row{Refusal::bad_trailer, "bad_trailer"},
    Row{Refusal::trailer_too_long, "trailer_too_long"},
    Row{Refusal::switching_protocols, "switching_protocols"},
    Row{Refusal::too_many_interim, "too_many_interim"},
};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kRows.size(); ++i)
    if (kRows[i].refusal != static_cast<Refusal>(i)) return false;
  return kRows.size() == static_cast<std::size_t>(Refusal::count_);
}
static_assert(in_order(), "one row for each refusal");

}  // namespace

std::string_view refusal_name(Refusal refusal) { return kRows[static_cast<std::size_t>(refusal)].name; }
unsigned refusal_status(Refusal refusal) { return kRows[static_cast<std::size_t>(refusal)].status; }

}  // namespace perigee::router
