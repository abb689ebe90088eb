// A second attempt beside the first (hedge.h). Both are stepped in the same turn, the first one first; the
// first that has something for the client is left alone with it, and the other is cancelled before it is
// looked at again. Until then neither touches the client's side.
#include "router/hedge.h"

#include "router/session_try.h"

namespace perigee::router {
namespace {

HedgeKind kind_of(const OperationMatch& operation) {
  return operation.operation == Operation::embeddings ? HedgeKind::embeddings : HedgeKind::stream;
}

template <class Counts, class Reason>
void count(Counts& counts, Reason reason) {
  counts[static_cast<std::size_t>(reason)].fetch_add(1, std::memory_order_relaxed);
}

bool failed(const AttemptEnd& end) {
  return end.kind == AttemptEnd::Kind::elsewhere || end.kind == AttemptEnd::Kind::failed;
}

}  // namespace

// Of a request that may have a hedge: in its first attempt, of the kinds whose answer shows at once, and
// wholly in our hands. Null: it may not.
HedgeCounters* Session::hedges() const {
  HedgeCounters* const counters = snapshot_->hedges[pool_->request_class].get();
  if (counters == nullptr || record_.attempts != 1 || choice_.only) return nullptr;
  const bool chat = operation_->operation == Operation::chat && record_.streamed;
  if (!chat && operation_->operation != Operation::embeddings) return nullptr;
  return body_.held_whole() ? counters : nullptr;
}

void Session::time_first_event(HedgeCounters& counters, const RequestRecord& record, Instant since) const {
  if (!record.first_event.never() && record.status / 100 == 2)
    add_first_event(counters, kind_of(*operation_), record.first_event - since);
}

Task<AttemptEnd> Session::go_watched(Try& first, HedgeCounters& counters) {
  const Instant since = thread_.loop.now();
  earn(counters, *snapshot_->class_of(*pool_).hedge, static_cast<std::uint64_t>(choice_.tokens));
  if (const auto after = hedge_after(counters, kind_of(*operation_))) timer_.arm(since + *after);
  while (!first.step() && record_.first_event.never()) {
    if (timer_.expired()) {
      timer_.disarm();
      if (const auto hedge = pick_hedge(first, counters))
        co_return co_await race(first, *hedge, counters, since);
    }
    co_await signal_.wait();
  }
  timer_.disarm();
  time_first_event(counters, record_, since);
  while (!first.step()) co_await signal_.wait();
  co_return std::move(first.end());
}

// An endpoint in another PoP, and the right to use it.
std::optional<Session::Picked> Session::pick_hedge(const Try& first, HedgeCounters& counters) {
  if (thread_.draining || first.committed()) return std::nullopt;  // a comment of ours commits
  const auto refuse = [&](HedgeRefusal reason) {
    count(counters.refusals, reason);
    return std::nullopt;
  };
  const Instant now = thread_.loop.now();
  ChoiceRequest request = choice_;
  request.not_pop = first.endpoint().pop;
  std::array<Contender, kMaxServiceEndpoints> room;  // written before it is read
  const auto contenders = contend(*snapshot_, *pool_, request, &thread_.pool, now, room);
  if (any_queues(contenders) || (service_.gate != nullptr && service_.gate->queues()))
    return refuse(HedgeRefusal::queue);
  const Draw draw{thread_.names.number(), {}, true};
  const Decision decision = decide(*snapshot_, *pool_, contenders, draw);
  if (!decision.endpoint) return refuse(HedgeRefusal::no_endpoint);
  const RouterSnapshot::Endpoint& endpoint = snapshot_->endpoints[*decision.endpoint];
  if (!usable(*thread_.snapshot, service_.id, pool_->id, endpoint.id))
    return refuse(HedgeRefusal::no_endpoint);
  const auto tokens = static_cast<std::uint64_t>(choice_.tokens);
  if (!take(counters, tokens)) return refuse(HedgeRefusal::budget);
  const BreakerPermit permit = perigee::router::admit(*endpoint.counters, false, now);
  if (!permit.granted) {
    give_back(counters, tokens);
    return refuse(HedgeRefusal::no_endpoint);
  }
  if (thread_.records.wants_decisions()) record_decision(contenders, draw, decision);
  choice_.add_tried(*decision.endpoint);
  ++record_.attempts;
  return Picked{decision, permit};
}

// Both go on by what there is now. The one that goes on alone, with the other cancelled or over; null: both
// do.
Session::Try* Session::step_both(Try& first, Try& second) {
  if (first.step() && failed(first.end())) {
    first.settle(first.end().result);
    second.set_beside(false);
    return &second;
  }
  if (first.over() || first.committed()) {
    second.cancel();
    return &first;
  }
  const bool over = second.step();
  if (second.committed()) {
    first.cancel();
    return &second;
  }
  if (!over) return nullptr;
  second.settle(second.end().result);
  return &first;
}

Task<AttemptEnd> Session::race(Try& first, Picked hedge, HedgeCounters& counters, Instant since) {
  RequestRecord record = record_;  // of the second; the session's is that of whoever answers
  name_endpoint(record, hedge.decision);
  Relay relay(exchange_, record, thread_.records, operation_info(operation_->operation).stream);
  Try second(*this, relay, record, hedge.decision, hedge.permit);
  second.set_beside(true);
  second.start(false);
  Try* on = step_both(first, second);
  while (on == nullptr) {
    co_await signal_.wait();
    on = step_both(first, second);
  }
  while (!on->committed() && !on->step()) co_await signal_.wait();
  const bool won = on == &second;
  const bool answered = on->committed();
  HedgeEnd end = won ? HedgeEnd::won : HedgeEnd::lost;
  if (!answered) end = on->over() && failed(on->end()) ? HedgeEnd::failed : HedgeEnd::abandoned;
  if (!won && second.over()) end = HedgeEnd::failed;
  count(counters.ends, end);
  RequestRecord& kept = won ? record : record_;
  kept.hedge = name_of(end);
  kept.hedge_endpoint = (won ? first : second).endpoint().name;
  time_first_event(counters, kept, since);
  while (!on->step()) co_await signal_.wait();
  AttemptEnd out = std::move(on->end());
  if (won) {
    out.stale = false;  // the endpoint of the first attempt is not asked anew
    second.settle(out.result);
    record_ = std::move(record);
  }
  co_return out;
}

}  // namespace perigee::router
