// A log line: one JSON object, member by member. Text of others is cut, and holds visible ASCII alone.
#pragma once

#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

#include "contract/units.h"

namespace perigee::router {

inline constexpr std::size_t kMaxLineText = 128;  // of one member: as long as a request id may be

class JsonLine {
 public:
  explicit JsonLine(std::string& out) : out_(out) {}

  void text(std::string_view name, std::string_view value) {
    if (value.empty()) return;
    key(name);
    out_ += '"';
    for (const char octet : value.substr(0, kMaxLineText)) {
      if (octet == '"' || octet == '\\') out_ += '\\';
      out_ += octet >= ' ' && octet <= '~' ? octet : '?';
    }
    out_ += '"';
  }
  // RFC 3339 in UTC, to the millisecond.
  void time(std::string_view name, std::chrono::system_clock::time_point at);
  void number(std::string_view name, std::uint64_t value) {
    key(name);
    std::array<char, 20> digits;
    out_.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr);
  }
  void flag(std::string_view name) {
    key(name);
    out_ += "true";
  }
  // In milliseconds, to the microsecond; left out unless both happened.
  void span(std::string_view name, Instant from, Instant to) {
    if (from.never() || to.never() || to < from) return;
    duration(name, to - from);
  }
  // The same; not negative.
  void duration(std::string_view name, Nanos length) {
    key(name);
    std::array<char, 32> digits;
    const double value = std::floor(static_cast<double>(length.count()) / 1e3) / 1e3;
    out_.append(
        digits.data(),
        std::to_chars(digits.data(), digits.data() + digits.size(), value, std::chars_format::fixed, 3).ptr);
  }
  void end() { out_ += "}\n"; }

 private:
  void key(std::string_view name) {
    out_ += first_ ? '{' : ',';
    first_ = false;
    out_.append("\"").append(name).append("\":");
  }

  std::string& out_;
  bool first_ = true;
};

}  // namespace perigee::router
