#include "router/relay.h"

#include <array>

#include "router/http_head.h"

namespace perigee::router {
namespace {

// Comments that an endpoint sends before its first event wait for that event; past this they go out, and the
// answer is committed.
constexpr std::size_t kMaxWithheld = 16U << 10U;
// Views of one read that go out in one write; more are sent in several.
constexpr std::size_t kMaxParts = 8;

bool is_event_stream(const Head& head) {
  const std::string_view type = head.find(FieldName::content_type).value_or("");
  return same_ignoring_case(type.substr(0, type.find(';')), "text/event-stream");
}

}  // namespace

void Relay::begin(const Head& head, const ResponseFraming& framing, bool strip_usage,
                  std::string_view fields) {
  head_ = &head;
  framing_ = framing;
  strip_usage_ = strip_usage;
  fields_ = fields;
  if (is_event_stream(head)) splitter_.emplace();
}

void Relay::bind(const ResponseBinding& binding) {
  binding_ = binding;
  finder_.want_id();
}

void Relay::learn(std::string_view id, Instant now) {
  if (id.empty()) return;
  binding_.ids->learn(binding_.key, id, binding_.place, now);
  binding_.ids = nullptr;
}

void Relay::keep_alive(std::string_view fields) {
  constexpr std::string_view kComment = ": keep-alive\n\n";
  if (head_ != nullptr && (!event_stream() || splitter_->amid_event())) return;
  if (!committed_ && head_ != nullptr) {
    commit();
    if (!withheld_.empty()) {
      const std::string_view withheld = withheld_;
      exchange_.send({&withheld, 1});
      withheld_ = {};
    }
  } else if (!committed_) {
    committed_ = own_head_ = true;
    AnswerHead answer;
    answer.event_stream = true;
    answer.content_type = "text/event-stream";
    answer.request_id = record_.request_id;
    answer.more_fields = fields;
    record_.status = answer.status;
    exchange_.start(answer);
  }
  exchange_.send({&kComment, 1});
}

bool Relay::continues(const Head& head) { return head.status() == 200 && is_event_stream(head); }

void Relay::forget() {
  head_ = nullptr;
  splitter_.reset();
  finder_ = {};
  withheld_.clear();
  fault_ = {};
  bad_data_ = false;
  record_.first_event = record_.last_event = {};
  record_.events = 0;
  series_ = nullptr;
}

void Relay::note(Instant now, std::uint64_t events) {
  if (record_.first_event.never()) {
    record_.first_event = now;
    series_ = sink_.begin_stream(record_, now - record_.begun - record_.body_wait);
  } else if (series_ != nullptr && event_stream() && now > record_.last_event) {
    series_->gaps.add(now - record_.last_event);
  }
  record_.last_event = now;
  record_.events += events;
}

void Relay::note_bad_data() {
  fault_ = "an event's data is not JSON";
  bad_data_ = true;
}

void Relay::commit() {
  if (committed_) return;
  committed_ = true;
  AnswerHead answer;
  answer.status = head_->status();
  answer.event_stream = event_stream();
  // Events may be taken out and an error added: only other bodies keep the length they came with.
  if (!answer.event_stream && framing_.body == BodyKind::length) answer.length = framing_.length;
  if (framing_.body == BodyKind::none) answer.length = 0;
  answer.request_id = record_.request_id;
  answer.more_fields = fields_;
  answer.endpoint = head_;
  record_.status = answer.status;
  exchange_.start(answer);
}

bool Relay::put(std::string_view payload, Instant now) {
  if (splitter_) {
    const SseRead read = splitter_->feed(payload);
    if (read.broken) note_bad_data();
    if (committed_ || !read.broken) put_events(read, false, now);
    return !read.broken;
  }
  finder_.feed(payload);
  if (binding_.ids != nullptr) learn(finder_.id(), now);
  note(now, 0);
  commit();
  exchange_.send({&payload, 1});
  return true;
}

void Relay::put_events(const SseRead& read, bool last, Instant now) {
  if (read.usage) record_.usage = read.usage;
  if (read.data_events > 0) note(now, read.data_events);
  for (std::size_t i = 0; binding_.ids != nullptr && i < read.events.size(); ++i)
    if (read.events[i].kind == SseKind::data) learn(find_response_id(event_data(read.events[i].octets)), now);
  std::array<std::string_view, kMaxParts> parts;
  std::size_t count = 0;
  const auto add = [&](std::string_view octets) {
    if (octets.empty()) return;
    if (count > 0 && parts[count - 1].data() + parts[count - 1].size() == octets.data()) {
      parts[count - 1] = {parts[count - 1].data(), parts[count - 1].size() + octets.size()};
      return;
    }
    if (count == parts.size()) {
      exchange_.send({parts.data(), count});
      count = 0;
    }
    parts[count++] = octets;
  };
  if (!committed_ && read.data_events == 0 && !last) {
    withheld_.append(read.first).append(read.rest);
    if (withheld_.size() <= kMaxWithheld) return;
  }
  if (!committed_) {
    commit();
    add(withheld_);
  }
  if (strip_usage_ && read.usage) {
    for (const SseEvent& event : read.events) {
      if (event.kind != SseKind::usage) add(event.octets);
    }
  } else if (withheld_.empty() || read.data_events > 0 || last) {
    add(read.first);
    add(read.rest);
  }
  if (last) {
    exchange_.end({parts.data(), count});
  } else if (count > 0) {
    exchange_.send({parts.data(), count});
  } else {
    exchange_.flush();  // a head alone
  }
  withheld_ = {};
}

bool Relay::finish(std::string_view payload, Instant now) {
  if (!splitter_) {
    finder_.feed(payload);
    if (binding_.ids != nullptr) learn(finder_.id(), now);
    record_.usage = finder_.usage();
    if (!payload.empty()) note(now, 0);
    commit();
    exchange_.end({&payload, 1});
    return true;
  }
  SseRead read = splitter_->feed(payload);
  // What lacks only its blank line may still be an event.
  if (!read.broken && splitter_->tail_octets() > 0) {
    put_events(read, false, now);
    read = splitter_->finish();
  }
  const bool whole = !read.broken && splitter_->tail_octets() == 0 && !splitter_->amid_event();
  const bool promised = form_ == StreamForm::chunks || form_ == StreamForm::named_events;
  if (whole && (!promised || splitter_->ended())) {
    put_events(read, true, now);
    return true;
  }
  if (committed_ || !read.broken) put_events(read, false, now);
  fault_ = "the stream ended without its last event";
  if (read.broken) note_bad_data();
  return false;
}

void Relay::break_off(const ApiError& error) {
  if (!event_stream() && !own_head_) {
    exchange_.abandon();
    return;
  }
  std::string event = error_event(form_, error);
  if (splitter_ && splitter_->amid_event()) event.insert(0, "\n\n");  // ends what was begun of another
  const std::string_view part = event;
  exchange_.end({&part, 1});
}

}  // namespace perigee::router
