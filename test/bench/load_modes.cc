#include "test/bench/load_modes.h"

#include <deque>
#include <memory>

#include "test/bench/load_connection.h"

namespace perigee::bench {
namespace {

constexpr std::int64_t kPatience = 60 * kSecond;  // no load is longer
constexpr std::size_t kMostConnections = 512;     // of the open loop
constexpr std::size_t kMostUnanswered = 1024;     // of held streams: their connections fit in a backlog
constexpr std::uint32_t kEvents = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

using Step = LoadConnection::Step;

struct Slot {
  std::unique_ptr<LoadConnection> connection;
  std::string own;  // its request, when each is another
  std::int64_t begun = 0;
  std::int64_t last = 0;  // read with something of the body; 0: none yet
  std::uint64_t events = 0;
};

class Slots {
 public:
  explicit Slots(const LoadOptions& options) : options_(options) {}

  std::size_t open() {
    Slot& slot = slots_.emplace_back();
    slot.connection = std::make_unique<LoadConnection>(options_.to, options_.tls, nullptr);
    poller_.add(slot.connection->fd(), kEvents, slots_.size() - 1);
    return slots_.size() - 1;
  }
  void begin(std::size_t index, std::int64_t at) {
    Slot& slot = slots_[index];
    slot.begun = at;
    slot.last = 0;
    slot.events = 0;
    if (options_.another) slot.own = options_.another();
    if (!slot.connection->start(options_.another ? slot.own : options_.request)) ++result.errors;
  }
  // Goes on with a connection; what it measures is noted. done: its answer is whole.
  Step follow(std::size_t index) {
    Slot& slot = slots_[index];
    const Step step = slot.connection->advance();
    if (slot.connection->body_begun()) note(slot);
    if (step == Step::failed || (step == Step::done && slot.connection->status() != options_.expected))
      ++result.errors;
    if (step == Step::done) {
      ++result.done;
      result.whole_ns.push_back(slot.last - slot.begun);
    }
    return step;
  }
  Slot& operator[](std::size_t index) { return slots_[index]; }
  [[nodiscard]] std::size_t size() const { return slots_.size(); }
  auto wait(std::int64_t until) { return poller_.wait(until); }

  // All connections, open.
  bool open_all(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) open();
    std::size_t ready = 0;
    const std::int64_t deadline = now_ns() + kPatience / 4;
    while (ready < count && now_ns() < deadline) {
      for (const epoll_event& event : wait(deadline)) {
        LoadConnection& connection = *slots_[event.data.u64].connection;
        if (connection.open()) continue;
        const Step step = connection.establish();
        if (step == Step::failed) return false;
        if (step == Step::done) ++ready;
      }
    }
    return ready == count;
  }

  LoadResult result;

 private:
  void note(Slot& slot) {
    const std::uint64_t events = slot.connection->events();
    const std::int64_t now = now_ns();
    if (slot.last == 0) {
      result.first_ns.push_back(now - slot.begun);
    } else if (events > slot.events) {
      result.gaps_ns.push_back(now - slot.last);
    } else if (slot.connection->busy()) {
      return;
    }
    result.events += events - slot.events;
    slot.events = events;
    slot.last = now;
  }

  const LoadOptions& options_;
  Poller poller_;
  std::deque<Slot> slots_;
};

void wait_for_end_of_input() {
  std::array<char, 64> octets;
  while (::read(STDIN_FILENO, octets.data(), octets.size()) > 0) {
  }
}

}  // namespace

LoadResult closed_loop(const LoadOptions& options) {
  Slots slots(options);
  if (!slots.open_all(options.connections)) give_up("cannot connect");
  const std::int64_t begun = now_ns();
  const std::int64_t deadline = begun + kPatience;
  std::size_t started = 0;
  for (; started < std::min(options.connections, options.requests); ++started) slots.begin(started, now_ns());
  while (slots.result.done + slots.result.errors < options.requests && now_ns() < deadline) {
    for (const epoll_event& event : slots.wait(deadline)) {
      if (!slots[event.data.u64].connection->busy()) continue;
      const Step step = slots.follow(event.data.u64);
      if (step == Step::done && started < options.requests) {
        ++started;
        slots.begin(event.data.u64, now_ns());
      }
    }
  }
  slots.result.seconds = static_cast<double>(now_ns() - begun) / static_cast<double>(kSecond);
  return std::move(slots.result);
}

