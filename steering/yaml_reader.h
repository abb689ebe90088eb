// Reading a map key by key: a cursor knows its node and path; each field names its key, its type and its
// bounds, and whatever is wrong is reported at its place. A field that is wrong or absent leaves the value as
// it was. When a Map goes, every key that nobody asked for is reported.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "steering/text_units.h"
#include "steering/yaml_document.h"

namespace perigee::yaml {

struct Cursor {
  const Node* node = nullptr;
  std::string path;

  [[nodiscard]] bool is(Node::Kind kind) const { return node->kind == kind; }
};

class Map {
 public:
  // Reports what is no map; it then reads as one without keys. Duplicate keys are reported; the first counts.
  Map(Cursor at, Report& report);
  Map(const Map&) = delete;
  Map& operator=(const Map&) = delete;
  ~Map();

  [[nodiscard]] const std::string& path() const { return at_.path; }
  [[nodiscard]] std::string path(std::string_view key) const { return join(at_.path, key); }
  [[nodiscard]] Report& report() { return report_; }

  // The value of `key`, whatever it is.
  std::optional<Cursor> child(std::string_view key);
  // Reports that `key` is absent; `meaning` says what to give, for example "the peer's PoP, such as \"mel\"".
  bool needs(std::string_view key, std::string_view meaning);
  // All children with their keys, for maps whose keys are names. Wrong names are reported and left out.
  std::vector<std::pair<std::string, Cursor>> named(
      Result<std::string> (*parse)(std::string_view) = parse_name);

  // Each is true when the key is there and right.
  template <class T>
  bool value(std::string_view key, T& out, Result<T> (*parse)(std::string_view));
  // Also null or "none", which read as T{}.
  template <class T>
  bool value_or_none(std::string_view key, T& out, Result<T> (*parse)(std::string_view));
  bool duration(std::string_view key, Nanos& out, Nanos low, Nanos high);
  bool octets(std::string_view key, std::uint64_t& out, std::uint64_t low, std::uint64_t high);
  bool percent(std::string_view key, double& out, double low, double high);
  bool ratio(std::string_view key, double& out, double low, double high);
  template <class T>
  bool integer(std::string_view key, T& out, T low, T high);
  bool text(std::string_view key, std::string& out, std::size_t max_octets);
  bool absolute_path(std::string_view key, std::string& out);
  template <class T>
  bool choice(std::string_view key, T& out, std::initializer_list<std::pair<const char*, T>> words);

 private:
  // The value when it is a scalar; reports what is not. A null value is reported unless `may_be_null`.
  std::optional<Cursor> scalar(std::string_view key, bool may_be_null = false);
  bool in_range(std::string_view key, std::string_view text, bool good, const std::string& low,
                const std::string& high);
  bool wrong_choice(const Cursor& at, const std::vector<std::string_view>& words);

  Cursor at_;
  Report& report_;
  std::vector<std::string_view> known_;
  bool closed_ = true;  // keys nobody asked for are wrong
};

// Items of a sequence of scalars; reports what is none.
std::vector<Cursor> scalars(const Cursor& at, Report& report);
// "no WHAT is named \"x\"; did you mean \"y\"?", or which there are.
std::string unknown_name(std::string_view what, std::string_view name,
                         const std::vector<std::string_view>& known);

template <class T>
bool Map::value(std::string_view key, T& out, Result<T> (*parse)(std::string_view)) {
  const std::optional<Cursor> at = scalar(key);
  if (!at) return false;
  const Result<T> parsed = parse(at->node->scalar);
  if (parsed)
    out = *parsed;
  else
    report_.add(at->node->mark, at->path, parsed.error().what);
  return parsed.has_value();
}

template <class T>
bool Map::value_or_none(std::string_view key, T& out, Result<T> (*parse)(std::string_view)) {
  const std::optional<Cursor> at = scalar(key, true);
  if (!at) return false;
  if (!at->is(Node::Kind::null) && at->node->scalar != "none") return value(key, out, parse);
  out = T{};
  return true;
}

template <class T>
bool Map::integer(std::string_view key, T& out, T low, T high) {
  std::uint64_t number = 0;
  if (!value(key, number, parse_integer)) return false;
  if (!in_range(key, std::to_string(number), number >= low && number <= high, std::to_string(low),
                std::to_string(high)))
    return false;
  out = static_cast<T>(number);
  return true;
}

template <class T>
bool Map::choice(std::string_view key, T& out, std::initializer_list<std::pair<const char*, T>> words) {
  const std::optional<Cursor> at = scalar(key);
  if (!at) return false;
  std::vector<std::string_view> names;
  for (const auto& [word, meaning] : words) {
    if (at->node->scalar == word) {
      out = meaning;
      return true;
    }
    names.emplace_back(word);
  }
  return wrong_choice(*at, names);
}

}  // namespace perigee::yaml
