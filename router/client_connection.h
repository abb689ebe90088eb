// A client's connection from its first request to its close: one request after another, each a Session. It is
// the one reader of its socket.
#pragma once

#include <memory>

#include "router/chain.h"
#include "router/http1_exchange.h"
#include "router/listener.h"
#include "router/openai.h"
#include "router/task.h"
#include "router/thread_context.h"

namespace perigee::router {

// A listener of this thread as its connections see it: the snapshots to come may have it at another place, or
// not at all any more.
struct ListenerPlace {
  std::string name;
  std::optional<std::size_t> index;  // into RouterSnapshot::listeners
};

class ClientConnection : private ChainLink {
 public:
  // Owns itself from start() on, until the connection is closed; is a member of `all` for so long.
  static void start(ThreadContext& thread, Accepted accepted, std::shared_ptr<const ListenerPlace> place,
                    ChainLink& all);
  // Looks at the thread's state again: all connections of `all`, when drain begins or is over, or a listener
  // goes.
  static void wake_all(ChainLink& all);
  [[nodiscard]] static std::size_t count(const ChainLink& all);

 private:
  ClientConnection(ThreadContext& thread, Accepted accepted, std::shared_ptr<const ListenerPlace> place);
  Task<void> serve();
  Task<bool> next_request();
  void refuse(const ApiError& error, Ending ending);
  Task<void> close();
  // No request follows the one that is served or has begun.
  [[nodiscard]] bool closing() const { return thread_.draining || !place_->index; }

  ThreadContext& thread_;
  Signal signal_;
  ConnectionPermit permit_;
  std::unique_ptr<Stream> stream_;
  std::shared_ptr<const ListenerPlace> place_;
  Timer timer_;
  Policy::Listener::Limits limits_;
  Http1Exchange exchange_;
  bool served_ = false;  // at least one request
};

}  // namespace perigee::router
