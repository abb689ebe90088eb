#include "router/http_head.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "router/octet_search.h"

namespace perigee::router {
namespace {

// RFC 9110 section 5.6.2.
constexpr std::array<bool, 256> kToken = [] {
  std::array<bool, 256> table{};
  for (const char octet : std::string_view("!#$%&'*+-.^_`|~0123456789"))
    table[static_cast<unsigned char>(octet)] = true;
  for (unsigned letter = 'a'; letter <= 'z'; ++letter) table[letter] = table[letter - 0x20] = true;
  return table;
}();

bool token_octet(char octet) { return kToken[static_cast<unsigned char>(octet)]; }
char lower(char octet) { return octet >= 'A' && octet <= 'Z' ? static_cast<char>(octet + 0x20) : octet; }
bool blank(char octet) { return octet == ' ' || octet == '\t'; }

struct Known {
  std::string_view text;
  FieldName id;
};
constexpr std::array kKnown = {
    Known{"accept", FieldName::accept},
    Known{"authorization", FieldName::authorization},
    Known{"baggage", FieldName::baggage},
    Known{"cache-control", FieldName::cache_control},
    Known{"connection", FieldName::connection},
    Known{"content-disposition", FieldName::content_disposition},
    Known{"content-encoding", FieldName::content_encoding},
    Known{"content-length", FieldName::content_length},
    Known{"content-type", FieldName::content_type},
    Known{"cookie", FieldName::cookie},
    Known{"date", FieldName::date},
    Known{"expect", FieldName::expect},
    Known{"host", FieldName::host},
    Known{"idempotency-key", FieldName::idempotency_key},
    Known{"keep-alive", FieldName::keep_alive},
    Known{"location", FieldName::location},
    Known{"openai-beta", FieldName::openai_beta},
    Known{"openai-processing-ms", FieldName::openai_processing_ms},
    Known{"openai-version", FieldName::openai_version},
    Known{"retry-after", FieldName::retry_after},
    Known{"retry-after-ms", FieldName::retry_after_ms},
    Known{"tracestate", FieldName::tracestate},
    Known{"traceparent", FieldName::traceparent},
    Known{"transfer-encoding", FieldName::transfer_encoding},
    Known{"upgrade", FieldName::upgrade},
    Known{"x-request-id", FieldName::x_request_id},
    Known{"x-stainless-retry-count", FieldName::x_stainless_retry_count},
    Known{"x-stainless-timeout", FieldName::x_stainless_timeout},
};
static_assert(kKnown.size() + 1 == static_cast<std::size_t>(FieldName::count_));

// kKnown by length, so that a name is compared with the few that it can be.
constexpr std::size_t kLongestName = 23;
struct ByLength {
  std::array<Known, kKnown.size()> names = kKnown;
  std::array<std::uint8_t, kLongestName + 2> first{};  // of each length; the next one's is the end
};
constexpr ByLength kByLength = [] {
  ByLength table;
  std::sort(table.names.begin(), table.names.end(),
            [](const Known& a, const Known& b) { return a.text.size() < b.text.size(); });
  for (std::size_t length = 0; length < table.first.size(); ++length)
    for (const Known& known : table.names)
      if (known.text.size() < length) ++table.first[length];
  return table;
}();

// `known` is in lower case; both are of one length.
bool is_known(std::string_view name, std::string_view known) {
  for (std::size_t i = 0; i < name.size(); ++i)
    if (lower(name[i]) != known[i]) return false;
  return true;
}

constexpr std::array kMethods = {
    std::pair{std::string_view("GET"), Method::get},
    std::pair{std::string_view("POST"), Method::post},
    std::pair{std::string_view("PUT"), Method::put},
    std::pair{std::string_view("PATCH"), Method::patch},
    std::pair{std::string_view("DELETE"), Method::delete_},
    std::pair{std::string_view("HEAD"), Method::head},
    std::pair{std::string_view("OPTIONS"), Method::options},
    std::pair{std::string_view("CONNECT"), Method::connect},
    std::pair{std::string_view("TRACE"), Method::trace},
};

// Whether it is of the form HTTP/DIGIT.DIGIT (RFC 9112 section 2.3), so that the client is told about
// versions.
bool some_version(std::string_view text) {
  const auto digit = [](char octet) { return octet >= '0' && octet <= '9'; };
  return text.size() == 8 && text.starts_with("HTTP/") && digit(text[5]) && text[6] == '.' && digit(text[7]);
}

struct End {
  HeadResult::State state = HeadResult::State::need_more;
  Refusal refusal = Refusal::none;
  std::size_t at = 0;  // the head's size, or from where to search again
};

// The empty line. Lines end in CRLF and in nothing else: a recipient may take a lone LF for a line's end (RFC
// 9112 section 2.2), so that two of them could read different heads.
End find_end(std::string_view octets, const HeadLimits& limits, std::size_t searched) {
  const std::string_view head = octets.substr(0, std::min(limits.octets, kMaxHeadOctets));
  std::size_t line = searched;
  while (line < head.size()) {
    const void* found = std::memchr(head.data() + line, '\n', head.size() - line);
    if (found == nullptr) break;
    const auto lf = static_cast<std::size_t>(static_cast<const char*>(found) - head.data());
    if (lf == 0 || head[lf - 1] != '\r') return {HeadResult::State::refused, Refusal::bare_lf};
    if (lf == 1) return {HeadResult::State::refused, Refusal::empty_start_line};
    if (lf - line == 1) return {HeadResult::State::complete, Refusal::none, lf + 1};
    line = lf + 1;
  }
  if (head.size() < octets.size() || head.size() == limits.octets)
    return {HeadResult::State::refused, Refusal::head_too_large};
  return {HeadResult::State::need_more, Refusal::none, line};
}

}  // namespace

FieldName field_name(std::string_view name) {
  if (name.size() > kLongestName || name.empty()) return FieldName::other;
  const std::size_t end = kByLength.first[name.size() + 1];
  for (std::size_t i = kByLength.first[name.size()]; i < end; ++i)
    if (is_known(name, kByLength.names[i].text)) return kByLength.names[i].id;
  return FieldName::other;
}

std::string_view field_name_text(FieldName name) {
  for (const Known& known : kKnown)
    if (known.id == name) return known.text;
  return {};
}

bool same_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), token_octet);
}

