// The strings of a JSON text: json_scan.h declares the scanner, json_scan.cc has the rest of it.
#include "router/json_scan.h"
#include "router/octet_search.h"

namespace perigee::router {
namespace {

constexpr std::size_t kLongestKey = 32;  // longer ones are not kept: none of them matters

// RFC 3629 section 4: how many octets follow a first octet, and the range of the second. `more` 0: not a
// first octet.
struct Lead {
  std::uint8_t more = 0;
  std::uint8_t low = 0x80;
  std::uint8_t high = 0xbf;
};
Lead lead(std::uint8_t octet) {
  if (octet < 0xc2 || octet > 0xf4) return {};
  if (octet < 0xe0) return {1};
  if (octet == 0xe0) return {2, 0xa0};
  if (octet == 0xed) return {2, 0x80, 0x9f};  // surrogates
  if (octet < 0xf0) return {2};
  if (octet == 0xf0) return {3, 0x90};
  if (octet == 0xf4) return {3, 0x80, 0x8f};
  return {3};
}

bool hex_digit(char octet) {
  return (octet >= '0' && octet <= '9') || ((octet | 0x20) >= 'a' && (octet | 0x20) <= 'f');
}

}  // namespace

void JsonScanner::keep(std::string_view octets) {
  if (!keeping_) return;
  if (kept_.size() + octets.size() > (is_key_ ? kLongestKey : kMaxModelOctets)) {
    keeping_ = false;
    too_long_ = !is_key_;  // refused at its end: what else is wrong with it does not hang on how it was cut
    return;
  }
  kept_ += octets;
}

void JsonScanner::keep_code_point(std::uint32_t code_point) {
  std::array<char, 4> octets{};
  std::size_t size = 0;
  const auto add = [&](std::uint32_t octet) { octets[size++] = static_cast<char>(octet); };
  if (code_point < 0x80) {
    add(code_point);
  } else if (code_point < 0x800) {
    add(0xc0U | code_point >> 6U);
  } else if (code_point < 0x10000) {
    add(0xe0U | code_point >> 12U);
    add(0x80U | (code_point >> 6U & 0x3fU));
  } else {
    add(0xf0U | code_point >> 18U);
    add(0x80U | (code_point >> 12U & 0x3fU));
    add(0x80U | (code_point >> 6U & 0x3fU));
  }
  if (code_point >= 0x80) add(0x80U | (code_point & 0x3fU));
  keep({octets.data(), size});
}

// The fast path: most of a body is the inside of long strings.
void JsonScanner::read_string() {
  while (status_ != Status::refused) {
    const std::size_t end = find_octet<StringOctets>(text_, pos_);
    if (keeping_) keep(text_.substr(pos_, end - pos_));
    pos_ = end;
    if (pos_ == text_.size() || status_ == Status::refused) return;
    const char octet = text_[pos_];
    if (octet == '"') return end_string();
    if (octet == '\\') {
      ++pos_;
      if (pos_ == text_.size() || text_[pos_] == 'u') {
        at_ = At::escape;
        return;
      }
      read_escape(text_[pos_]);
      ++pos_;
    } else if (octet >= 0 && octet < 0x20) {
      return refuse(JsonFault::control_octet);
    } else if (!read_sequence()) {
      return;
    }
  }
}

// True when a whole UTF-8 sequence was read; false when it is cut by the end of the input, or bad.
bool JsonScanner::read_sequence() {
  const auto octet_at = [this](std::size_t i) { return static_cast<std::uint8_t>(text_[pos_ + i]); };
  const Lead first = lead(octet_at(0));
  if (first.more == 0) {
    refuse(JsonFault::bad_utf8);
    return false;
  }
  if (text_.size() - pos_ <= first.more) {
    sequence_left_ = first.more;
    sequence_low_ = first.low;
    sequence_high_ = first.high;
    if (keeping_) keep(text_.substr(pos_, 1));
    ++pos_;
    at_ = At::sequence;
    return false;
  }
  for (std::size_t i = 1; i <= first.more; ++i) {
    const bool second = i == 1;
    if (octet_at(i) >= (second ? first.low : 0x80) && octet_at(i) <= (second ? first.high : 0xbf)) continue;
    pos_ += i;
    refuse(JsonFault::bad_utf8);
    return false;
  }
  if (keeping_) keep(text_.substr(pos_, first.more + 1U));
  pos_ += first.more + 1U;
  return true;
}

void JsonScanner::continue_sequence(char octet) {
  const auto value = static_cast<std::uint8_t>(octet);
  if (value < sequence_low_ || value > sequence_high_) return refuse(JsonFault::bad_utf8);
  keep({&octet, 1});
  sequence_low_ = 0x80;
  sequence_high_ = 0xbf;
  if (--sequence_left_ == 0) at_ = At::string;
}

void JsonScanner::read_escape(char octet) {
  if (at_ == At::low_escape) {
    if (octet != '\\') return refuse(JsonFault::bad_escape);
    at_ = At::low_u;
    return;
  }
  if (octet == 'u') {
    at_ = At::hex;
    hex_left_ = 4;
    code_point_ = 0;
    return;
  }
  constexpr std::string_view kEscapes = "\"\\/bfnrt";
  constexpr std::string_view kOctets = "\"\\/\b\f\n\r\t";
  const std::size_t which = kEscapes.find(octet);
  if (at_ == At::low_u || which == std::string_view::npos) return refuse(JsonFault::bad_escape);
  if (keeping_) keep(kOctets.substr(which, 1));
  at_ = At::string;
}

void JsonScanner::read_hex(char octet) {
  if (!hex_digit(octet)) return refuse(JsonFault::bad_escape);
  const int value = octet <= '9' ? octet - '0' : (octet | 0x20) - 'a' + 10;
  code_point_ = code_point_ << 4U | static_cast<std::uint32_t>(value);
  if (--hex_left_ != 0) return;
  const bool low = code_point_ >= 0xdc00 && code_point_ < 0xe000;
  if (low != (high_ != 0)) return refuse(JsonFault::bad_escape);
  if (code_point_ >= 0xd800 && code_point_ < 0xdc00) {
    high_ = static_cast<std::uint16_t>(code_point_);
    at_ = At::low_escape;
    return;
  }
  if (low) code_point_ = 0x10000U + ((high_ - 0xd800U) << 10U) + (code_point_ - 0xdc00U);
  high_ = 0;
  keep_code_point(code_point_);
  at_ = At::string;
}

}  // namespace perigee::router
