#include "router/attempt.h"

#include <algorithm>

#include "router/choose.h"
#include "router/orca.h"
#include "steering/expected_cost.h"

namespace perigee::router {
namespace {

constexpr Nanos kHealthLook = std::chrono::seconds(1);  // how often, while nothing comes

std::optional<Nanos> retry_after_of(const Head& head) {
  const auto seconds = head.find(FieldName::retry_after);
  if (!seconds || seconds->empty() || seconds->size() > 6 ||
      seconds->find_first_not_of("0123456789") != std::string_view::npos)
    return std::nullopt;  // a date: rare, and clocks differ
  return std::chrono::seconds(std::stol(std::string(*seconds)));
}

ApiError unavailable(unsigned status, std::string_view code, std::string message) {
  return {status, "", code, "", std::move(message), std::nullopt, std::nullopt};
}

}  // namespace

Attempt::Attempt(ThreadContext& thread, Exchange& exchange, Signal& signal, HeldBody& body, Relay& relay,
                 RequestRecord& record, const AttemptTask& task)
    : thread_(thread),
      exchange_(exchange),
      signal_(signal),
      body_(body),
      relay_(relay),
      record_(record),
      task_(task),
      sender_(body, task.head, task.chunked),
      timer_(thread.loop.timers(), signal),
      comment_timer_(thread.loop.timers(), signal),
      commented_(record.begun) {}

bool Attempt::end(AttemptEnd::Kind kind, AttemptResult result, std::string reason) {
  end_.kind = kind;
  end_.result = result;
  end_.reason = std::move(reason);
  return true;
}

bool Attempt::fail(unsigned status, std::string_view code, std::string message, AttemptResult result) {
  end_.error = unavailable(status, code, message);
  return end(AttemptEnd::Kind::elsewhere, result, std::move(message));
}

bool Attempt::start(bool fresh) {
  auto connection = fresh ? thread_.pool.open(task_.endpoint.target, signal_)
                          : thread_.pool.acquire(task_.endpoint.target, signal_);
  if (!connection) {
    const bool ours = connection.error().where == Stream::kNoDescriptors;
    fail(ours ? 503 : 502, ours ? "no_descriptors" : "endpoint_unreachable", "the endpoint cannot be reached",
         ours ? AttemptResult::neutral : AttemptResult::failure);
    end_.reason = connection.error().text();
    return false;
  }
  started_ = thread_.loop.now();
  successes_before_ = successes();
  whole_ = !fresh && body_.complete();
  endpoint_.emplace(std::move(*connection), thread_.endpoint_scratch);
  open_ = endpoint_->reused();
  wait_for(Waiting::connect, thread_.loop.now() + task_.timeouts.connect);
  if (task_.sse_keep_alive > Nanos(0)) comment_timer_.arm(commented_ + task_.sse_keep_alive);
  return true;
}

bool Attempt::step() {
  if (watch() || establish() || send() || receive()) return true;
  set_waiting();
  return false;
}

AttemptEnd Attempt::finish() {
  if (endpoint_ && end_.kind != AttemptEnd::Kind::answered) endpoint_->stream().abort();  // it stops at once
  // After a comment there is no status any more, and no other attempt.
  if (relay_.committed() &&
      (end_.kind == AttemptEnd::Kind::elsewhere || end_.kind == AttemptEnd::Kind::failed)) {
    relay_.break_off(end_.error);
    end_.kind = AttemptEnd::Kind::broken_off;
    end_.stale = false;
  }
  return std::move(end_);
}

void Attempt::cancel() {
  if (endpoint_) endpoint_->stream().abort();
  endpoint_.reset();
  timer_.disarm();
  comment_timer_.disarm();
}

// What can end an attempt from outside: the client, its time, our own end.
bool Attempt::watch() {
  exchange_.flush();
  if (exchange_.gone()) return end(AttemptEnd::Kind::client_gone, AttemptResult::neutral, "the client went");
  if (thread_.drain_over) {
    if (relay_.committed()) relay_.break_off(unavailable(503, "draining", "this gateway is being stopped"));
    end_.error = unavailable(503, "draining", "this gateway is being stopped");
    return end(AttemptEnd::Kind::drained, AttemptResult::neutral, "the drain deadline is over");
  }
  if (comment_timer_.expired()) keep_alive();
  if (!timer_.expired()) return false;
  return thread_.loop.now() < due_ ? look_at_health() : time_out();
}

// A host that died sends nothing, not even a reset: its health checks know it long before the silence is too
// long.
bool Attempt::look_at_health() {
  wait_for(waiting_, due_);
  const bool dead = task_.endpoint.counters->dead.load(std::memory_order_relaxed);
  if (!dead || task_.panic || waiting_ == Waiting::client_sends || waiting_ == Waiting::client_takes)
    return false;
  if (relay_.committed()) return endpoint_broke("it is dead for its health checks");
  return fail(502, "endpoint_dead", "the endpoint died before its answer began", AttemptResult::failure);
}

void Attempt::keep_alive() {
  const Instant now = thread_.loop.now();
  Instant due = std::max(record_.last_event, commented_) + task_.sse_keep_alive;
  if (due <= now) {
    if (exchange_.unsent() == 0) relay_.keep_alive(task_.answer_fields);
    commented_ = now;
    due = now + task_.sse_keep_alive;
  }
  comment_timer_.arm(due);
}

bool Attempt::time_out() {
  const Instant now = thread_.loop.now();
  if (waiting_ == Waiting::client_sends) {
    const Instant due =
        record_.begun + task_.limits.body_grace +
        std::chrono::nanoseconds(body_.size() * 1'000'000'000ULL / task_.limits.min_body_rate);
    if (now < due && now < task_.total_deadline) {
      wait_for(waiting_, due);
      return false;
    }
    end_.error = unavailable(408, "body_too_slow", "the request body comes too slowly");
    if (relay_.committed()) relay_.break_off(end_.error);
    return end(AttemptEnd::Kind::client_stalled, AttemptResult::neutral, "the client sends too slowly");
  }
  if (waiting_ == Waiting::client_takes) {
    exchange_.abandon();
    return end(AttemptEnd::Kind::client_stalled, AttemptResult::neutral, "the client takes nothing");
  }
  end_.timed_out = true;
  const bool whole_time = now >= task_.total_deadline;  // not that of one wait
  if (!whole_time && relay_.committed()) return endpoint_broke("it was silent for too long");
  if (!whole_time && waiting_ == Waiting::connect)
    return fail(504, "connect_timeout", "connecting to the endpoint took too long", AttemptResult::failure);
  // An endpoint that thinks for so long has the request: to send it again elsewhere would pay for it twice.
  end_.error = unavailable(504, "endpoint_timeout", "the endpoint did not answer in time");
  end_.error.should_retry = false;
  // One that sends this answer, or sent another one meanwhile, works: it is asked for more than fits.
  const bool works = whole_time && (relay_.has_event() || successes() != successes_before_);
  return end(AttemptEnd::Kind::failed, works ? AttemptResult::neutral : AttemptResult::failure, "too late");
}

bool Attempt::establish() {
  progress_ = false;
  if (open_) return false;
  const IoStatus status = endpoint_->stream().establish();
  if (status == IoStatus::again) return false;
  if (status == IoStatus::ok) {
    open_ = progress_ = true;
    measure();
    return false;
  }
  fail(502, "endpoint_unreachable", "the endpoint cannot be reached", AttemptResult::failure);
  end_.reason = endpoint_->stream().failure();
  return true;
}

// The head and as much of the body as there is and as the endpoint takes. What was sent makes room for more,
// and that may be here already.
bool Attempt::send() {
  bool more = false;
  do {
    if (!body_.complete() && take_body()) return true;
    if (!open_ || endpoint_->failed()) return false;
    const std::uint64_t before = endpoint_->octets_sent();
    more = sender_.push(*endpoint_);
    progress_ = progress_ || endpoint_->octets_sent() > before;
  } while (more && !body_.complete());
  if (record_.sent.never() && sender_.sent_all()) record_.sent = thread_.loop.now();
  return false;
}

bool Attempt::take_body() {
  switch (body_.read()) {
    case HeldBody::Progress::gone:
      return end(AttemptEnd::Kind::client_gone, AttemptResult::neutral, "the client went");
    case HeldBody::Progress::refused:
      end_.error = body_.error();
      if (relay_.committed()) relay_.break_off(end_.error);
      return end(AttemptEnd::Kind::body_refused, AttemptResult::neutral, "the body is refused");
    case HeldBody::Progress::again:
    case HeldBody::Progress::routable:
      break;
  }
  return false;
}

bool Attempt::receive() {
  if (!open_) return false;
  while (exchange_.unsent() == 0) {  // else the client has to take first: that holds the endpoint back
    const EndpointExchange::Piece piece = endpoint_->read();
    if (piece.state == EndpointExchange::State::again) return false;
    if (piece.state == EndpointExchange::State::broken) return endpoint_broke(endpoint_->fault());
    progress_ = true;
    const Instant now = thread_.loop.now();
    if (piece.state == EndpointExchange::State::head) {
      if (judge_status()) return true;
      continue;
    }
    const bool last = piece.state == EndpointExchange::State::end;
    const bool good = last ? relay_.finish(piece.payload, now) : relay_.put(piece.payload, now);
    if (!began_ && relay_.has_event()) answer_began(now);
    if (relay_.committed()) begun();
    if (!good) return endpoint_broke(relay_.fault());
    if (last) return finish_answer();
  }
  return false;
}

// Its first event or octet of another body. What a stream took that was not expected to wait is what the
// endpoint takes.
void Attempt::answer_began(Instant now) {
  began_ = true;
  task_.in_flight.answer_began();
  if (!whole_ || !relay_.event_stream()) return;
  if (const auto took = service_seen(task_.cost, now - started_))
    thread_.samples->service.put({task_.endpoint.id, task_.pool, task_.tokens, *took});
}

// Something of the answer went to the client: nothing is tried again, and a trial of the breaker is over. It
// need not wait for the end of a long stream.
void Attempt::begun() {
  sender_.release();
  if (!task_.permit.trial) return;
  report(*task_.endpoint.counters, task_.permit, end_.result, task_.breaker, thread_.loop.now());
  task_.permit.trial = task_.permit.counts = false;
}

// The response's head is there: whether it is for the client.
bool Attempt::judge_status() {
  const Head& head = endpoint_->head();
  const unsigned status = head.status();
  EndpointCounters& counters = *task_.endpoint.counters;
  const Instant now = thread_.loop.now();
  const AttemptResult result = result_of_status(static_cast<std::uint16_t>(status));
  if (task_.endpoint.load.orca)
    take_report(head.find(kOrcaAnswerName), now, task_.endpoint.load.counts(), counters);
  const auto said = [status] { return "the endpoint answered " + std::to_string(status); };
  if (status >= 300 && status < 400) {
    end_.error = unavailable(502, "endpoint_redirect", "the endpoint answered with a redirection");
    return end(AttemptEnd::Kind::failed, AttemptResult::failure, said());
  }
  if (status == 401 || status == 403) {
    return fail(502, "endpoint_refused_gateway", "the endpoint refused this gateway's credential", result);
  }
  if (status == 404 && task_.absent_id) {
    remember_absent(counters, *task_.absent_id, now);
    return fail(503, "model_not_loaded", "the endpoint does not have the model at the moment", result);
  }
  if (status == 408 || status == 429 || status == 502 || status == 503 || status == 504) {
    const auto after = retry_after_of(head);
    if (status == 429 || status == 503) remember_retry_after(counters, after, now);
    fail(status == 429 ? 429 : 503, "endpoint_overloaded", "the endpoint cannot take the request now",
         result);
    end_.error.retry_after = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::min(after.value_or(kDefaultRetryAfter), kMaxRetryAfter));
    end_.reason = said();
    return true;
  }
  end_.result = result;
  if (relay_.committed() && !Relay::continues(head)) {
    end_.error = unavailable(status >= 400 ? status : 502, "endpoint_error", said());
    return end(AttemptEnd::Kind::failed, result, said());
  }
  if (beside_ && status >= 300) return end(AttemptEnd::Kind::elsewhere, result, said());
  relay_.begin(head, endpoint_->framing(), body_.asks_usage(), task_.answer_fields);
  return false;
}

// What the way to the endpoint takes, where no data plane measures it.
void Attempt::measure() {
  RttWindow& window = task_.endpoint.counters->rtt;
  const Instant now = thread_.loop.now();
  if (!window.due(now)) return;
  if (const auto rtt = endpoint_->stream().rtt()) window.add(*rtt, now);
}

bool Attempt::finish_answer() {
  measure();
  if (auto stream = endpoint_->take_reusable(); stream != nullptr && sender_.sent_all()) {
    stream->bind(nullptr);
    const bool grown = body_.size() > kInitialWindow;  // else it cannot have
    const std::uint32_t window = grown ? stream->window() : kInitialWindow;
    thread_.pool.release(task_.endpoint.target, std::move(stream), window);
  }
  endpoint_.reset();
  return end(AttemptEnd::Kind::answered, end_.result, "");
}

bool Attempt::endpoint_broke(std::string_view why) {
  const std::string_view code = relay_.bad_data() ? "endpoint_bad_data" : "endpoint_broke_off";
  if (relay_.committed()) {
    end_.error = unavailable(502, code, "the endpoint broke off its answer");
    relay_.break_off(end_.error);
    return end(AttemptEnd::Kind::broken_off, AttemptResult::failure, std::string(why));
  }
  end_.stale = endpoint_->reused() && !endpoint_->responded();
  fail(502, code, "the endpoint broke off before its answer began",
       end_.stale ? AttemptResult::neutral : AttemptResult::failure);
  end_.reason = why;
  return true;
}

void Attempt::wait_for(Waiting waiting, Instant deadline) {
  waiting_ = waiting;
  due_ = std::min(deadline, task_.total_deadline);
  timer_.arm(std::min(due_, thread_.loop.now() + kHealthLook));
}

void Attempt::set_waiting() {
  Waiting next = Waiting::next_event;
  Nanos limit = task_.timeouts.idle;
  if (!open_) {
    return;  // the time to connect runs from its beginning
  } else if (exchange_.unsent() > 0) {
    next = Waiting::client_takes;
    limit = task_.limits.write_stall;
  } else if (!sender_.sent_body() && !endpoint_->stream().writable()) {
    next = Waiting::endpoint_takes;
  } else if (!body_.complete()) {
    next = Waiting::client_sends;
    limit = task_.limits.body_grace;
  } else if (!relay_.has_event()) {
    next = Waiting::first_event;
    // What is generated but not streamed comes when all of it is there.
    const bool streamed = task_.stream == StreamForm::none || body_.stream();
    limit = streamed ? task_.timeouts.first_event : task_.timeouts.total;
    if (waiting_ == next) return;  // neither a head nor a comment is an answer
  }
  if (next != waiting_ || progress_) wait_for(next, thread_.loop.now() + limit);
}

}  // namespace perigee::router
