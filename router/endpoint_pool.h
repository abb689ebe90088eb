// Warm connections to endpoints, of one thread: the one used last goes out first, those the endpoint closed
// are dropped when it closes them, and none is kept longer than the endpoint has been seen to keep it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "contract/address.h"
#include "contract/error.h"
#include "contract/units.h"
#include "router/endpoint_target.h"
#include "router/loop.h"
#include "router/stream.h"
#include "router/task.h"
#include "router/tls.h"
#include "steering/request_cost.h"

namespace perigee::router {

struct PoolLimits {
  std::size_t total = 1024;              // idle connections of this thread
  std::size_t per_endpoint = 128;        // of one key
  Nanos idle = std::chrono::seconds(4);  // engines close at 5 s
};

struct PoolCounters {
  std::uint64_t reused = 0;
  std::uint64_t opened = 0;
  std::uint64_t closed_by_endpoint = 0;  // while idle
  std::uint64_t closed_idle = 0;         // by our limit
  std::uint64_t closed_full = 0;         // no room
};

struct PooledStream {
  std::unique_ptr<Stream> stream;
  bool reused = false;  // open; else it is connecting: establish()
};

class EndpointPool {
 public:
  // A connection idle for less than this is not worth keeping; the limit learned does not go below.
  static constexpr Nanos kShortestIdle = std::chrono::milliseconds(50);

  EndpointPool(Loop& loop, PoolLimits limits);

  // A warm connection or a new one that connects, bound to `signal`.
  [[nodiscard]] Result<PooledStream> acquire(const EndpointTarget& target, Signal& signal);
  // Always a new one: after a warm one turned out dead.
  [[nodiscard]] Result<PooledStream> open(const EndpointTarget& target, Signal& signal);
  // Takes back an open connection with nothing unread, after its response ended. One not to be used again is
  // simply destroyed instead.
  // `window`: its congestion window in octets.
  void release(const EndpointTarget& target, std::unique_ptr<Stream> stream,
               std::uint32_t window = kInitialWindow);
  // Closes what is idle, and keeps nothing from now on: drain.
  void close_all();
  void change(PoolLimits limits) { limits_ = limits; }

  // The connection that acquire() would give now, but for one that its endpoint closed meanwhile.
  [[nodiscard]] ConnectionSeen seen(const EndpointTarget& target, Instant now) const;

  [[nodiscard]] std::size_t idle() const { return idle_; }
  [[nodiscard]] const PoolCounters& counters() const { return counters_; }

 private:
  struct Idle {
    std::unique_ptr<Stream> stream;
    std::shared_ptr<const TlsClient> tls;
    IpAddress address;
    std::uint16_t port = 0;
    Instant since;
    std::uint32_t window = kInitialWindow;  // octets
  };
  struct Endpoint {
    std::vector<Idle> idle;  // oldest first
    Nanos limit{};           // learned
  };

  [[nodiscard]] bool usable(Endpoint& endpoint, Idle& idle);
  Task<> watch_idle();
  void sweep();
  void sweep_by(Instant due);
  [[nodiscard]] Nanos limit_of(const Endpoint& endpoint) const;
  void drop_expired(Endpoint& endpoint);
  void drop_oldest();

  Loop& loop_;
  PoolLimits limits_;
  Signal signal_;
  Timer timer_;
  Instant next_sweep_;
  std::unordered_map<std::string, Endpoint> endpoints_;
  std::size_t idle_ = 0;
  PoolCounters counters_;
  Task<> watching_;  // last: it uses all of the above
};

}  // namespace perigee::router
