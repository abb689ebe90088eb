// Names of faults, and the changes of a body, which json_scan.h declares.
#include <algorithm>

#include "router/json_scan.h"

namespace perigee::router {

std::string_view json_fault_name(JsonFault fault) {
  constexpr std::array<std::string_view, static_cast<std::size_t>(JsonFault::count_)> kNames = {
      "none",       "not_an_object",  "unexpected_octet", "bad_literal", "bad_number",
      "bad_escape", "control_octet",  "bad_utf8",         "too_deep",    "duplicate_key",
      "wrong_type", "value_too_long", "trailing_octets",  "truncated"};
  return kNames[static_cast<std::size_t>(fault)];
}

void append_json_string(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '"';
  for (const char octet : text) {
    const auto value = static_cast<unsigned char>(octet);
    if (value < 0x20) {
      out += "\\u00";
      out += kHex[value >> 4U];
      out += kHex[value & 15U];
      continue;
    }
    if (octet == '"' || octet == '\\') out += '\\';
    out += octet;
  }
  out += '"';
}

std::int64_t BodyEdits::growth() const {
  std::int64_t total = 0;
  for (std::size_t i = 0; i < count; ++i)
    total += static_cast<std::int64_t>(edits[i].insert.size()) - static_cast<std::int64_t>(edits[i].remove);
  return total;
}

BodyEdits body_edits(const JsonFacts& facts, std::string_view served_name, bool include_usage) {
  BodyEdits out;
  const auto replace = [&](OctetRange range, std::string insert) {
    out.edits[out.count++] = {range.begin, range.end - range.begin, std::move(insert)};
  };
  if (facts.model && *facts.model != served_name) {
    std::string name;
    append_json_string(name, served_name);
    replace(facts.model_range, std::move(name));
  }
  if (include_usage && facts.include_usage != true) {
    const OctetRange options = facts.stream_options_range;
    if (!facts.include_usage_range.empty()) {
      replace(facts.include_usage_range, "true");
    } else if (options.empty()) {
      replace({facts.object_end, facts.object_end}, R"(,"stream_options":{"include_usage":true})");
    } else if (facts.stream_options_empty) {
      replace(options, R"({"include_usage":true})");
    } else {
      replace({options.begin + 1, options.begin + 1}, R"("include_usage":true,)");
    }
  }
  if (out.count == 2 && out.edits[0].at > out.edits[1].at) std::swap(out.edits[0], out.edits[1]);
  return out;
}

std::string apply_edits(std::string_view body, const BodyEdits& edits) {
  std::string out;
  out.reserve(body.size() + static_cast<std::size_t>(std::max<std::int64_t>(edits.growth(), 0)));
  std::size_t at = 0;
  for (std::size_t i = 0; i < edits.count; ++i) {
    const BodyEdit& edit = edits.edits[i];
    out += body.substr(at, edit.at - at);
    out += edit.insert;
    at = edit.at + edit.remove;
  }
  return out += body.substr(at);
}

}  // namespace perigee::router
