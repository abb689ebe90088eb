// The router: its threads, what they share, and what the control loop tells them.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "router/router_thread.h"

namespace perigee::router {

class Router {
 public:
  // `sinks`: one for each thread, which then is the only one to use it; they outlive the Router. Fails when
  // the system gives no descriptors.
  static Result<std::unique_ptr<Router>> create(const std::vector<RecordSink*>& sinks);

  // Listening sockets of the process before, before the first prepare(): listeners of their addresses take
  // them, with the connections that wait in them. What no listener takes is closed.
  void inherit(std::vector<Descriptor> sockets) { inherited_ = std::move(sockets); }
  // Copies of all listening sockets, for the next process.
  [[nodiscard]] std::vector<Descriptor> sockets();

  // Loads what else `policy` names (certificates of listeners, keys) and opens the listeners that are new in
  // it. `access`: of `policy`, read before. Nothing changes before publish(); an error, one for each thing
  // that is wrong, those of `access` first, leaves all as it was.
  [[nodiscard]] std::vector<Error> prepare(const std::shared_ptr<const Policy>& policy,
                                           EndpointAccesses access, Instant now);
  [[nodiscard]] std::vector<Error> prepare(const std::shared_ptr<const Policy>& policy, Instant now) {
    return prepare(policy, load_endpoint_access(*policy), now);
  }
  // It was prepared last, is in force, or was in force before that: publish() takes it.
  [[nodiscard]] bool ready_for(const std::shared_ptr<const Policy>& policy) const;
  // From now on requests are decided by `policy` and `route`. What was prepared for another one is dropped.
  // Errors: listeners that the policy before had, and that cannot be opened again.
  // `lists`: what the endpoints say of their models, in the policy's order; may be shorter.
  std::vector<Error> publish(const std::shared_ptr<const Policy>& policy, const Route& route, Instant now,
                             std::span<const std::shared_ptr<const ModelList>> lists = {});

  // Takes no more connections; those there are close after the request they serve.
  void drain();
  void end_drain();
  [[nodiscard]] std::size_t connections();

  // The least round trip of the connections to each endpoint of the snapshot lately; absent: there was none.
  [[nodiscard]] std::vector<std::optional<Nanos>> connection_rtts(Instant now) const;
  [[nodiscard]] const std::shared_ptr<const RouterSnapshot>& snapshot() const { return snapshot_; }
  [[nodiscard]] const SharedCounters& counters() const { return shared_; }
  // From any thread: the snapshot in force, and what all threads counted, which asks each of them.
  [[nodiscard]] std::shared_ptr<const RouterSnapshot> snapshot_now() const;
  [[nodiscard]] ThreadCounters thread_counters();

 private:
  Router() = default;
  void load(const Policy& policy, RouterMaterial& material, std::vector<Error>& errors) const;
  [[nodiscard]] std::vector<Error> open_listeners(const Policy& policy, const RouterMaterial& material,
                                                  Instant now);
  // Of each thread: of each listener of `policy`.
  [[nodiscard]] std::vector<std::vector<std::vector<Descriptor>>> share_inherited(const Policy& policy);
  void use_limits(const Policy& policy);
  void forget(const Policy& policy, Instant now);
  void learn(const Policy& policy, Instant now);
  static void set_gates(const Policy& policy, const RouterSnapshot& snapshot);

  SharedCounters shared_;
  std::shared_ptr<TicketKeys> tickets_;
  // A policy and what was loaded for it: never used with another one.
  struct Ready {
    std::shared_ptr<const Policy> policy;
    RouterMaterial material;
  };
  Ready in_force_;
  Ready prepared_;
  Ready before_;  // in force before, should the change be taken back
  LearnedCosts learned_;
  std::vector<Descriptor> inherited_;
  std::map<std::string, std::shared_ptr<ConnectionLimit>> limits_;  // by listener
  mutable std::mutex snapshot_mutex_;  // of the next one, for other threads than the control loop's
  std::shared_ptr<const RouterSnapshot> snapshot_ = std::make_shared<const RouterSnapshot>();
  std::vector<std::unique_ptr<RouterThread>> threads_;  // last: they use the above
};

}  // namespace perigee::router
