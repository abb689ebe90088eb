// The attempts of a request, one after another.
#include "router/header_rules.h"
#include "router/orca.h"
#include "router/session_try.h"

namespace perigee::router {
namespace {

constexpr std::size_t kUsualHead = 512;  // room for a request's head to an endpoint

}  // namespace

std::string Session::request_head(const RouterSnapshot::Endpoint& endpoint) const {
  EndpointRequestHead head;
  head.method = exchange_.head().method_text();
  head.target = exchange_.head().target();
  head.host = endpoint.target.host;
  head.authorization = endpoint.credential;
  head.request_id = record_.request_id;
  const std::string trace = trace_.text();
  head.traceparent = trace;
  const auto length = body_.wire_length();
  head.body = length ? (*length == 0 ? BodyKind::none : BodyKind::length) : BodyKind::chunked;
  head.length = length.value_or(0);
  if (endpoint.load.orca) head.more_fields = kOrcaRequestField;
  std::string out;
  out.reserve(kUsualHead);
  write_request_head(out, head, exchange_.head());
  return out;
}

std::string Session::answer_fields(const RouterSnapshot::Endpoint& endpoint) const {
  std::string out = reservation_.fields(thread_.loop.now());
  if (extension_.listed) {
    out += served_field(endpoint.target);
  } else if (diagnoses()) {
    out += "x-gateway-destination-endpoint-served: " + endpoint.name + "\r\n";
  }
  return out;
}

// Of the operations that every engine has, and where the model alone can be missing.
std::optional<std::uint32_t> Session::absent_id_of_request() const {
  switch (operation_info(operation_->operation).family) {
    case ApiFamily::chat:
    case ApiFamily::completions:
    case ApiFamily::embeddings:
      return absent_id(*pool_, choice_.use);
    case ApiFamily::responses:
      if (is_by_response_id(operation_->operation)) return std::nullopt;
      if (body_.json() != nullptr && body_.json()->previous_response_id) return std::nullopt;
      return absent_id(*pool_, choice_.use);
    default:
      return std::nullopt;
  }
}

Session::Try::Try(Session& session, Relay& relay, RequestRecord& record, const Decision& decision,
                  const BreakerPermit& permit)
    : endpoint_(session.snapshot_->endpoints[*decision.endpoint]),
      breaker_(session.snapshot_->settings.breaker),
      loop_(session.thread_.loop),
      relay_(relay),
      permit_(permit),
      head_(session.request_head(endpoint_)),
      answer_fields_(session.answer_fields(endpoint_)),
      in_flight_(*endpoint_.counters, static_cast<std::uint64_t>(session.choice_.tokens), record.streamed),
      task_{endpoint_,
            permit_,
            in_flight_,
            breaker_,
            session.absent_id_of_request(),
            operation_info(session.operation_->operation).stream,
            session.model_->timeouts,
            session.limits(),
            head_,
            !session.body_.wire_length(),
            answer_fields_,
            record.begun + session.model_->timeouts.total,
            record.streamed && operation_info(session.operation_->operation).stream != StreamForm::none
                ? session.model_->sse_keep_alive
                : Nanos(0),
            decision.panic,
            ServiceId{session.pool_->id},
            session.choice_.tokens,
            decision.cost},
      attempt_(session.thread_, session.exchange_, session.signal_, session.body_, relay, record, task_) {}

void Session::Try::start(bool fresh) {
  if (!attempt_.start(fresh)) end_ = attempt_.finish();
}

bool Session::Try::step() {
  if (end_) return true;
  if (attempt_.step()) end_ = attempt_.finish();
  return end_.has_value();
}

void Session::Try::cancel() {
  attempt_.cancel();
  settle(AttemptResult::neutral);
}

void Session::Try::settle(AttemptResult result, bool again) {
  if (settled_) return;
  settled_ = true;
  in_flight_.over();
  endpoint_.counters->attempts[static_cast<std::size_t>(result)].fetch_add(1, std::memory_order_relaxed);
  if (!again) report(*endpoint_.counters, permit_, result, breaker_, loop_.now());
}

// One endpoint after another until one answers or no more may be tried.
Task<void> Session::attempts() {
  Relay relay(exchange_, record_, thread_.records, operation_info(operation_->operation).stream);
  bool fresh = false;
  while (fresh || pick()) {
    if (operation_->operation == Operation::responses_create) {
      relay.bind({&thread_.shared.responses,
                  record_.key,
                  {snapshot_->endpoints[*decision_.endpoint].id, pool_->id}});
    }
    Try one(*this, relay, record_, decision_, permit_);
    AttemptEnd end = co_await go(one, fresh);
    // Outside the budget: no endpoint saw it.
    const bool again = end.stale && !fresh && body_.replayable();
    one.settle(end.result, again);
    if (!again && conclude(std::move(end))) co_return;
    fresh = again;
    relay.forget();
  }
  answer(error_.message.empty() ? no_endpoint() : error_, timed_out_             ? Ending::timed_out
                                                          : record_.attempts > 0 ? Ending::endpoint_failed
                                                                                 : Ending::no_endpoint);
}

// Until the attempt is over, or the one that went beside it.
Task<AttemptEnd> Session::go(Try& one, bool fresh) {
  one.start(fresh);
  HedgeCounters* const counters = fresh ? nullptr : hedges();
  if (counters != nullptr) co_return co_await go_watched(one, *counters);
  while (!one.step()) co_await signal_.wait();
  co_return std::move(one.end());
}

// Whether the request is over with this attempt.
bool Session::conclude(AttemptEnd end) {
  switch (end.kind) {
    case AttemptEnd::Kind::answered:
      record_.ending = Ending::completed;
      return true;
    case AttemptEnd::Kind::broken_off:
      record_.ending = Ending::broken_off;
      record_.error = end.error.code;
      return true;
    case AttemptEnd::Kind::client_gone:
      record_.ending = Ending::client_gone;
      return true;
    case AttemptEnd::Kind::client_stalled:
      record_.ending = Ending::client_stalled;
      if (record_.status == 0 && !end.error.message.empty()) answer(end.error, Ending::client_stalled);
      return true;
    case AttemptEnd::Kind::body_refused:
      record_.ending = Ending::refused;
      if (record_.status == 0) answer(end.error, Ending::refused);
      return true;
    case AttemptEnd::Kind::drained:
      if (record_.status == 0) answer(end.error, Ending::drained);
      record_.ending = Ending::drained;
      return true;
    case AttemptEnd::Kind::failed:
      answer(end.error, end.timed_out ? Ending::timed_out : Ending::endpoint_failed);
      return true;
    case AttemptEnd::Kind::elsewhere:
      error_ = std::move(end.error);
      timed_out_ = end.timed_out;
      if (body_.replayable() && budget_.take(snapshot_->settings)) return false;
      answer(error_, timed_out_ ? Ending::timed_out : Ending::endpoint_failed);
      return true;
  }
  return true;
}

}  // namespace perigee::router
