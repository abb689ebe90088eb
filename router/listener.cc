#include "router/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "router/descriptors.h"
#include "router/proxy_protocol.h"
#include "router/socket_address.h"

namespace perigee::router {
namespace {

bool set(int fd, int level, int option) {
  const int on = 1;
  return ::setsockopt(fd, level, option, &on, sizeof on) == 0;
}

int open_socket(const ListenerSettings& settings) {
  const SocketAddress at(settings.address, settings.port);
  const int fd = ::socket(at.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return fd;
  const bool one_family = at.family() == AF_INET || set(fd, IPPROTO_IPV6, IPV6_V6ONLY);
  if (one_family && set(fd, SOL_SOCKET, SO_REUSEADDR) && set(fd, SOL_SOCKET, SO_REUSEPORT) &&
      ::bind(fd, at.get(), at.size()) == 0 && ::listen(fd, Listener::kBacklog) == 0) {
    return fd;
  }
  const int error = errno;
  ::close(fd);
  errno = error;
  return -1;
}

bool out_of_descriptors(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

bool is_listening(int fd) {
  int listening = 0;
  socklen_t size = sizeof listening;
  return ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening != 0 &&
         ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK) == 0;
}

bool listed(const std::vector<Prefix>& prefixes, const IpAddress& address) {
  return std::ranges::any_of(prefixes, [&](const Prefix& prefix) { return prefix.contains(address); });
}

}  // namespace

// A connection that has not said yet what must come first. Ends by itself, or with the listener.
struct Listener::Greeting {
  Greeting(Listener& listener, ConnectionPermit taken, const SocketAddress& peer)
      : owner(listener),
        permit(std::move(taken)),
        client(peer.address()),
        client_port(peer.port()),
        signal(owner.loop_.ready()),
        timer(owner.loop_.timers(), signal) {}

  void start_timer() { timer.arm(owner.loop_.now() + owner.settings_.greeting_time); }
  // Waits until the stream has more to say; false: the time is over.
  Task<bool> more() {
    co_await signal.wait();
    if (timer.expired()) ++owner.counters_.greeting_late;
    co_return !timer.expired();
  }

