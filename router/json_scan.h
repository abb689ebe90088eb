// Reads the top level of a JSON request body while it passes, without a DOM: the whole text is checked (RFC
// 8259, strict UTF-8, bounded depth), and only what routing and metering need is kept. Incremental: octets
// may come in any pieces. A key that routes may occur once, in whatever spelling, so that the endpoint cannot
// read another value.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace perigee::router {

inline constexpr unsigned kMaxJsonDepth = 64;
inline constexpr std::size_t kMaxModelOctets = 256;  // of a model's name, or of a response's id

enum class JsonFault : std::uint8_t {
  none,
  not_an_object,     // the body is not one JSON object
  unexpected_octet,  // breaks the grammar
  bad_literal,
  bad_number,
  bad_escape,     // also a lone surrogate
  control_octet,  // unescaped inside a string
  bad_utf8,
  too_deep,
  duplicate_key,    // of a key that routes
  wrong_type,       // of such a key's value
  value_too_long,   // a model's name over kMaxModelOctets
  trailing_octets,  // something after the object
  truncated,        // the body ended inside the object
  count_,
};
[[nodiscard]] std::string_view json_fault_name(JsonFault fault);  // the enumerator's name

struct OctetRange {  // of the body; a string's range includes its quotes
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  [[nodiscard]] bool empty() const { return begin == end; }
  friend bool operator==(const OctetRange&, const OctetRange&) = default;
};

struct JsonFacts {
  std::optional<std::string> model;  // unescaped
  std::optional<std::string> previous_response_id;
  std::optional<bool> stream;         // null reads as absent
  std::optional<bool> include_usage;  // of stream_options
  // max_tokens, max_completion_tokens, max_output_tokens: the largest one given, whole and not negative.
  std::optional<std::uint64_t> max_tokens;
  std::optional<std::uint64_t> n;  // answers asked for
  bool names_request = false;      // there is a `request_id`, of whatever value

  OctetRange model_range;
  OctetRange include_usage_range;    // of the value
  OctetRange stream_options_range;   // an object or null
  bool stream_options_empty = true;  // {} or null
  std::uint64_t object_end = 0;      // of the top level's '}', once complete
};

class JsonScanner {
 public:
  enum class Status : std::uint8_t { need_more, complete, refused };

  // The next octets of the body. Once `refused` it stays so. `complete` may still become `refused` by later
  // octets that are not white space.
  Status feed(std::string_view octets);
  Status finish();  // the body has ended

  [[nodiscard]] Status status() const { return status_; }
  [[nodiscard]] JsonFault fault() const { return fault_; }
  [[nodiscard]] std::uint64_t fault_offset() const { return fault_offset_; }  // in the body
  // Whatever was seen so far; a `model` seen is final unless the scan is refused later.
  [[nodiscard]] const JsonFacts& facts() const { return facts_; }

 private:
  enum class At : std::uint8_t {
    start,
    first_key,  // after '{'
    key,        // after ',' in an object
    colon,
    first_element,  // after '['
    value,
    after_value,
    string,
    sequence,    // inside a UTF-8 sequence that began in an earlier feed
    escape,      // after '\'
    low_escape,  // a high surrogate wants '\'
    low_u,       // ... and 'u'
    hex,
    number,
    literal,
    end,
  };

  enum class Key : std::uint8_t {
    none,
    model,
    previous_response_id,
    stream,
    stream_options,
    include_usage,
    max_tokens,
    max_completion_tokens,
    max_output_tokens,
    n,
  };

  enum class Number : std::uint8_t { sign, zero, integer, point, fraction, exponent, exponent_sign, power };

  void refuse(JsonFault fault);
  void step(char octet);
  void open(char octet);
  void close(char octet);
  void start_string(bool is_key);
  void start_value(char octet);
  void end_key();
  void end_string();
  void end_value();
  void end_literal();
  void end_number();
  void read_string();
  void read_number();
  void read_literal(char octet);
  bool read_sequence();
  void continue_sequence(char octet);
  void read_escape(char octet);
  void read_hex(char octet);
  void keep(std::string_view octets);
  void keep_code_point(std::uint32_t code_point);
  [[nodiscard]] bool in_object() const { return (objects_ >> (depth_ - 1) & 1U) != 0; }
  [[nodiscard]] std::uint64_t offset() const { return base_ + pos_; }

  JsonFacts facts_;
  std::string kept_;        // of the key or value being read, unescaped
  std::string_view text_;   // of this feed()
  std::size_t pos_ = 0;     // in text_
  std::uint64_t base_ = 0;  // of text_ in the body
  std::uint64_t fault_offset_ = 0;
  std::uint64_t value_begin_ = 0;  // of the last value that began on a level with keys of interest
  std::uint64_t objects_ = 0;      // one bit a level: an object, not an array
  std::uint64_t number_ = 0;
  std::string_view literal_;  // what is left of it to read
  char literal_first_ = 0;
  std::uint32_t code_point_ = 0;  // of the \u escape being read
  std::uint16_t high_ = 0;        // the high surrogate before it, or 0
  std::uint16_t seen_ = 0;        // one bit a Key
  std::uint8_t depth_ = 0;
  std::uint8_t hex_left_ = 0;
  std::uint8_t sequence_left_ = 0;  // octets of this UTF-8 sequence, and the range of the next one
  std::uint8_t sequence_low_ = 0;
  std::uint8_t sequence_high_ = 0;
  At at_{};
  Key key_{};  // whose value is being read; none below the levels of interest
  Number number_at_{};
  bool number_whole_ = false;
  bool is_key_ = false;
  bool keeping_ = false;
  bool too_long_ = false;  // the value being read, of a key that routes
  bool in_options_ = false;
  Status status_ = Status::need_more;
  JsonFault fault_ = JsonFault::none;
};

// The change that a body needs before it goes to an endpoint, as at most two replacements in ascending order:
// the octets [at, at + remove) are replaced by `insert`.
struct BodyEdit {
  std::uint64_t at = 0;
  std::uint64_t remove = 0;
  std::string insert;
};
struct BodyEdits {
  std::array<BodyEdit, 2> edits;
  std::size_t count = 0;
  [[nodiscard]] std::int64_t growth() const;  // octets added, less those removed
};
// `served_name` replaces the model's name when it differs; `include_usage` makes a stream report its tokens:
// where there is no stream_options yet, it goes before the last '}', which is still held when a large body is
// on its way. Only after `complete`, and with a model.
[[nodiscard]] BodyEdits body_edits(const JsonFacts& facts, std::string_view served_name, bool include_usage);
[[nodiscard]] std::string apply_edits(std::string_view body, const BodyEdits& edits);

// `text` as a JSON string with its quotes; `text` is valid UTF-8.
void append_json_string(std::string& out, std::string_view text);

}  // namespace perigee::router
