// One attempt of a session with all that is its own, from the choice of its endpoint to its result. It stays
// where it is.
#pragma once

#include <optional>
#include <string>

#include "router/session.h"

namespace perigee::router {

class Session::Try {
 public:
  // `record` is the session's, or the hedge's own. It and `relay` outlive the attempt.
  Try(Session& session, Relay& relay, RequestRecord& record, const Decision& decision,
      const BreakerPermit& permit);

  // `fresh`: a new connection, none from the pool.
  void start(bool fresh);
  // What can be done now. True: it is over.
  bool step();
  [[nodiscard]] bool over() const { return end_.has_value(); }
  [[nodiscard]] AttemptEnd& end() { return *end_; }  // once it is over
  // Something of its answer, or a comment in its name, went to the client.
  [[nodiscard]] bool committed() const { return relay_.committed(); }
  // While another attempt is under way that may do better: its answer has to be a good one.
  void set_beside(bool beside) { attempt_.set_beside(beside); }
  // Its endpoint stops at once; that says nothing of the endpoint.
  void cancel();
  // It counts, once. `again`: not yet, the same endpoint is asked anew.
  void settle(AttemptResult result, bool again = false);

  [[nodiscard]] const RouterSnapshot::Endpoint& endpoint() const { return endpoint_; }

 private:
  const RouterSnapshot::Endpoint& endpoint_;
  const Policy::Router::Breaker& breaker_;
  Loop& loop_;
  Relay& relay_;
  BreakerPermit permit_;
  const std::string head_;
  const std::string answer_fields_;
  InFlight in_flight_;
  const AttemptTask task_;
  Attempt attempt_;
  std::optional<AttemptEnd> end_;
  bool settled_ = false;
};

}  // namespace perigee::router