  Listener& owner;
  ConnectionPermit permit;
  IpAddress client;
  std::uint16_t client_port;
  Signal signal;
  Timer timer;
  std::unique_ptr<Stream> stream;
  bool silent = true;  // not a word since it came, or since its PROXY header
  std::list<Greeting>::iterator self;
  std::optional<Task<>> task;  // last: it uses all of the above
};

Result<std::unique_ptr<Listener>> Listener::open(Loop& loop, ListenerSettings settings,
                                                 std::shared_ptr<ConnectionLimit> limit, Handler handler,
                                                 int fd) {
  if (fd < 0) fd = open_socket(settings);
  const std::string name = settings.address.text() + " port " + std::to_string(settings.port);
  if (fd < 0) return Error{name, std::string("cannot listen: ") + std::strerror(errno)};
  std::unique_ptr<Listener> listener(
      new Listener(loop, std::move(settings), std::move(limit), std::move(handler), fd));  // closes it
  if (!is_listening(fd)) return Error{name, "the socket handed over does not listen"};
  if (!loop.watch(fd, EPOLLIN | EPOLLET, *listener)) return Error{name, std::strerror(errno)};
  return listener;
}

Listener::Listener(Loop& loop, ListenerSettings settings, std::shared_ptr<ConnectionLimit> limit,
                   Handler handler, int fd)
    : loop_(loop),
      settings_(std::move(settings)),
      limit_(std::move(limit)),
      handler_(std::move(handler)),
      fd_(fd),
      port_(SocketAddress::of_socket(fd).port()),
      signal_(loop.ready()),
      back_off_(loop.timers(), signal_),
      sweep_(*this),
      accepting_(accept_all()) {
  accepting_.start();
}

Listener::~Listener() { close_socket(); }

void Listener::Sweep::on_turn_end() { owner.finished_.clear(); }

void Listener::stop() {
  for (int count = 0; count < kBacklog && may_accept() && accept_one(); ++count) {
  }
  close_socket();
}

void Listener::close_socket() {
  if (fd_ < 0) return;
  loop_.unwatch(fd_);
  ::close(std::exchange(fd_, -1));
}

void Listener::resume() {
  paused_ = false;
  signal_.raise();
}

void Listener::on_events(std::uint32_t) { signal_.raise(); }

bool Listener::may_accept() const {
  return fd_ >= 0 && !paused_ && !back_off_.armed() &&
         (greetings_.size() < settings_.most_greetings || oldest_silent() != greetings_.end());
}

// end(): all have said something, or are about to be read.
std::list<Listener::Greeting>::const_iterator Listener::oldest_silent() const {
  const auto found = std::find_if(greetings_.rbegin(), greetings_.rend(), [](const Greeting& each) {
    return each.silent && !each.stream->readable();
  });
  return found == greetings_.rend() ? greetings_.end() : std::next(found).base();
}

bool Listener::drop_silent() {
  const auto oldest = oldest_silent();
  if (oldest == greetings_.end()) return false;
  ++counters_.silent_dropped;
  greetings_.erase(oldest);
  return true;
}

Task<> Listener::accept_all() {
  for (;;) {
    co_await signal_.wait();
    for (int count = 0; may_accept() && accept_one();) {
      if (++count % kAcceptsPerTurn == 0) co_await signal_.pass();
    }
  }
}

// Whether the next connection would leave the reserve untouched.
bool Listener::has_room() const {
  const int next = ::fcntl(fd_, F_DUPFD_CLOEXEC, 0);
  if (next < 0) return false;
  ::close(next);
  return leaves_reserve(next, DescriptorUse::client);
}

// False: there is none now.
bool Listener::accept_one() {
  if (full_ && !has_room()) {
    wait_for_descriptors();
    return false;
  }
  int fd = -1;
  const SocketAddress peer = SocketAddress::accept(fd_, fd);
  if (fd >= 0) {
    full_ = !leaves_reserve(fd, DescriptorUse::client);  // it is the last one until there is room
    welcome(fd, peer);
    return true;
  }
  if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
  // The client gave up, or the network told of an error it had (accept(2)): the next one may be well.
  if (!out_of_descriptors(errno)) return true;
  wait_for_descriptors();
  return false;
}

void Listener::wait_for_descriptors() {
  ++counters_.out_of_descriptors;
  back_off_.arm(loop_.now() + kBackOff);
}

void Listener::welcome(int fd, const SocketAddress& peer) {
  ++counters_.accepted;
  if (greetings_.size() >= settings_.most_greetings) drop_silent();
  ConnectionPermit permit = limit_->take();
  if (!permit && drop_silent()) permit = limit_->take();
  auto adopted = Stream::adopt(loop_, fd, signal_);
  if (!adopted || !permit) {
    ++counters_.over_limit;
    return;
  }
  greetings_.emplace_front(*this, std::move(permit), peer);
  Greeting& greeting = greetings_.front();
  greeting.self = greetings_.begin();
  greeting.stream = std::move(*adopted);
  greeting.stream->bind(&greeting.signal);
  greeting.task.emplace(greet(greeting));
  greeting.task->start();
}

Task<> Listener::greet(Greeting& greeting) {
  bool welcome = true;
  if (settings_.proxy_required) welcome = co_await read_proxy_header(greeting);
  if (welcome && !limit_->assign(greeting.permit, greeting.client)) {
    ++counters_.over_source_limit;
    welcome = false;
  }
  if (welcome && settings_.tls) welcome = co_await shake_hands(greeting);
  if (welcome) hand_over(greeting);
  if (greetings_.size() >= settings_.most_greetings) signal_.raise();
  // It cannot free itself, as this is its own frame.
  greeting.stream.reset();
  finished_.splice(finished_.begin(), greetings_, greeting.self);
  loop_.at_turn_end(sweep_);
}

Task<bool> Listener::read_proxy_header(Greeting& greeting) {
  std::array<char, kProxyHeaderFixed + kProxyHeaderMaxRest> header;  // filled as far as `got`
  std::size_t got = 0;
  ProxyParse parsed = parse_proxy_v2({});
  if (!listed(settings_.proxy_from, greeting.client)) parsed.state = ProxyParse::State::refused;
  greeting.start_timer();
  while (parsed.state == ProxyParse::State::need_more) {
    // Not an octet further: what follows is the TLS handshake or the request.
    const IoResult result = greeting.stream->read(std::span(header).subspan(got, parsed.octets - got));
    if (result.status == IoStatus::again) {
      if (!co_await greeting.more()) co_return false;
      continue;
    }
    if (result.status != IoStatus::ok) co_return false;
    got += result.octets;
    greeting.silent = false;
    parsed = parse_proxy_v2({header.data(), got});
  }
  if (parsed.state == ProxyParse::State::refused) {
    ++counters_.proxy_refused;
    co_return false;
  }
  if (!parsed.header.local) {
    greeting.client = parsed.header.source;
    greeting.client_port = parsed.header.source_port;
  }
  co_return true;
}

Task<bool> Listener::shake_hands(Greeting& greeting) {
  greeting.start_timer();
  greeting.silent = true;
  Stream& stream = *greeting.stream;
  // The client speaks first; until it does it gets no memory.
  while (!stream.readable()) {
    if (!co_await greeting.more()) co_return false;
  }
  greeting.silent = false;
  if (stream.peer_closed()) co_return false;  // somebody looked whether the port is open
  const auto tls = settings_.tls;
  IoStatus status = stream.start_tls(*tls) ? stream.establish() : IoStatus::failed;
  while (status == IoStatus::again) {
    if (!co_await greeting.more()) co_return false;
    status = stream.establish();
  }
  if (status != IoStatus::ok) ++counters_.handshake_failed;
  co_return status == IoStatus::ok;
}

void Listener::hand_over(Greeting& greeting) {
  greeting.stream->bind(nullptr);
  handler_({.stream = std::move(greeting.stream),
            .client = greeting.client,
            .client_port = greeting.client_port,
            .listener = settings_.index,
            .permit = std::move(greeting.permit)});
}

}  // namespace perigee::router