// Reads the lines of a head whose end is known: every line is followed by CRLF, the last one by an empty
// line.
class HeadParser {
 public:
  explicit HeadParser(std::string_view octets) : text_(octets) {}

  Refusal request_line() {
    const std::string_view line = take_line();
    if (refusal_ != Refusal::none) return refusal_;
    const std::size_t method_end = line.find(' ');
    const std::string_view method = line.substr(0, method_end);
    if (!is_token(method)) return Refusal::bad_method;
    if (method_end == std::string_view::npos) return Refusal::bad_start_line;
    const std::size_t target_at = method_end + 1;
    const std::size_t target_end = line.find(' ', target_at);
    if (target_end == std::string_view::npos || target_end == target_at) return Refusal::bad_start_line;
    if (!version(line.substr(target_end + 1))) return refusal_;
    for (const auto& [name, value] : kMethods)
      if (name == method) head_.method_ = value;
    head_.method_size_ = static_cast<std::uint16_t>(method.size());
    head_.target_at_ = static_cast<std::uint16_t>(target_at);
    head_.target_size_ = static_cast<std::uint16_t>(target_end - target_at);
    return Refusal::none;
  }

  // RFC 9112 section 4. The SP before an absent reason phrase may be missing: nothing depends on it.
  Refusal status_line() {
    const std::string_view line = take_line();
    if (refusal_ != Refusal::none) return refusal_;
    if (!version(line.substr(0, 8))) return refusal_;
    if (line.size() < 12 || line[8] != ' ' || (line.size() > 12 && line[12] != ' '))
      return Refusal::bad_status;
    unsigned status = 0;
    for (const char digit : line.substr(9, 3)) {
      if (digit < '0' || digit > '9') return Refusal::bad_status;
      status = status * 10 + static_cast<unsigned>(digit - '0');
    }
    if (status < 100 || status > 599) return Refusal::bad_status;
    head_.status_ = static_cast<std::uint16_t>(status);
    return Refusal::none;
  }

  Refusal fields(std::size_t limit) {
    while (text_[at_] != '\r' || text_[at_ + 1] != '\n') {
      if (count_ == std::min(limit, kMaxHeadFields)) return Refusal::too_many_fields;
      if (!field_line()) return refusal_;
    }
    return Refusal::none;
  }

  Head finish() {
    const std::size_t room = (text_.size() + sizeof(Head::Entry) - 1) / sizeof(Head::Entry);
    head_.block_ = std::make_unique_for_overwrite<Head::Entry[]>(count_ + room);
    std::copy_n(entries_.begin(), count_, head_.block_.get());
    std::memcpy(static_cast<void*>(head_.block_.get() + count_), text_.data(), text_.size());
    head_.size_ = static_cast<std::uint16_t>(text_.size());
    head_.field_count_ = static_cast<std::uint16_t>(count_);
    return std::move(head_);
  }

 private:
  bool refuse(Refusal refusal) {
    refusal_ = refusal;
    return false;
  }

  // The line from at_ on without its CRLF; at_ goes past it.
  std::string_view take_line() {
    const std::size_t begin = at_;
    const std::size_t end = find_octet<ControlOctets>(text_, at_);
    if (!line_ends(end, Refusal::bad_start_line)) return {};
    return text_.substr(begin, end - begin);
  }

