#include "router/session.h"

#include <algorithm>
#include <charconv>

#include "router/admission.h"

namespace perigee::router {
Session::Session(ThreadContext& thread, Exchange& exchange, Signal& signal, std::size_t listener)
    : thread_(thread),
      exchange_(exchange),
      signal_(signal),
      snapshot_(thread.snapshot),
      listener_(snapshot_->listeners[listener]),
      service_(snapshot_->services[listener_.service]),
      timer_(thread.loop.timers(), signal),
      budget_(thread.shared.retries),
      body_(exchange, thread.shared.held,
            {limits().body_octets, snapshot_->settings.body_hold, snapshot_->settings.held_octets}) {}

Task<void> Session::run() {
  bool on = open() && admit();
  if (on) on = co_await read();
  if (on) on = route();
  if (on && ((key_ != nullptr && key_->limits.any()) || service_.limits.any())) on = co_await reserve();
  if (on && service_.gate != nullptr && !enter()) on = co_await queue();
  // What is sent in one turn leaves in one go, after all that was read in it: whoever gets it is woken less
  // often.
  if (on) co_await signal_.pass();
  if (on) co_await attempts();
  co_await deliver();
  finish();
  if (reservation_.metered())
    co_await Limiter::settle(reservation_, record_.tokens_prompt + record_.tokens_completion);
}

// By the head alone: who asks, for what.
bool Session::open() {
  const Head& head = exchange_.head();
  record_.begun = thread_.loop.now();
  record_.request_id = thread_.names.request_id(head.find(FieldName::x_request_id).value_or(""));
  trace_ = thread_.names.trace(head.find(FieldName::traceparent));
  record_.trace_id = trace_.trace();
  record_.client = exchange_.client().address;
  record_.service = service_.name;
  const std::string_view retry = head.find(FieldName::x_stainless_retry_count).value_or("");
  std::from_chars(retry.data(), retry.data() + retry.size(), record_.client_retry);
  operation_ = match_operation(head.method(), split_target(head.target()).path);
  if (!operation_) return answer(unknown_path(head.method()), Ending::refused);
  record_.operation = operation_->operation;
  return true;
}

bool Session::admit() {
  const Identity identity = identify(*snapshot_, service_, exchange_.head());
  if (identity.error) return answer(*identity.error, Ending::refused);
  key_ = identity.key;
  if (key_ != nullptr) {
    record_.key = key_->id;
    record_.tenant = key_->tenant;
  }
  if (const auto error = body_.expect(operation_->operation)) {
    return answer(*error, Ending::refused);
  }
  exchange_.admit_body();
  return true;
}

Instant Session::body_due() const {
  return record_.begun + limits().body_grace +
         std::chrono::nanoseconds(body_.size() * 1'000'000'000ULL / limits().min_body_rate);
}

// Until the model is known and enough of the body is there to send it.
Task<bool> Session::read() {
  while (true) {
    const auto progress = body_.read();
    if (progress == HeldBody::Progress::routable) break;
    if (progress == HeldBody::Progress::refused) co_return answer(body_.error(), Ending::refused);
    if (progress == HeldBody::Progress::gone || exchange_.gone()) {
      record_.ending = Ending::client_gone;
      co_return false;
    }
    if (thread_.drain_over) {
      record_.ending = Ending::drained;
      co_return false;
    }
    if (timer_.expired() && thread_.loop.now() >= body_due()) {
      timer_.disarm();
      ApiError error;
      error.status = 408;
      error.code = "body_too_slow";
      error.message = "the request body comes too slowly";
      co_return answer(error, Ending::client_stalled);
    }
    if (!timer_.armed()) timer_.arm(body_due());
    co_await signal_.wait();
  }
  timer_.disarm();
  record_.body_wait = thread_.loop.now() - record_.begun;
  co_return true;
}

Task<bool> Session::reserve() {
  reservation_ = co_await Limiter::reserve(
      key_ == nullptr ? Limited() : Limited{&key_->limits, key_->counters.get()},
      Limited{&service_.limits, service_.counters.get()}, estimate_.all(), thread_.loop.now());
  record_.would_refuse = reservation_.would_refuse();
  if (reservation_.error()) co_return answer(*reservation_.error(), Ending::shed);
  co_return true;
}

bool Session::enter() {
  if (!service_.gate->enter()) return false;
  place_ = Place(*service_.gate);
  return true;
}

// Until there is a place among the requests of the service.
Task<bool> Session::queue() {
  Gate& gate = *service_.gate;
  const Priority of_key = key_ == nullptr ? Priority::normal : key_->priority;
  const Priority priority = std::max(of_key, extension_.objective.value_or(of_key));
  const auto waiter = gate.wait(thread_.loop, signal_, priority);
  if (waiter == nullptr) co_return shed(Shed::full);
  const Instant since = thread_.loop.now();
  timer_.arm(since + service_.queue_time);
  const auto goes_on = [&] {
    return waiter->state() == Gate::Waiter::State::waiting && !timer_.expired() && !exchange_.gone() &&
           !thread_.drain_over;
  };
  while (goes_on()) co_await signal_.wait();
  const bool late = timer_.expired();
  timer_.disarm();
  record_.queued = thread_.loop.now() - since;
  if (gate.give_up(*waiter)) {
    place_ = Place(gate);
    co_return true;
  }
  if (waiter->state() == Gate::Waiter::State::evicted) co_return shed(Shed::evicted);
  if (late) co_return shed(Shed::late);
  record_.ending = exchange_.gone() ? Ending::client_gone : Ending::drained;
  co_return false;
}

// The last octets may still wait for the client to take them.
Task<void> Session::deliver() {
  if (exchange_.unsent() > 0) {
    co_await signal_.pass();  // as before the attempts
    exchange_.flush();
  }
  while (exchange_.unsent() > 0 && !exchange_.gone() && !thread_.drain_over) {
    const std::size_t before = exchange_.unsent();
    exchange_.flush();
    if (exchange_.unsent() == 0) break;
    if (timer_.expired()) {
      record_.ending = Ending::client_stalled;
      exchange_.abandon();
      break;
    }
    if (!timer_.armed() || exchange_.unsent() < before) timer_.arm(thread_.loop.now() + limits().write_stall);
    co_await signal_.wait();
  }
}

void Session::finish() {
  record_.ended = thread_.loop.now();
  record_.wall = thread_.loop.wall_now();
  record_.octets_in = exchange_.octets_in();
  record_.octets_out = exchange_.octets_out();
  record_.streamed |= body_.stream();  // a large body may say so after it was routed
  // What a response that is read again cost was counted when it was made.
  if (record_.operation && is_by_response_id(*record_.operation)) record_.usage.reset();
  const TokenEstimate used = tokens_used(record_, estimate_);
  record_.tokens_prompt = used.prompt;
  record_.tokens_completion = used.completion;
  if (record_.usage && pool_ != nullptr && body_.json() != nullptr)
    thread_.samples->tokens.put({ServiceId{pool_->id}, choice_.octets, record_.usage->prompt});
  thread_.records.take(record_);
}

}  // namespace perigee::router
