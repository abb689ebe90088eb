#include "router/multipart_scan.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "router/http_head.h"

namespace perigee::router {
namespace {

void trim(std::string_view& text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
}

// The parameters after a value: `; name=token; name="string"`. Backslashes are refused: readers of form data
// differ in what they mean. False when the text has another form.
template <class Visit>
bool each_parameter(std::string_view text, Visit visit) {
  while (true) {
    trim(text);
    if (text.empty()) return true;
    if (text.front() != ';') return false;
    text.remove_prefix(1);
    trim(text);
    if (text.empty()) return true;
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos || !is_token(text.substr(0, equals))) return false;
    const std::string_view name = text.substr(0, equals);
    text.remove_prefix(equals + 1);
    const bool quoted = text.starts_with('"');
    const std::size_t end = quoted ? text.find('"', 1) : std::min(text.find_first_of("; \t"), text.size());
    if (end == std::string_view::npos) return false;
    const std::string_view value = quoted ? text.substr(1, end - 1) : text.substr(0, end);
    if (value.find('\\') != std::string_view::npos || (!quoted && !is_token(value))) return false;
    text.remove_prefix(quoted ? end + 1 : end);
    if (!visit(name, value)) return false;
  }
}

bool boundary_octet(char octet) {  // RFC 2046 section 5.1.1, without the space
  return (octet >= '0' && octet <= '9') || ((octet | 0x20) >= 'a' && (octet | 0x20) <= 'z') ||
         std::string_view("'()+_,-./:=?").find(octet) != std::string_view::npos;
}

// What a part's head says (RFC 7578 section 4.2).
struct PartHead {
  std::optional<std::string_view> name;
  bool is_file = false;
  bool encoded = false;  // its content is not what it seems (RFC 7578 section 4.7: no longer sent)
};

bool read_disposition(std::string_view value, PartHead& head) {
  const std::size_t end = std::min(value.find(';'), value.size());
  std::string_view kind = value.substr(0, end);
  trim(kind);
  if (!same_ignoring_case(kind, "form-data") || head.name) return false;
  const bool read = each_parameter(value.substr(end), [&](std::string_view name, std::string_view text) {
    if (same_ignoring_case(name, "filename") || same_ignoring_case(name, "filename*")) head.is_file = true;
    if (same_ignoring_case(name, "name*")) return false;
    if (!same_ignoring_case(name, "name")) return true;
    if (head.name) return false;
    head.name = text;
    return true;
  });
  return read && head.name.has_value();
}

std::optional<PartHead> parse_part_head(std::string_view text) {
  PartHead head;
  while (text != "\r\n") {
    const std::size_t end = text.find("\r\n");
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 2);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return std::nullopt;
    if (line.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) return std::nullopt;
    const std::string_view name = line.substr(0, colon);
    std::string_view value = line.substr(colon + 1);
    trim(value);
    if (same_ignoring_case(name, "content-disposition") && !read_disposition(value, head))
      return std::nullopt;
    if (same_ignoring_case(name, "content-transfer-encoding"))
      head.encoded = !same_ignoring_case(value, "7bit") && !same_ignoring_case(value, "8bit") &&
                     !same_ignoring_case(value, "binary");
  }
  return head.name ? std::optional(head) : std::nullopt;
}

}  // namespace

std::string_view multipart_fault_name(MultipartFault fault) {
  constexpr std::array<std::string_view, static_cast<std::size_t>(MultipartFault::count_)> kNames = {
      "none",     "bad_boundary",    "bad_part_head",  "too_many_parts", "model_after_file",
      "no_model", "duplicate_model", "value_too_long", "truncated",      "trailing_octets"};
  return kNames[static_cast<std::size_t>(fault)];
}

std::optional<std::string> multipart_boundary(std::string_view content_type) {
  const std::size_t end = std::min(content_type.find(';'), content_type.size());
  std::string_view type = content_type.substr(0, end);
  trim(type);
  if (!same_ignoring_case(type, "multipart/form-data")) return std::nullopt;
  std::optional<std::string> boundary;
  const bool read =
      each_parameter(content_type.substr(end), [&](std::string_view name, std::string_view value) {
        if (!same_ignoring_case(name, "boundary")) return true;
        if (boundary || value.empty() || value.size() > kMaxBoundaryOctets) return false;
        boundary = value;
        return std::all_of(value.begin(), value.end(), boundary_octet);
      });
  return read ? boundary : std::nullopt;
}

