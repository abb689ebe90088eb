// Server-sent events (WHATWG HTML section 9.2) as they pass: splits what was read at event boundaries, so
// that every complete event leaves in the turn it came in, unchanged, and says what each one is. Incremental.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "router/usage.h"

namespace perigee::router {

// Of an incomplete event that waits for its end. A larger one (an image, an answer of the Responses API that
// repeats its instructions) passes piece by piece and is known by its beginning.
inline constexpr std::size_t kMaxEventTail = 64U << 10U;

enum class SseKind : std::uint8_t {
  data,
  comment,  // nothing for the application: comments, or fields without data, or with empty data
  usage,    // data whose only content is token usage: `choices` is empty or null
  error,    // data with an `error`, `event: error`, or response.failed
  done,     // data: [DONE]
  part,     // more of an event that is larger than kMaxEventTail
};

struct SseEvent {
  std::string_view octets;  // with its blank line; a part of SseRead::first or ::rest
  SseKind kind = SseKind::data;
  // The stream is complete in its API's sense: [DONE], response.completed, response.incomplete,
  // response.failed.
  bool last = false;
};

// What one read completed. Views hold until the next call.
struct SseRead {
  std::string_view first;            // the event that began in an earlier read; empty when there is none
  std::string_view rest;             // what further leaves, a part of the octets fed
  std::span<const SseEvent> events;  // all of them, in order
  std::uint32_t data_events = 0;     // of kind data, usage or error
  std::optional<TokenUsage> usage;   // the last one among these events
  // An event had data that is neither JSON nor [DONE]: no client could read it. It and all that follows are
  // left out.
  bool broken = false;
};

// An event that passes in parts.
struct LargeEvent {
  bool last = false;  // as SseEvent has it
  UsageFinder usage;
};

class SseSplitter {
 public:
  SseRead feed(std::string_view octets);  // the next octets of the body
  // The body has ended: an event that lacks only its blank line (seen from some engines after [DONE]) is
  // given as the last one, otherwise nothing.
  SseRead finish();

  [[nodiscard]] std::size_t tail_octets() const { return tail_.size(); }
  // A part of an event has left and its end has not come: nothing else may go out in between.
  [[nodiscard]] bool amid_event() const { return amid_.has_value(); }
  [[nodiscard]] bool ended() const { return ended_; }  // an event with `last` was seen

 private:
  // The offset past the first event that ends at or after `at`; npos when none does.
  std::size_t event_end(std::string_view octets, std::size_t at);
  void add(std::string_view event, SseRead& read);
  static void cut(SseRead& read);
  void begin_large(std::string_view head, SseRead& read);
  std::size_t pass_large(std::string_view octets, SseRead& read);

  std::string tail_;   // the incomplete event
  std::string first_;  // owns SseRead::first
  std::vector<SseEvent> events_;
  std::optional<LargeEvent> amid_;  // the one that passes in parts
  bool line_empty_ = true;          // nothing was read of the current line yet
  bool after_cr_ = false;  // the last octet was a CR that ended a line: an LF right after it belongs to it
  bool started_ = false;   // past where a byte order mark may be
  bool ended_ = false;
};

// The data of the event's first data line; empty when it has none. For one look into an event
// (find_response_id).
[[nodiscard]] std::string_view event_data(std::string_view event);

}  // namespace perigee::router
