#include "router/json_scan.h"

#include <algorithm>
#include <iterator>
#include <limits>

namespace perigee::router {

namespace {

constexpr std::array<std::string_view, 9> kTopKeys = {"model",
                                                      "previous_response_id",
                                                      "stream",
                                                      "stream_options",
                                                      "",
                                                      "max_tokens",
                                                      "max_completion_tokens",
                                                      "max_output_tokens",
                                                      "n"};

bool white_space(char octet) { return octet == ' ' || octet == '\n' || octet == '\r' || octet == '\t'; }
bool digit(char octet) { return octet >= '0' && octet <= '9'; }

}  // namespace

JsonScanner::Status JsonScanner::feed(std::string_view octets) {
  text_ = octets;
  pos_ = 0;
  while (pos_ < text_.size() && status_ != Status::refused) {
    if (at_ == At::string) {
      read_string();
    } else if (at_ == At::number) {
      read_number();
    } else {
      step(text_[pos_]);
      ++pos_;
    }
  }
  base_ += text_.size();
  text_ = {};
  return status_;
}

JsonScanner::Status JsonScanner::finish() {
  pos_ = 0;
  if (status_ == Status::need_more)
    refuse(at_ == At::start ? JsonFault::not_an_object : JsonFault::truncated);
  return status_;
}

void JsonScanner::refuse(JsonFault fault) {
  if (status_ == Status::refused) return;
  fault_ = fault;
  fault_offset_ = offset();
  status_ = Status::refused;
}

// One octet outside strings and numbers, or inside an escape.
void JsonScanner::step(char octet) {
  switch (at_) {
    case At::sequence:
      return continue_sequence(octet);
    case At::escape:
    case At::low_escape:
    case At::low_u:
      return read_escape(octet);
    case At::hex:
      return read_hex(octet);
    case At::literal:
      return read_literal(octet);
    default:
      break;
  }
  if (white_space(octet)) return;
  switch (at_) {
    case At::start:
      return octet == '{' ? open(octet) : refuse(JsonFault::not_an_object);
    case At::first_key:
      if (octet == '}') return close(octet);
      [[fallthrough]];
    case At::key:
      return octet == '"' ? start_string(true) : refuse(JsonFault::unexpected_octet);
    case At::colon:
      if (octet != ':') return refuse(JsonFault::unexpected_octet);
      at_ = At::value;
      return;
    case At::first_element:
      if (octet == ']') return close(octet);
      [[fallthrough]];
    case At::value:
      return start_value(octet);
    case At::after_value:
      if (octet != ',') return close(octet);
      at_ = in_object() ? At::key : At::value;
      return;
    default:
      return refuse(JsonFault::trailing_octets);
  }
}

void JsonScanner::open(char octet) {
  if (depth_ == kMaxJsonDepth) return refuse(JsonFault::too_deep);
  if (key_ == Key::stream_options) in_options_ = true;
  key_ = Key::none;
  const std::uint64_t bit = std::uint64_t{1} << depth_;
  objects_ = octet == '{' ? objects_ | bit : objects_ & ~bit;
  ++depth_;
  at_ = octet == '{' ? At::first_key : At::first_element;
}

void JsonScanner::close(char octet) {
  if (octet != (in_object() ? '}' : ']')) return refuse(JsonFault::unexpected_octet);
  --depth_;
  at_ = At::after_value;
  if (depth_ == 1 && in_options_) {
    in_options_ = false;
    facts_.stream_options_range = {value_begin_, offset() + 1};
  }
  if (depth_ != 0) return;
  at_ = At::end;
  status_ = Status::complete;
  facts_.object_end = offset();
}

void JsonScanner::start_string(bool is_key) {
  is_key_ = is_key;
  keeping_ = is_key ? depth_ == 1 || (depth_ == 2 && in_options_)
                    : key_ == Key::model || key_ == Key::previous_response_id;
  kept_.clear();
  too_long_ = false;
  at_ = At::string;
}

void JsonScanner::start_value(char octet) {
  constexpr std::array<std::string_view, 6> kFirst = {"",    "\"", "\"n",
                                                      "tfn", "{n", "tfn"};  // by Key; "": any
  const auto key = static_cast<std::size_t>(key_);
  if (key < kFirst.size() && !kFirst[key].empty() && kFirst[key].find(octet) == std::string_view::npos)
    return refuse(JsonFault::wrong_type);
  if (key_ != Key::none && key_ != Key::include_usage) value_begin_ = offset();
  if (key_ == Key::include_usage) facts_.include_usage_range = {offset(), offset()};
  if (octet == '"') return start_string(false);
  if (octet == '{' || octet == '[') return open(octet);
  if (octet == '-' || digit(octet)) {
    number_ = digit(octet) ? static_cast<std::uint64_t>(octet - '0') : 0;
    number_whole_ = octet != '-';
    number_at_ = octet == '-' ? Number::sign : octet == '0' ? Number::zero : Number::integer;
    at_ = At::number;
    return;
  }
  if (octet != 't' && octet != 'f' && octet != 'n') return refuse(JsonFault::unexpected_octet);
  literal_first_ = octet;
  literal_ = octet == 't' ? "rue" : octet == 'f' ? "alse" : "ull";
  at_ = At::literal;
}

void JsonScanner::end_key() {
  at_ = At::colon;
  if (in_options_ && depth_ == 2) facts_.stream_options_empty = false;
  key_ = Key::none;
  if (!keeping_) return;
  if (depth_ == 2) {
    if (kept_ == "include_usage") key_ = Key::include_usage;
  } else {
    if (kept_ == "request_id") facts_.names_request = true;
    const auto* found = std::find(kTopKeys.begin(), kTopKeys.end(), kept_);
    if (found != kTopKeys.end() && !kept_.empty())
      key_ = static_cast<Key>(1 + std::distance(kTopKeys.begin(), found));
  }
  if (key_ == Key::none) return;
  const auto bit = static_cast<std::uint16_t>(1U << static_cast<unsigned>(key_));
  if ((seen_ & bit) != 0) return refuse(JsonFault::duplicate_key);
  seen_ |= bit;
}

void JsonScanner::end_string() {
  ++pos_;
  if (is_key_) return end_key();
  if (too_long_) {
    refuse(JsonFault::value_too_long);
    fault_offset_ = value_begin_;
    return;
  }
  if (key_ == Key::model) {
    facts_.model = kept_;
    facts_.model_range = {value_begin_, offset()};
  }
  if (key_ == Key::previous_response_id) facts_.previous_response_id = kept_;
  end_value();
}

void JsonScanner::end_value() {
  key_ = Key::none;
  at_ = At::after_value;
}

void JsonScanner::read_literal(char octet) {
  if (octet != literal_.front()) return refuse(JsonFault::bad_literal);
  literal_.remove_prefix(1);
  if (literal_.empty()) end_literal();
}

void JsonScanner::end_literal() {
  const bool is_null = literal_first_ == 'n';
  if (key_ == Key::stream && !is_null) facts_.stream = literal_first_ == 't';
  if (key_ == Key::stream_options) facts_.stream_options_range = {value_begin_, offset() + 1};
  if (key_ == Key::include_usage) {
    if (!is_null) facts_.include_usage = literal_first_ == 't';
    facts_.include_usage_range.end = offset() + 1;
  }
  end_value();
}

// RFC 8259 section 6. The octet after the number is left to what follows it.
void JsonScanner::read_number() {
  const char octet = text_[pos_];
  const bool is_digit = digit(octet);
  const Number before = number_at_;
  if (is_digit) {
    if (before == Number::zero) return refuse(JsonFault::bad_number);
    if (before == Number::sign) number_at_ = octet == '0' ? Number::zero : Number::integer;
    if (before == Number::point) number_at_ = Number::fraction;
    if (before == Number::exponent || before == Number::exponent_sign) number_at_ = Number::power;
    if (number_ > (std::numeric_limits<std::uint64_t>::max() - 9) / 10) number_whole_ = false;
    number_ = number_whole_ ? number_ * 10 + static_cast<std::uint64_t>(octet - '0') : 0;
  } else if (octet == '.' && (before == Number::zero || before == Number::integer)) {
    number_at_ = Number::point;
    number_whole_ = false;
  } else if ((octet == 'e' || octet == 'E') &&
             (before == Number::zero || before == Number::integer || before == Number::fraction)) {
    number_at_ = Number::exponent;
    number_whole_ = false;
  } else if ((octet == '+' || octet == '-') && before == Number::exponent) {
    number_at_ = Number::exponent_sign;
  } else {
    return end_number();
  }
  ++pos_;
}

void JsonScanner::end_number() {
  if (number_at_ == Number::sign || number_at_ == Number::point || number_at_ == Number::exponent ||
      number_at_ == Number::exponent_sign)
    return refuse(JsonFault::bad_number);
  if (key_ >= Key::max_tokens && number_whole_) {
    auto& fact = key_ == Key::n ? facts_.n : facts_.max_tokens;
    fact = std::max(fact.value_or(0), number_);
  }
  end_value();
}

}  // namespace perigee::router
