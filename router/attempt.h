// One attempt: a request goes to one endpoint, and its answer to the client. What ends it is said as a value;
// the session decides what follows.
#pragma once

#include <optional>
#include <string>

#include "router/breaker.h"
#include "router/endpoint_exchange.h"
#include "router/in_flight.h"
#include "router/relay.h"
#include "router/request_sender.h"
#include "router/thread_context.h"

namespace perigee::router {

// Whom or what the attempt waits for: each has a time limit of its own.
enum class Waiting : std::uint8_t {
  connect,
  client_sends,
  endpoint_takes,
  first_event,
  next_event,
  client_takes
};

struct AttemptEnd {
  enum class Kind : std::uint8_t {
    answered,    // the endpoint's answer went to the client whole
    elsewhere,   // nothing went to the client, and another endpoint may do better
    failed,      // nothing went to the client, and trying again would not help it: `error`
    broken_off,  // the answer ended before its end; the client was told
    client_gone,
    client_stalled,
    body_refused,  // the request's body turned out improper while it was sent: `error`
    drained,
  };
  Kind kind = Kind::answered;
  ApiError error;  // for the client, should this be the last attempt
  bool timed_out = false;
  bool stale = false;  // a connection kept from earlier was closed before the endpoint saw the request
  AttemptResult result = AttemptResult::neutral;
  std::string reason;  // for the log
};

struct AttemptTask {
  const RouterSnapshot::Endpoint& endpoint;
  BreakerPermit& permit;
  InFlight& in_flight;
  const Policy::Router::Breaker& breaker;
  std::optional<std::uint32_t> absent_id;  // to remember a 404 by; none: it is the client's
  StreamForm stream = StreamForm::none;    // that the operation has, when it is asked for one
  Policy::Model::Timeouts timeouts;
  const Policy::Listener::Limits& limits;
  std::string_view head;           // of the request, as it goes to this endpoint
  bool chunked = false;            // the body's length is not known
  std::string_view answer_fields;  // lines of ours for the client's answer
  Instant total_deadline;
  Nanos sse_keep_alive{0};  // 0: no comments of ours
  bool panic = false;       // chosen although its health speaks against it: that is no news
  // What it was expected to cost, for whom.
  ServiceId pool;
  double tokens = 0;  // of its prompt
  CostTerms cost;
};

class Attempt {
 public:
  Attempt(ThreadContext& thread, Exchange& exchange, Signal& signal, HeldBody& body, Relay& relay,
          RequestRecord& record, const AttemptTask& task);
  // `fresh`: a new connection, none from the pool. False: it is over already.
  bool start(bool fresh);
  // What can be done now, in the order in which a request goes through; the signal tells when there is more.
  // True: it is over.
  bool step();
  // Once it is over.
  AttemptEnd finish();
  // Another one answered.
  void cancel();
  // Another attempt is under way: an answer that is not a good one is none.
  void set_beside(bool beside) { beside_ = beside; }

 private:
  bool establish();
  void measure();
  bool send();
  bool take_body();
  bool receive();
  void answer_began(Instant now);
  void begun();
  bool judge_status();
  bool finish_answer();
  bool watch();
  void keep_alive();
  void wait_for(Waiting waiting, Instant deadline);
  void set_waiting();
  bool end(AttemptEnd::Kind kind, AttemptResult result, std::string reason);
  bool fail(unsigned status, std::string_view code, std::string message, AttemptResult result);
  bool endpoint_broke(std::string_view why);
  bool time_out();
  bool look_at_health();
  // Of the endpoint, with all clients.
  [[nodiscard]] std::uint64_t successes() const {
    const auto& attempts = task_.endpoint.counters->attempts;
    return attempts[static_cast<std::size_t>(AttemptResult::success)].load(std::memory_order_relaxed);
  }

  ThreadContext& thread_;
  Exchange& exchange_;
  Signal& signal_;
  HeldBody& body_;
  Relay& relay_;
  RequestRecord& record_;
  const AttemptTask& task_;
  RequestSender sender_;
  std::optional<EndpointExchange> endpoint_;
  Timer timer_;
  Timer comment_timer_;
  Instant commented_;  // the last comment of ours, or the beginning of the request
  Waiting waiting_ = Waiting::connect;
  Instant due_;  // its time limit
  Instant started_;
  std::uint64_t successes_before_ = 0;
  bool whole_ = false;  // the body was there when it started
  bool began_ = false;  // the answer
  bool open_ = false;
  bool beside_ = false;
  bool progress_ = false;  // in this turn
  AttemptEnd end_;
};

}  // namespace perigee::router
