#include "router/sse.h"

#include <cstring>
#include <utility>

#include "router/json_check.h"
#include "router/octet_search.h"

namespace perigee::router {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

// The fields of an event that say what it is. Data in several lines is known by its first.
struct EventFields {
  std::string_view name;
  std::string_view data;
  std::uint32_t data_lines = 0;
};

// The value of a line "field: value"; one SP after the colon is not part of it. nullopt: another field.
std::optional<std::string_view> field_value(std::string_view line, std::string_view field) {
  if (!line.starts_with(field)) return std::nullopt;
  line.remove_prefix(field.size());
  if (line.empty()) return line;
  if (line.front() != ':') return std::nullopt;
  line.remove_prefix(1);
  if (line.starts_with(' ')) line.remove_prefix(1);
  return line;
}

EventFields read_fields(std::string_view event) {
  EventFields fields;
  while (!event.empty()) {
    const std::size_t end = find_octet<LineEnds>(event, 0);
    const std::string_view line = event.substr(0, end);
    event.remove_prefix(end == event.size() ? end : end + 1);
    if (const auto data = field_value(line, "data")) {
      if (fields.data_lines++ == 0) fields.data = *data;
    } else if (const auto name = field_value(line, "event")) {
      fields.name = *name;
    }
  }
  return fields;
}

// The data of an event with several lines of it, as a client joins them.
std::string joined_data(std::string_view event) {
  std::string joined;
  while (!event.empty()) {
    const std::size_t end = find_octet<LineEnds>(event, 0);
    const auto data = field_value(event.substr(0, end), "data");
    event.remove_prefix(end == event.size() ? end : end + 1);
    if (data) joined.append(*data).append("\n");
  }
  return joined;
}

// Whether `"key":` with something other than null stands anywhere in the data: a cheap look that spares most
// events the walk over their members. Inside a string the quotes would be escaped.
bool may_have(std::string_view data, std::string_view quoted_key) {
  for (std::size_t at = data.find(quoted_key); at != std::string_view::npos;
       at = data.find(quoted_key, at + 1)) {
    std::size_t value = at + quoted_key.size();
    while (value < data.size() && (data[value] == ' ' || data[value] == ':')) ++value;
    if (data.substr(value, 4) != "null") return true;
  }
  return false;
}

bool has_error(std::string_view data) {
  if (!may_have(data, "\"error\"")) return false;
  const std::string_view error = top_level_value(data, "error");
  return !error.empty() && error != "null";
}

// `choices` is [] or null (vLLM): nothing but the usage is told.
bool nothing_chosen(std::string_view data) {
  const std::string_view choices = top_level_value(data, "choices");
  return choices == "null" ||
         (choices.starts_with('[') && choices.find_first_not_of(" \t", 1) == choices.size() - 1);
}

bool ends_stream(std::string_view name) {
  return name == "response.completed" || name == "response.incomplete" || name == "response.failed" ||
         name == "transcript.text.done" || name == "speech.audio.done" ||
         name == "image_generation.completed" || name == "image_edit.completed";
}

// `{"type":"NAME"`: the name of an event whose sender left out the event field.
std::string_view type_of(std::string_view data) {
  constexpr std::string_view kType = "{\"type\":\"";
  return data.starts_with(kType) ? data.substr(kType.size(), data.find('"', kType.size()) - kType.size())
                                 : std::string_view{};
}

}  // namespace

std::string_view event_data(std::string_view event) { return read_fields(event).data; }

std::size_t SseSplitter::event_end(std::string_view octets, std::size_t at) {
  while (at < octets.size()) {
    if (std::exchange(after_cr_, false) && octets[at] == '\n') {
      ++at;
      continue;
    }
    const std::size_t end = find_octet<LineEnds>(octets, at);
    const bool blank = line_empty_ && end == at;
    line_empty_ = end < octets.size();
    if (end == octets.size()) break;
    after_cr_ = octets[end] == '\r';
    at = end + 1;
    if (!blank) continue;
    if (after_cr_ && at < octets.size() && octets[at] == '\n') {
      after_cr_ = false;
      ++at;
    }
    return at;
  }
  return std::string_view::npos;
}

