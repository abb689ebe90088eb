#include "router/json_check.h"

#include <bitset>
#include <cstdint>

#include "router/octet_search.h"

namespace perigee::router {
namespace {

bool is_digit(char octet) { return octet >= '0' && octet <= '9'; }
bool is_hex(char octet) {
  return is_digit(octet) || (octet >= 'a' && octet <= 'f') || (octet >= 'A' && octet <= 'F');
}

class Check {
 public:
  explicit Check(std::string_view text) : text_(text) {}

  bool run() {
    while (true) {
      if (!value()) return false;
      if (opened_) continue;
      do {
        const char next = peek();
        if (depth_ == 0) return at_ == text_.size();
        ++at_;
        if (next == ',') break;
        if (next != (objects_[depth_] ? '}' : ']')) return false;
        --depth_;
      } while (true);
      if (objects_[depth_] && !key()) return false;
    }
  }

 private:
  char peek() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
      ++at_;
    return now();
  }
  [[nodiscard]] char now() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  // A whole value, an empty container among them; or the beginning of one that holds something: `opened_`.
  bool value() {
    opened_ = false;
    const char first = peek();
    switch (first) {
      case '"':
        return string();
      case '{':
      case '[':
        return open(first == '{');
      case 't':
        return literal("true");
      case 'f':
        return literal("false");
      case 'n':
        return literal("null");
      case 'N':
        return literal("NaN");
      default:
        return number();
    }
  }

  bool open(bool object) {
    ++at_;
    if (peek() == (object ? '}' : ']')) {
      ++at_;
      return true;
    }
    if (++depth_ > kMaxCheckedDepth) return false;
    objects_[depth_] = object;
    opened_ = true;
    return !object || key();
  }

  bool key() {
    if (peek() != '"' || !string() || peek() != ':') return false;
    ++at_;
    return true;
  }

  bool string() {
    ++at_;
    while (true) {
      at_ = find_octet<JsonStringEnds>(text_, at_);
      if (at_ == text_.size()) return false;
      const char octet = text_[at_++];
      if (octet == '"') return true;
      if (octet != '\\' || !escape()) return false;
    }
  }

  bool escape() {
    const char kind = now();
    ++at_;
    if (kind != 'u')
      return kind != '\0' && std::string_view("\"\\/bfnrt").find(kind) != std::string_view::npos;
    for (int i = 0; i < 4; ++i, ++at_)
      if (!is_hex(now())) return false;
    return true;
  }

  bool literal(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  bool digits() {
    const std::size_t begin = at_;
    while (is_digit(now())) ++at_;
    return at_ > begin;
  }

  bool number() {
    if (now() == '-') ++at_;
    if (now() == 'I') return literal("Infinity");
    if (now() == '0') {
      ++at_;
    } else if (!digits()) {
      return false;
    }
    if (now() == '.') {
      ++at_;
      if (!digits()) return false;
    }
    if (now() != 'e' && now() != 'E') return true;
    ++at_;
    if (now() == '+' || now() == '-') ++at_;
    return digits();
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
  std::bitset<kMaxCheckedDepth + 1> objects_;  // by depth: an object, not an array
  bool opened_ = false;
};

}  // namespace

bool is_json(std::string_view text) { return Check(text).run(); }

}  // namespace perigee::router
