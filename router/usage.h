// What an endpoint says about the tokens of a request, read leniently: engines differ in where they put it
// and in what they leave out. Nothing here refuses an answer; what cannot be read is unknown.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace perigee::router {

struct TokenUsage {
  std::uint64_t prompt = 0;      // prompt_tokens or input_tokens, cached ones included
  std::uint64_t completion = 0;  // completion_tokens or output_tokens, reasoning included
  std::uint64_t cached = 0;
  std::uint64_t reasoning = 0;
  friend bool operator==(const TokenUsage&, const TokenUsage&) = default;
};

// The raw text of the value of `key` at the top level of a JSON object; empty when there is none or the text
// is not such an object. Skips what it does not need; checks no more than it must.
[[nodiscard]] std::string_view top_level_value(std::string_view object, std::string_view key);

// Of one usage object, "{...}".
[[nodiscard]] std::optional<TokenUsage> parse_usage(std::string_view object);

// Of a whole answer or event: `usage` at the top level or in `response` (Responses API).
[[nodiscard]] std::optional<TokenUsage> find_usage(std::string_view json);

// The `id` of a Responses API answer, or of the `response` in one of its events; empty when there is none.
[[nodiscard]] std::string_view find_response_id(std::string_view json);

// The usage of a JSON answer that passes in pieces and is never held. Only `usage` at the top level counts:
// deeper ones may be what the client sent (tools, schemas, metadata) and would let it name its own price.
class UsageFinder {
 public:
  // Also keep the `id` at the top level.
  void want_id() { wants_id_ = true; }
  void feed(std::string_view octets);  // the next octets of the body
  [[nodiscard]] std::optional<TokenUsage> usage() const { return usage_; }
  [[nodiscard]] std::string_view id() const { return id_; }  // as written; empty: not seen, or not wanted

 private:
  std::size_t pass_nested(std::string_view octets, std::size_t at);
  void pass(char octet);
  void keep(std::string_view octets);
  void take(char octet);
  void end_string();

  std::string held_;  // the usage object so far, or the name that may be its key; at most kMaxUsageOctets
  std::optional<TokenUsage> usage_;
  std::string id_;
  std::uint32_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
  enum class Name : std::uint8_t { none, usage, id };
  Name name_read_ = Name::none;  // has just ended at the top level
  Name armed_ = Name::none;      // ... and its colon
  bool reading_id_ = false;
  bool wants_id_ = false;
  bool collecting_ = false;
};
inline constexpr std::size_t kMaxUsageOctets = 4096;  // a longer usage object is not one

}  // namespace perigee::router