void SseSplitter::add(std::string_view event, SseRead& read) {
  if (read.broken) return;
  SseEvent out{event};
  if (!std::exchange(started_, true) && event.starts_with(kByteOrderMark))
    event.remove_prefix(kByteOrderMark.size());
  const EventFields fields = read_fields(event);
  const bool empty = fields.data.empty() && fields.data_lines <= 1;  // a client sees no event (section 9.2.6)
  const std::string_view name = fields.name.empty() ? type_of(fields.data) : fields.name;
  if (empty) {
    out.kind = SseKind::comment;
  } else if (fields.data.starts_with("[DONE]")) {
    out.kind = SseKind::done;
    out.last = true;
  } else if (!is_json(fields.data_lines == 1 ? fields.data : std::string_view(joined_data(event)))) {
    read.broken = true;
  } else {
    out.last = ends_stream(name);
    if (name == "error" || name == "response.failed" || has_error(fields.data)) out.kind = SseKind::error;
    if (may_have(fields.data, "\"usage\"")) {
      if (const auto usage = find_usage(fields.data)) {
        read.usage = usage;
        if (out.kind == SseKind::data && nothing_chosen(fields.data)) out.kind = SseKind::usage;
      }
    }
    ++read.data_events;
  }
  ended_ = ended_ || out.last;
  events_.push_back(out);
}

// The last event is the broken one: what came before it passes.
void SseSplitter::cut(SseRead& read) {
  const SseEvent& broken = read.events.back();
  read.events = read.events.first(read.events.size() - 1);
  if (broken.octets.data() == read.first.data()) {
    read.first = read.rest = {};
  } else {
    read.rest = read.rest.substr(0, static_cast<std::size_t>(broken.octets.data() - read.rest.data()));
  }
}

// Of an event too large to be held: its name, or the type that its data begins with, says whether it is the
// last, and the data passes through the search for its usage.
void SseSplitter::begin_large(std::string_view head, SseRead& read) {
  const EventFields fields = read_fields(head);
  const std::string_view name = fields.name.empty() ? type_of(fields.data) : fields.name;
  SseEvent out{head};
  if (fields.data.empty()) {
    out.kind = SseKind::comment;
  } else {
    if (name == "error" || name == "response.failed") out.kind = SseKind::error;
    ++read.data_events;
  }
  started_ = true;
  events_.push_back(out);
  LargeEvent& large = amid_.emplace();
  large.last = ends_stream(name);
  const std::string_view response = top_level_value(fields.data, "response");
  large.usage.feed(response.empty() ? fields.data : response);
}

// How many of the octets are the large event's.
std::size_t SseSplitter::pass_large(std::string_view octets, SseRead& read) {
  const std::size_t end = event_end(octets, 0);
  const std::string_view part = octets.substr(0, end);
  events_.push_back({part, SseKind::part});
  amid_->usage.feed(part);
  if (end == std::string_view::npos) return octets.size();
  events_.back().last = amid_->last;
  ended_ = ended_ || amid_->last;
  read.usage = amid_->usage.usage();
  amid_.reset();
  return end;
}

SseRead SseSplitter::feed(std::string_view octets) {
  SseRead read;
  events_.clear();
  std::size_t rest_begin = 0;
  std::size_t rest_end = 0;
  if (amid_ && !octets.empty()) {
    rest_end = pass_large(octets, read);
  } else if (after_cr_ && tail_.empty() && octets.starts_with('\n')) {
    // The other half of a CRLF whose CR ended the last event: it leaves now, and is not the next event's.
    after_cr_ = false;
    rest_end = 1;
    events_.push_back({octets.substr(0, 1), SseKind::comment});
  }
  std::size_t end = event_end(octets, rest_end);
  if (!tail_.empty() && end != std::string_view::npos) {
    tail_ += octets.substr(0, end);
    first_.swap(tail_);
    tail_.clear();
    read.first = first_;
    add(read.first, read);
    rest_begin = rest_end = end;
    end = event_end(octets, end);
  }
  for (; end != std::string_view::npos; end = event_end(octets, end)) {
    add(octets.substr(rest_end, end - rest_end), read);
    rest_end = end;
  }
  read.rest = octets.substr(rest_begin, rest_end - rest_begin);
  const std::string_view incomplete = octets.substr(rest_end);
  if (read.broken || tail_.size() + incomplete.size() <= kMaxEventTail) {
    tail_ += incomplete;
  } else if (tail_.empty()) {
    begin_large(incomplete, read);
    read.rest = octets.substr(rest_begin);
  } else {  // no event was complete
    tail_ += incomplete;
    first_.swap(tail_);
    tail_.clear();
    read.first = first_;
    begin_large(first_, read);
  }
  read.events = events_;
  if (read.broken) cut(read);
  return read;
}

SseRead SseSplitter::finish() {
  SseRead read;
  events_.clear();
  if (tail_.empty()) return read;
  first_.swap(tail_);
  tail_.clear();
  add(first_, read);
  if (read.broken || !events_.back().last) {
    tail_.swap(first_);
    return {};
  }
  read.first = first_;
  read.events = events_;
  return read;
}

}  // namespace perigee::router
