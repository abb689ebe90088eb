// THE REQUEST'S JOURNEY: read, admit, route, connect, relay, finish. One Session is one request of a client;
// it sees the client as an Exchange, and endpoints through attempts, one after another.
#pragma once

#include <optional>
#include <string>

#include "router/attempt.h"
#include "router/extension_headers.h"
#include "router/held_body.h"
#include "router/keys.h"
#include "router/limiter.h"
#include "router/retry_budget.h"
#include "router/thread_context.h"

namespace perigee::router {

class Session {
 public:
  // `signal` is raised by whatever `exchange` waits for. `listener`: index into the thread's snapshot.
  Session(ThreadContext& thread, Exchange& exchange, Signal& signal, std::size_t listener);

  // Until the answer is out, or nobody waits for it.
  Task<void> run();

 private:
  class Try;
  // Where an attempt goes, with the right to.
  struct Picked {
    Decision decision;
    BreakerPermit permit;
  };

  bool open();
  bool admit();
  Task<bool> read();
  bool route();
  bool name_model();
  bool find_response(std::string_view id, std::string_view param);
  bool pin(std::string_view id, std::string_view param);
  bool place();
  Task<bool> reserve();
  bool enter();
  Task<bool> queue();
  bool shed(Shed reason);
  Task<void> attempts();
  bool pick();
  void name_endpoint(RequestRecord& record, const Decision& decision) const;
  void record_decision(std::span<const Contender> contenders, const Draw& draw, const Decision& decision);
  Task<AttemptEnd> go(Try& one, bool fresh);
  [[nodiscard]] HedgeCounters* hedges() const;
  Task<AttemptEnd> go_watched(Try& first, HedgeCounters& counters);
  std::optional<Picked> pick_hedge(const Try& first, HedgeCounters& counters);
  Task<AttemptEnd> race(Try& first, Picked hedge, HedgeCounters& counters, Instant since);
  static Try* step_both(Try& first, Try& second);
  void time_first_event(HedgeCounters& counters, const RequestRecord& record, Instant since) const;
  bool conclude(AttemptEnd end);
  Task<void> deliver();
  void finish();

  bool answer(const ApiError& error, Ending ending);
  void answer_models();
  [[nodiscard]] ApiError no_endpoint() const;
  [[nodiscard]] bool diagnoses() const;
  [[nodiscard]] std::string request_head(const RouterSnapshot::Endpoint& endpoint) const;
  [[nodiscard]] std::string answer_fields(const RouterSnapshot::Endpoint& endpoint) const;
  [[nodiscard]] std::optional<std::uint32_t> absent_id_of_request() const;
  [[nodiscard]] const Policy::Listener::Limits& limits() const { return listener_.policy.limits; }
  [[nodiscard]] Instant body_due() const;

  ThreadContext& thread_;
  Exchange& exchange_;
  Signal& signal_;
  // What the request is decided by, for all its life.
  const std::shared_ptr<const RouterSnapshot> snapshot_;
  const RouterSnapshot::Listener& listener_;
  const RouterSnapshot::Service& service_;

  Timer timer_;
  RetryBudget budget_;
  HeldBody body_;
  std::optional<OperationMatch> operation_;
  const ApiKey* key_ = nullptr;  // null: nobody in particular
  TokenEstimate estimate_;
  Reservation reservation_;
  Place place_;  // among the requests of its service
  const RouterSnapshot::Model* model_ = nullptr;
  const RouterSnapshot::Pool* pool_ = nullptr;
  std::optional<ResponseIds::Place> pin_;  // where the response is that the request names
  ExtensionHeaders extension_;
  ChoiceRequest choice_;
  Decision decision_;
  BreakerPermit permit_;
  TraceParent trace_;
  ApiError error_;  // of the last attempt
  bool timed_out_ = false;
  RequestRecord record_;
};

}  // namespace perigee::router