  bool line_ends(std::size_t end, Refusal otherwise) {
    if (text_[end] == '\0') return refuse(Refusal::nul_octet);
    if (text_[end] != '\r') return refuse(otherwise);
    if (text_[end + 1] != '\n') return refuse(Refusal::bare_cr);
    at_ = end + 2;
    return true;
  }

  bool version(std::string_view text) {
    if (text == "HTTP/1.1" || text == "HTTP/1.0") {
      head_.minor_version_ = static_cast<std::uint8_t>(text[7] - '0');
      return true;
    }
    return refuse(some_version(text) ? Refusal::bad_version : Refusal::bad_start_line);
  }

  bool bad_name(std::size_t end) {
    const char octet = text_[end];
    if (octet == '\0') return refuse(Refusal::nul_octet);
    if (octet == '\r') return refuse(text_[end + 1] == '\n' ? Refusal::missing_colon : Refusal::bare_cr);
    if (!blank(octet)) return refuse(Refusal::bad_field_name);
    if (end == at_) return refuse(Refusal::obs_fold);
    const std::size_t next = text_.find_first_not_of(" \t", end);
    return refuse(text_[next] == ':' ? Refusal::space_before_colon : Refusal::bad_field_name);
  }

  bool field_line() {
    const std::size_t name_at = at_;
    std::size_t end = name_at;
    while (token_octet(text_[end])) ++end;
    if (end == name_at || text_[end] != ':') return bad_name(end);
    std::size_t value_at = end + 1;
    while (blank(text_[value_at])) ++value_at;
    std::size_t value_end = find_octet<ControlOctets>(text_, value_at);
    if (!line_ends(value_end, Refusal::bad_field_value)) return false;
    while (value_end > value_at && blank(text_[value_end - 1])) --value_end;
    entries_[count_++] = {static_cast<std::uint16_t>(name_at), static_cast<std::uint16_t>(end - name_at),
                          static_cast<std::uint16_t>(value_at),
                          static_cast<std::uint16_t>(value_end - value_at),
                          field_name(text_.substr(name_at, end - name_at))};
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t count_ = 0;
  Refusal refusal_ = Refusal::none;
  Head head_;
  std::array<Head::Entry, kMaxHeadFields> entries_;  // only the first count_ are ever read
};

namespace {

HeadResult refused(Refusal refusal) { return {HeadResult::State::refused, refusal, 0, {}}; }

HeadResult parse_head(std::string_view octets, const HeadLimits& limits, std::size_t searched,
                      Refusal (HeadParser::*start_line)()) {
  const End end = find_end(octets, limits, searched);
  if (end.state == HeadResult::State::refused) return refused(end.refusal);
  if (end.state == HeadResult::State::need_more) return {end.state, Refusal::none, end.at, {}};
  HeadParser parser(octets.substr(0, end.at));
  Refusal refusal = (parser.*start_line)();
  if (refusal == Refusal::none) refusal = parser.fields(limits.fields);
  if (refusal != Refusal::none) return refused(refusal);
  return {HeadResult::State::complete, Refusal::none, 0, parser.finish()};
}

}  // namespace

HeadResult parse_request_head(std::string_view octets, const HeadLimits& limits, std::size_t searched) {
  // A TLS record or another protocol is refused at its first octet, not when its time is over.
  if (!octets.empty() && !token_octet(octets[0]) && octets[0] != '\r' && octets[0] != '\n')
    return refused(Refusal::bad_method);
  return parse_head(octets, limits, searched, &HeadParser::request_line);
}

HeadResult parse_response_head(std::string_view octets, const HeadLimits& limits, std::size_t searched) {
  if (!octets.empty() && octets[0] != 'H') return refused(Refusal::bad_start_line);
  return parse_head(octets, limits, searched, &HeadParser::status_line);
}

const char* Head::base() const {
  // To char only: the octets are written and read as char.
  return reinterpret_cast<const char*>(block_.get() + field_count_);
}

Field Head::field(std::size_t index) const {
  const Entry& entry = block_[index];
  return {entry.id, text(entry.name_at, entry.name_size), text(entry.value_at, entry.value_size)};
}

std::optional<std::string_view> Head::find(FieldName name) const {
  for (std::size_t i = 0; i < field_count_; ++i)
    if (block_[i].id == name) return text(block_[i].value_at, block_[i].value_size);
  return std::nullopt;
}

std::optional<std::string_view> Head::find(std::string_view name) const {
  for (std::size_t i = 0; i < field_count_; ++i)
    if (same_ignoring_case(text(block_[i].name_at, block_[i].name_size), name))
      return text(block_[i].value_at, block_[i].value_size);
  return std::nullopt;
}

std::size_t Head::count(FieldName name) const {
  std::size_t found = 0;
  for (std::size_t i = 0; i < field_count_; ++i) found += block_[i].id == name ? 1U : 0U;
  return found;
}

}  // namespace perigee::router
