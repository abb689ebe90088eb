// One listening socket of one thread: accepts within limits, reads the PROXY header, does the TLS handshake,
// and hands over connections that are ready for their first request.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "contract/address.h"
#include "contract/error.h"
#include "contract/units.h"
#include "router/connection_limit.h"
#include "router/loop.h"
#include "router/stream.h"
#include "router/task.h"
#include "router/tls.h"

namespace perigee::router {

class SocketAddress;

// A client's connection, open. Whoever takes it binds the stream to its own Signal.
struct Accepted {
  std::unique_ptr<Stream> stream;
  IpAddress client;  // as the PROXY header or the socket says
  std::uint16_t client_port = 0;
  std::size_t listener = 0;  // ListenerSettings::index
  ConnectionPermit permit;   // kept as long as the connection
};

struct ListenerSettings {
  std::size_t index = 0;
  IpAddress address;
  std::uint16_t port = 0;  // 0: the system picks one
  std::shared_ptr<const TlsServer> tls;
  bool proxy_required = false;     // else a PROXY header is not looked for, and is no valid request either
  std::vector<Prefix> proxy_from;  // required: from these only
  Nanos greeting_time = std::chrono::seconds(10);  // for the PROXY header and for the handshake, each
  // PROXY headers and handshakes in progress; further connections wait in the accept queue. A burst costs
  // memory only up to here (some 30 KB each), and those begun are not starved. Who has not said a word makes
  // room: else silent connections, which cost a client nothing, would hold off every other.
  std::size_t most_greetings = 1024;
};

// What a listener counted since it began.
struct ListenerCounters {
  std::uint64_t accepted = 0;
  std::uint64_t over_limit = 0;         // closed: too many connections
  std::uint64_t over_source_limit = 0;  // closed: too many from one source
  std::uint64_t proxy_refused = 0;      // source not listed, or no proper header
  std::uint64_t greeting_late = 0;
  std::uint64_t silent_dropped = 0;  // closed for who came later: had not said a word
  std::uint64_t handshake_failed = 0;
  // Times there were no more but the reserve (descriptors.h); accepting pauses for kBackOff then, and
  // connections wait in the accept queue.
  std::uint64_t out_of_descriptors = 0;
};

class Listener final : private Watched {
 public:
  using Handler = std::function<void(Accepted)>;
  static constexpr int kAcceptsPerTurn = 64;  // then those already in get their turn
  static constexpr int kBacklog = 4096;
  static constexpr Nanos kBackOff = std::chrono::milliseconds(100);

  // Opens the socket (SO_REUSEPORT: one for each thread); with `fd` >= 0 takes over that listening socket
  // instead, which is closed on failure. Accepting starts with the loop; `handler` must not destroy the
  // Listener.
  static Result<std::unique_ptr<Listener>> open(Loop& loop, ListenerSettings settings,
                                                std::shared_ptr<ConnectionLimit> limit, Handler handler,
                                                int fd = -1);
  // Also closes what was not handed over yet.
  ~Listener();

  // For connections that come from now on; the address and port stay what they are.
  void use(ListenerSettings settings) { settings_ = std::move(settings); }
  // Stops accepting; connections wait in the accept queue, for resume() or for who holds the socket too.
  void pause() { paused_ = true; }
  void resume();
  // Accepts what waits (closing would reset it), unless paused, and closes the socket: unless another holds
  // it too, who comes now is refused. What is accepted goes on.
  void stop();

  // -1 after stop().
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::size_t greeting() const { return greetings_.size(); }
  [[nodiscard]] const ListenerCounters& counters() const { return counters_; }

 private:
  struct Greeting;
  struct Sweep final : TurnEnd {
    explicit Sweep(Listener& listener) : owner(listener) {}
    void on_turn_end() override;
    Listener& owner;
  };

  Listener(Loop& loop, ListenerSettings settings, std::shared_ptr<ConnectionLimit> limit, Handler handler,
           int fd);
  void on_events(std::uint32_t events) override;
  [[nodiscard]] bool may_accept() const;
  [[nodiscard]] std::list<Greeting>::const_iterator oldest_silent() const;
  bool drop_silent();
  Task<> accept_all();
  [[nodiscard]] bool has_room() const;
  bool accept_one();
  void wait_for_descriptors();
  void close_socket();
  void welcome(int fd, const SocketAddress& peer);
  Task<> greet(Greeting& greeting);
  Task<bool> read_proxy_header(Greeting& greeting);
  Task<bool> shake_hands(Greeting& greeting);
  void hand_over(Greeting& greeting);

  Loop& loop_;
  ListenerSettings settings_;
  std::shared_ptr<ConnectionLimit> limit_;
  Handler handler_;
  int fd_;
  std::uint16_t port_;
  bool paused_ = false;
  bool full_ = false;  // the last connection touched the reserve of descriptors
  ListenerCounters counters_;
  Signal signal_;
  Timer back_off_;
  std::list<Greeting> greetings_;
  std::list<Greeting> finished_;  // freed at the end of the turn
  Sweep sweep_;
  Task<> accepting_;
};

}  // namespace perigee::router