MultipartScanner::MultipartScanner(std::string_view boundary) : delimiter_("\r\n--") {
  delimiter_ += boundary;
}

MultipartScanner::Status MultipartScanner::feed(std::string_view octets) {
  std::size_t at = 0;
  while (at < octets.size() && status_ != Status::refused) {
    if (at_ == At::content && matched_ == 0 && part_ == Part::other) {
      // Inside a file: a delimiter can begin at a CR only.
      const void* found = std::memchr(octets.data() + at, '\r', octets.size() - at);
      const std::size_t next =
          found == nullptr ? octets.size()
                           : static_cast<std::size_t>(static_cast<const char*>(found) - octets.data());
      offset_ += next - at;
      at = next;
      if (at == octets.size()) break;
    }
    take(octets[at++]);
    ++offset_;
  }
  return status_;
}

MultipartScanner::Status MultipartScanner::finish() {
  if (status_ == Status::need_more) refuse(MultipartFault::truncated);
  if (status_ == Status::complete && after_first_ == '\r') refuse(MultipartFault::trailing_octets);
  return status_;
}

void MultipartScanner::refuse(MultipartFault fault) {
  if (status_ == Status::refused) return;
  fault_ = fault;
  status_ = Status::refused;
}

void MultipartScanner::take(char octet) {
  switch (at_) {
    case At::content:
      return take_content(octet);
    case At::after_delimiter:
      return after_delimiter(octet);
    case At::part_head:
      if (held_.size() == kMaxPartHeadOctets) return refuse(MultipartFault::bad_part_head);
      held_ += octet;
      if (held_ == "\r\n" || held_.ends_with("\r\n\r\n")) read_part_head();
      return;
    case At::epilogue:  // one line end and nothing more, so that nothing can hide there
      if (octet != (after_first_ == 0 ? '\r' : '\n') || after_first_ == '\n')
        return refuse(MultipartFault::trailing_octets);
      after_first_ = octet;
  }
}

// The delimiter has its only CR at its start, so that after a mismatch nothing before this octet can begin
// another.
void MultipartScanner::take_content(char octet) {
  if (octet == delimiter_[matched_]) {
    if (++matched_ == delimiter_.size()) end_part();
    return;
  }
  if (parts_ == 0) return refuse(MultipartFault::bad_boundary);  // something before the first delimiter
  keep(std::string_view(delimiter_).substr(0, matched_));
  matched_ = octet == '\r' ? 1 : 0;
  if (matched_ == 0) keep({&octet, 1});
}

void MultipartScanner::keep(std::string_view octets) {
  if (part_ == Part::other) return;
  if (held_.size() + octets.size() > kMaxModelOctets) return refuse(MultipartFault::value_too_long);
  held_ += octets;
}

void MultipartScanner::end_part() {
  if (part_ == Part::model) {
    model_ = held_;
    model_range_ = {content_begin_, content_begin_ + held_.size()};
  }
  if (part_ == Part::stream) stream_ = held_ == "true" || held_ == "True" || held_ == "1";
  part_ = Part::other;
  held_.clear();
  after_first_ = 0;
  at_ = At::after_delimiter;
}

void MultipartScanner::after_delimiter(char octet) {
  if (after_first_ == 0) {
    after_first_ = octet;
    return;
  }
  if (after_first_ == '\r' && octet == '\n') {
    if (++parts_ > kMaxParts) return refuse(MultipartFault::too_many_parts);
    at_ = At::part_head;
  } else if (after_first_ == '-' && octet == '-' && parts_ != 0) {
    if (!model_) return refuse(MultipartFault::no_model);
    at_ = At::epilogue;
    status_ = Status::complete;
  } else {
    refuse(MultipartFault::bad_boundary);
  }
  after_first_ = 0;
}

void MultipartScanner::read_part_head() {
  const std::optional<PartHead> head = parse_part_head(held_);
  if (!head) return refuse(MultipartFault::bad_part_head);
  if (head->name == "model") {
    if (head->is_file || head->encoded) return refuse(MultipartFault::bad_part_head);
    if (model_) return refuse(MultipartFault::duplicate_model);
    if (file_seen_) return refuse(MultipartFault::model_after_file);
    part_ = Part::model;
  } else if (head->name == "stream") {
    part_ = Part::stream;
  }
  file_seen_ = file_seen_ || head->is_file;
  held_.clear();
  content_begin_ = offset_ + 1;
  matched_ = 0;
  at_ = At::content;
}

}  // namespace perigee::router
