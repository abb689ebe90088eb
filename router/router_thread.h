// One thread of the router: a loop, its sockets, its connections and its snapshot. Other threads only post to
// it.
#pragma once

#include <array>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "contract/directory.h"
#include "router/client_connection.h"
#include "router/endpoint_pool.h"
#include "router/listener.h"
#include "router/thread_context.h"

namespace perigee::router {

// What a thread counted so far, and what it holds now.
struct ThreadCounters {
  PoolCounters pool;
  std::size_t idle = 0;                               // connections to endpoints
  std::size_t connections = 0;                        // of clients
  std::size_t greeting = 0;                           // accepted, their PROXY header or handshake under way
  std::map<std::string, ListenerCounters> listeners;  // by name; those closed since too

  void add(const ThreadCounters& other);
};

class RouterThread {
 public:
  // `shared` and `records` outlive it; `records` is used by this thread alone.
  static Result<std::unique_ptr<RouterThread>> create(SharedCounters& shared, RecordSink& records);
  ~RouterThread();  // stops it and waits

  // From other threads.
  void start();
  // Opens the sockets of those listeners of `snapshot` that this thread does not have; they accept once the
  // snapshot is adopted. The error of the first one that cannot be opened; then none of them is kept.
  // `handed`: beside the listeners, sockets that are taken instead of opening one.
  std::future<Result<void>> prepare(std::shared_ptr<const RouterSnapshot> snapshot,
                                    std::vector<std::shared_ptr<ConnectionLimit>> limits,
                                    std::vector<std::vector<Descriptor>> handed = {});
  // From its next turn on requests are decided by `snapshot`; listeners it has not are closed, and so are
  // their connections: a request that comes there yet is answered with 503.
  void adopt(std::shared_ptr<const RouterSnapshot> snapshot);
  // Takes what waits to be accepted and no more connections, and closes each after the request it serves.
  void drain();
  // Ends what still runs: answers that began get an error in their own form.
  void end_drain();
  // Of clients; those that greet yet too.
  [[nodiscard]] std::future<std::size_t> connections();
  // Copies of its listening sockets, for another process.
  [[nodiscard]] std::future<std::vector<Descriptor>> sockets();
  [[nodiscard]] std::future<ThreadCounters> counters();
  // For one reader, the control loop.
  [[nodiscard]] CostSamples& samples() { return *context_.samples; }

 private:
  struct Door {
    std::shared_ptr<ListenerPlace> place;
    Policy::Listener policy;
    std::unique_ptr<Listener> listener;
    bool new_door = true;  // prepared, not adopted

    // It is this one: what differs otherwise takes effect without a new socket.
    [[nodiscard]] bool is(const Policy::Listener& other) const;
  };

  RouterThread(std::unique_ptr<Loop> loop, SharedCounters& shared, RecordSink& records);
  Result<void> open_doors(const RouterSnapshot& snapshot,
                          const std::vector<std::shared_ptr<ConnectionLimit>>& limits,
                          std::vector<std::vector<Descriptor>>& handed);
  Result<void> open_door(const RouterSnapshot& snapshot, std::size_t index,
                         const std::shared_ptr<ConnectionLimit>& limit, Descriptor handed);
  Task<void> end_all();
  void swap(std::shared_ptr<const RouterSnapshot> snapshot);
  template <class Pick>
  void close_doors(Pick pick);

  std::unique_ptr<Loop> loop_;
  std::array<std::vector<char>, 2> scratch_;
  EndpointPool pool_;
  ThreadContext context_;
  ChainLink connections_;
  std::vector<Door> doors_;
  std::map<std::string, ListenerCounters> closed_;  // what the listeners closed since had counted
  std::thread thread_;
};

}  // namespace perigee::router