LoadResult hold(const LoadOptions& options) {
  Slots slots(options);
  const std::int64_t begun = now_ns();
  const std::int64_t deadline = begun + kPatience;
  LoadResult& result = slots.result;
  while (result.first_ns.size() + result.errors < options.connections && now_ns() < deadline) {
    const std::size_t may = result.first_ns.size() + result.errors + kMostUnanswered;
    while (slots.size() < std::min(options.connections, may)) slots.open();
    for (const epoll_event& event : slots.wait(deadline)) {
      LoadConnection& connection = *slots[event.data.u64].connection;
      if (connection.busy()) {
        slots.follow(event.data.u64);
      } else if (!connection.open()) {
        const Step step = connection.establish();
        if (step == Step::done) slots.begin(event.data.u64, now_ns());
        if (step == Step::failed) ++result.errors;
      }
    }
  }
  result.seconds = static_cast<double>(now_ns() - begun) / static_cast<double>(kSecond);
  std::puts("held");
  std::fflush(stdout);
  wait_for_end_of_input();
  return std::move(result);
}

LoadResult open_loop(const LoadOptions& options) {
  Slots slots(options);
  if (!slots.open_all(options.connections)) give_up("cannot connect");
  std::vector<std::size_t> idle;
  for (std::size_t i = 0; i < slots.size(); ++i) idle.push_back(i);
  std::deque<std::int64_t> late;  // those whose time came while no connection was free
  const auto total = static_cast<std::size_t>(options.rate * options.seconds);
  const double gap = static_cast<double>(kSecond) / options.rate;
  const std::int64_t begun = now_ns();
  const std::int64_t deadline = begun + static_cast<std::int64_t>(options.seconds * 1e9) + 5 * kSecond;
  const auto due = [&](std::size_t index) {
    return begun + static_cast<std::int64_t>(gap * static_cast<double>(index));
  };
  std::size_t next = 0;
  while (slots.result.done + slots.result.errors < total && now_ns() < deadline) {
    for (; next < total && due(next) <= now_ns(); ++next) late.push_back(due(next));
    while (!late.empty() && !idle.empty()) {
      slots.begin(idle.back(), late.front());
      idle.pop_back();
      late.pop_front();
    }
    if (!late.empty() && slots.size() < kMostConnections) slots.open();
    for (const epoll_event& event : slots.wait(next < total ? due(next) : deadline)) {
      LoadConnection& connection = *slots[event.data.u64].connection;
      if (!connection.open()) {
        if (connection.establish() == Step::done) idle.push_back(event.data.u64);
      } else if (connection.busy() && slots.follow(event.data.u64) == Step::done) {
        idle.push_back(event.data.u64);
      }
    }
  }
  slots.result.seconds = static_cast<double>(now_ns() - begun) / static_cast<double>(kSecond);
  return std::move(slots.result);
}

namespace {

struct Handshaker {
  std::unique_ptr<LoadConnection> connection;
  SSL_SESSION* session = nullptr;  // the newest ticket
  bool has_ticket = false;
};

int keep_session(SSL* ssl, SSL_SESSION* session) {
  auto& owner = *static_cast<Handshaker*>(SSL_get_app_data(ssl));
  if (owner.session != nullptr) SSL_SESSION_free(owner.session);
  owner.session = session;
  owner.has_ticket = true;
  return 1;  // ours now
}

}  // namespace

LoadResult handshakes(const LoadOptions& options) {
  SSL_CTX_set_session_cache_mode(options.tls, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(options.tls, keep_session);
  Poller poller;
  LoadResult result;
  std::vector<Handshaker> all(options.connections);
  const auto begin = [&](std::size_t index) {
    Handshaker& one = all[index];
    one.has_ticket = false;
    one.connection =
        std::make_unique<LoadConnection>(options.to, options.tls, options.resume ? one.session : nullptr);
    SSL_set_app_data(one.connection->tls(), &one);
    poller.add(one.connection->fd(), kEvents, index);
  };
  for (std::size_t i = 0; i < all.size(); ++i) begin(i);
  const std::int64_t begun = now_ns();
  const std::int64_t end = begun + static_cast<std::int64_t>(options.seconds * 1e9);
  while (now_ns() < end) {
    for (const epoll_event& event : poller.wait(end)) {
      Handshaker& one = all[event.data.u64];
      if (!one.connection->open() && one.connection->establish() == Step::again) continue;
      if (one.connection->open() && one.connection->listen() == Step::again && !one.has_ticket) continue;
      ++(one.has_ticket ? result.done : result.errors);
      if (one.connection->open() && SSL_session_reused(one.connection->tls()) == 1) ++result.resumed;
      begin(event.data.u64);
    }
  }
  result.seconds = static_cast<double>(now_ns() - begun) / static_cast<double>(kSecond);
  all.clear();  // the sessions go with the program
  return result;
}

}  // namespace perigee::bench
