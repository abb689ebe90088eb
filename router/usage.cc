#include "router/usage.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "router/octet_search.h"

namespace perigee::router {
namespace {

bool white_space(char octet) { return octet == ' ' || octet == '\n' || octet == '\r' || octet == '\t'; }

// Walks over JSON text that is taken to be well-formed; stops at its end whatever it is.
class Walk {
 public:
  explicit Walk(std::string_view text) : text_(text) {}

  // Past white space: the next octet, or 0 at the end.
  char peek() {
    while (at_ < text_.size() && white_space(text_[at_])) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char octet) {
    if (peek() != octet) return false;
    ++at_;
    return true;
  }

  // The inside of a string, as written.
  std::string_view string() {
    if (!take('"')) return {};
    const std::size_t begin = at_;
    while (true) {
      at_ = find_octet<StringEnds>(text_, at_);
      if (at_ >= text_.size()) return {};
      if (text_[at_] == '"') break;
      at_ = std::min(at_ + 2, text_.size());
    }
    return text_.substr(begin, at_++ - begin);
  }

  std::string_view value() {
    const char first = peek();
    const std::size_t begin = at_;
    if (first == '"') {
      string();
    } else if (first == '{' || first == '[') {
      skip_nested();
    } else {
      while (at_ < text_.size() && !white_space(text_[at_]) && text_[at_] != ',' && text_[at_] != '}' &&
             text_[at_] != ']')
        ++at_;
    }
    return text_.substr(begin, at_ - begin);
  }

 private:
  void skip_nested() {
    std::size_t depth = 0;
    while (at_ < text_.size()) {
      const char octet = text_[at_];
      if (octet == '"') {
        string();
        continue;
      }
      ++at_;
      if (octet == '{' || octet == '[') ++depth;
      if ((octet == '}' || octet == ']') && --depth == 0) return;
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

// A count, also when it is written with a fraction; nullopt for null and everything else.
std::optional<std::uint64_t> count_of(std::string_view object, std::string_view key) {
  const std::string_view text = top_level_value(object, key);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> first_of(std::string_view object, std::string_view key, std::string_view other) {
  const auto value = count_of(object, key);
  return value ? value : count_of(object, other);
}

std::string_view details(std::string_view object, std::string_view key, std::string_view other) {
  const std::string_view value = top_level_value(object, key);
  return value.starts_with('{') ? value : top_level_value(object, other);
}

std::string_view unquoted(std::string_view text) {
  return text.size() >= 2 && text.front() == '"' ? text.substr(1, text.size() - 2) : std::string_view{};
}

}  // namespace

std::string_view top_level_value(std::string_view object, std::string_view key) {
  Walk walk(object);
  if (!walk.take('{')) return {};
  while (walk.peek() == '"') {
    const std::string_view name = walk.string();
    if (!walk.take(':')) return {};
    const std::string_view value = walk.value();
    if (name == key) return value;
    if (!walk.take(',')) return {};
  }
  return {};
}

std::optional<TokenUsage> parse_usage(std::string_view object) {
  const auto prompt = first_of(object, "prompt_tokens", "input_tokens");
  const auto completion = first_of(object, "completion_tokens", "output_tokens");
  const auto total = count_of(object, "total_tokens");
  if (!prompt && !completion && !total) return std::nullopt;
  TokenUsage usage;
  usage.completion = completion.value_or(0);
  // Rerank and score tell only the total.
  usage.prompt = prompt ? *prompt : std::max(total.value_or(0), usage.completion) - usage.completion;
  usage.cached = count_of(details(object, "prompt_tokens_details", "input_tokens_details"), "cached_tokens")
                     .value_or(count_of(object, "prompt_cache_hit_tokens").value_or(0));
  usage.reasoning =
      count_of(details(object, "completion_tokens_details", "output_tokens_details"), "reasoning_tokens")
          .value_or(0);
  return usage;
}

std::optional<TokenUsage> find_usage(std::string_view json) {
  const std::string_view usage = top_level_value(json, "usage");
  if (usage.starts_with('{')) return parse_usage(usage);
  const std::string_view inner = top_level_value(top_level_value(json, "response"), "usage");
  return inner.starts_with('{') ? parse_usage(inner) : std::nullopt;
}

std::string_view find_response_id(std::string_view json) {
  const std::string_view response = top_level_value(json, "response");
  return unquoted(top_level_value(response.starts_with('{') ? response : json, "id"));
}

void UsageFinder::feed(std::string_view octets) {
  std::size_t at = 0;
  while (at < octets.size()) {
    if (depth_ > 1 && !collecting_) {
      at = pass_nested(octets, at);
      continue;
    }
    const std::size_t next = in_string_ && !escaped_ ? find_octet<StringEnds>(octets, at) : at;
    keep(octets.substr(at, next - at));
    at = next;
    if (at < octets.size()) take(octets[at++]);
  }
}

// Below the top level nothing is kept: only what opens and closes is looked at.
std::size_t UsageFinder::pass_nested(std::string_view octets, std::size_t at) {
  while (depth_ > 1 && at < octets.size()) {
    if (std::exchange(escaped_, false)) {
      ++at;
      continue;
    }
    at = in_string_ ? find_octet<StringEnds>(octets, at) : find_octet<StructureOctets>(octets, at);
    if (at < octets.size()) pass(octets[at++]);
  }
  return at;
}

void UsageFinder::pass(char octet) {
  if (octet == '"') {
    in_string_ = !in_string_;
  } else if (in_string_) {
    escaped_ = true;
  } else if (octet == '{' || octet == '[') {
    ++depth_;
  } else {
    --depth_;
  }
}

void UsageFinder::keep(std::string_view octets) {
  if (collecting_ || (in_string_ && depth_ == 1)) held_ += octets.substr(0, kMaxUsageOctets - held_.size());
}

void UsageFinder::take(char octet) {
  keep({&octet, 1});
  if (in_string_) {
    if (escaped_ || octet == '\\') {
      escaped_ = !escaped_;
    } else if (octet == '"') {
      end_string();
    }
    return;
  }
  if (white_space(octet)) return;
  const Name was_armed = armed_;
  armed_ = octet == ':' ? name_read_ : Name::none;
  name_read_ = Name::none;
  if (octet == '"') {
    in_string_ = true;
    reading_id_ = was_armed == Name::id;
    if (!collecting_) held_.clear();
  } else if (octet == '{' || octet == '[') {
    if (was_armed == Name::usage && octet == '{') {
      collecting_ = true;
      held_ = "{";
    }
    ++depth_;
  } else if ((octet == '}' || octet == ']') && depth_ != 0 && --depth_ == 1 && collecting_) {
    collecting_ = false;
    if (held_.size() == kMaxUsageOctets) return;  // cut: nothing that counts tokens is this long
    if (const auto usage = parse_usage(held_)) usage_ = usage;
  }
}

void UsageFinder::end_string() {
  in_string_ = false;
  if (collecting_ || depth_ != 1) return;
  if (std::exchange(reading_id_, false)) {
    if (id_.empty() && held_.size() < kMaxUsageOctets) id_.assign(held_, 0, held_.size() - 1);
  } else if (held_ == "usage\"") {
    name_read_ = Name::usage;
  } else if (wants_id_ && held_ == "id\"") {
    name_read_ = Name::id;
  }
}

}  // namespace perigee::router
