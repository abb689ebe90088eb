#include "cli/json_text.h"

#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>
#include <cmath>
#include <cstdio>
#include <optional>

namespace perigee::cli {
namespace {

namespace json = boost::json;

constexpr const char* kUnknown = "-";

const json::value* find(const json::value& value, std::string_view path) {
  boost::system::error_code ignored;
  return value.find_pointer({path.data(), path.size()}, ignored);
}

std::optional<double> number(const json::value& value, std::string_view path) {
  const json::value* found = find(value, path);
  if (found == nullptr || !found->is_number()) return std::nullopt;
  return found->to_number<double>();
}

std::string formatted(const char* format, double value) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

}  // namespace

std::string printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; },
      '?');
  return text;
}

std::string text_at(const json::value& value, std::string_view path) {
  const json::value* found = find(value, path);
  if (found == nullptr || found->is_null()) return kUnknown;
  if (found->is_bool()) return found->get_bool() ? "yes" : "no";
  if (found->is_double()) return formatted("%.6g", found->get_double());
  if (!found->is_string()) return json::serialize(*found);
  return found->get_string().empty() ? kUnknown : printable(std::string(found->get_string()));
}

std::string ms_at(const json::value& value, std::string_view path) {
  const auto ms = number(value, path);
  return ms ? formatted("%.3f", *ms) : kUnknown;
}

std::string percent_at(const json::value& value, std::string_view path) {
  const auto ratio = number(value, path);
  return ratio ? formatted("%.2f%%", *ratio * 100) : kUnknown;
}

std::string age_at(const json::value& value, std::string_view path) {
  const auto seconds = number(value, path);
  if (!seconds || !std::isfinite(*seconds) || std::fabs(*seconds) > 1e15) return kUnknown;
  const auto whole = std::max(0LL, std::llround(*seconds));
  std::array<char, 64> text{};
  const auto two = [&](long long large, const char* unit, long long small, const char* small_unit) {
    std::snprintf(text.data(), text.size(), "%lld%s%02lld%s", large, unit, small, small_unit);
    return std::string(text.data());
  };
  if (whole < 60) return std::to_string(whole) + "s";
  if (whole < 3600) return two(whole / 60, "m", whole % 60, "s");
  if (whole < 86400) return two(whole / 3600, "h", whole / 60 % 60, "m");
  return two(whole / 86400, "d", whole / 3600 % 24, "h");
}

const json::array& list_at(const json::value& value, std::string_view path) {
  static const json::array kNone;
  const json::value* found = find(value, path);
  return found != nullptr && found->is_array() ? found->get_array() : kNone;
}

bool is_true(const json::value& value, std::string_view path) {
  const json::value* found = find(value, path);
  return found != nullptr && found->is_bool() && found->get_bool();
}

bool is_null(const json::value& value, std::string_view path) {
  const json::value* found = find(value, path);
  return found == nullptr || found->is_null();
}

}  // namespace perigee::cli
