#include "router/router_thread.h"

#include <fcntl.h>

#include <algorithm>
#include <utility>

namespace perigee::router {
namespace {

void add(ListenerCounters& sum, const ListenerCounters& more) {
  sum.accepted += more.accepted;
  sum.over_limit += more.over_limit;
  sum.over_source_limit += more.over_source_limit;
  sum.proxy_refused += more.proxy_refused;
  sum.greeting_late += more.greeting_late;
  sum.silent_dropped += more.silent_dropped;
  sum.handshake_failed += more.handshake_failed;
  sum.out_of_descriptors += more.out_of_descriptors;
}

ListenerSettings settings_of(const RouterSnapshot& snapshot, std::size_t index) {
  const Policy::Listener& policy = snapshot.listeners[index].policy;
  ListenerSettings settings;
  settings.index = index;
  settings.address = policy.address;
  settings.port = policy.port;
  settings.tls = snapshot.listeners[index].tls;
  settings.proxy_required = policy.proxy_protocol.require;
  settings.proxy_from = policy.proxy_protocol.from;
  settings.greeting_time = policy.limits.handshake_time;
  return settings;
}

}  // namespace

void ThreadCounters::add(const ThreadCounters& other) {
  pool.reused += other.pool.reused;
  pool.opened += other.pool.opened;
  pool.closed_by_endpoint += other.pool.closed_by_endpoint;
  pool.closed_idle += other.pool.closed_idle;
  pool.closed_full += other.pool.closed_full;
  idle += other.idle;
  connections += other.connections;
  greeting += other.greeting;
  for (const auto& [name, counters] : other.listeners) perigee::router::add(listeners[name], counters);
}

Result<std::unique_ptr<RouterThread>> RouterThread::create(SharedCounters& shared, RecordSink& records) {
  auto loop = Loop::create();
  if (!loop) return loop.error();
  return std::unique_ptr<RouterThread>(new RouterThread(std::move(*loop), shared, records));
}

RouterThread::RouterThread(std::unique_ptr<Loop> loop, SharedCounters& shared, RecordSink& records)
    : loop_(std::move(loop)),
      scratch_{std::vector<char>(kScratchOctets), std::vector<char>(kScratchOctets)},
      pool_(*loop_, PoolLimits{}),
      context_{*loop_,  pool_,  scratch_[0], scratch_[1],
               records, shared, {},          std::make_shared<const RouterSnapshot>()} {}

RouterThread::~RouterThread() {
  if (!thread_.joinable()) return;
  loop_->post([this] {
    doors_.clear();
    spawn(end_all());
  });
  thread_.join();
}

// Ends every connection, then the loop: they use what is destroyed with it.
Task<void> RouterThread::end_all() {
  Signal signal(loop_->ready());
  Timer timer(loop_->timers(), signal);
  context_.draining = context_.drain_over = true;
  while (!connections_.alone()) {
    ClientConnection::wake_all(connections_);
    timer.arm(loop_->now() + TimerWheel::kTick);
    co_await signal.wait();
  }
  pool_.close_all();
  loop_->stop();
}

void RouterThread::start() {
  thread_ = std::thread([this] { loop_->run(); });
}

bool RouterThread::Door::is(const Policy::Listener& other) const {
  return policy.name == other.name && policy.address == other.address && policy.port == other.port;
}

std::future<Result<void>> RouterThread::prepare(std::shared_ptr<const RouterSnapshot> snapshot,
                                                std::vector<std::shared_ptr<ConnectionLimit>> limits,
                                                std::vector<std::vector<Descriptor>> handed) {
  auto promise = std::make_shared<std::promise<Result<void>>>();
  auto future = promise->get_future();
  auto sockets = std::make_shared<std::vector<std::vector<Descriptor>>>(std::move(handed));
  loop_->post([this, promise, sockets, snapshot = std::move(snapshot), limits = std::move(limits)] {
    promise->set_value(open_doors(*snapshot, limits, *sockets));
  });
  return future;
}

Result<void> RouterThread::open_doors(const RouterSnapshot& snapshot,
                                      const std::vector<std::shared_ptr<ConnectionLimit>>& limits,
                                      std::vector<std::vector<Descriptor>>& handed) {
  if (context_.draining) return {};
  std::erase_if(doors_,
                [](const Door& door) { return door.new_door; });  // of a snapshot that was not adopted
  handed.resize(snapshot.listeners.size());
  for (std::size_t i = 0; i < snapshot.listeners.size(); ++i) {
    const Policy::Listener& policy = snapshot.listeners[i].policy;
    const bool have = std::ranges::any_of(
        doors_, [&](const Door& door) { return door.listener->fd() >= 0 && door.is(policy); });
    if (have) continue;
    if (handed[i].empty()) handed[i].emplace_back();
    for (Descriptor& socket : handed[i]) {
      if (auto opened = open_door(snapshot, i, limits[i], std::move(socket)); !opened) {
        std::erase_if(doors_, [](const Door& door) { return door.new_door; });
        return opened;
      }
    }
  }
  return {};
}

Result<void> RouterThread::open_door(const RouterSnapshot& snapshot, std::size_t index,
                                     const std::shared_ptr<ConnectionLimit>& limit, Descriptor handed) {
  const Policy::Listener& policy = snapshot.listeners[index].policy;
  auto place = std::make_shared<ListenerPlace>(ListenerPlace{policy.name, std::nullopt});
  auto listener = Listener::open(
      *loop_, settings_of(snapshot, index), limit,
      [this, place](Accepted accepted) {
        ClientConnection::start(context_, std::move(accepted), place, connections_);
      },
      handed.valid() ? ::fcntl(handed.get(), F_DUPFD_CLOEXEC, 0) : -1);
  if (!listener) return listener.error();
  (*listener)->pause();
  doors_.push_back(Door{std::move(place), policy, std::move(*listener)});
  return {};
}

std::future<std::vector<Descriptor>> RouterThread::sockets() {
  auto promise = std::make_shared<std::promise<std::vector<Descriptor>>>();
  auto future = promise->get_future();
  loop_->post([this, promise] {
    std::vector<Descriptor> sockets;
    for (const Door& door : doors_)
      if (door.listener->fd() >= 0) sockets.emplace_back(::fcntl(door.listener->fd(), F_DUPFD_CLOEXEC, 0));
    promise->set_value(std::move(sockets));
  });
  return future;
}

void RouterThread::adopt(std::shared_ptr<const RouterSnapshot> snapshot) {
  loop_->post([this, snapshot = std::move(snapshot)]() mutable { swap(std::move(snapshot)); });
}

void RouterThread::swap(std::shared_ptr<const RouterSnapshot> snapshot) {
  context_.snapshot = std::move(snapshot);
  const auto& listeners = context_.snapshot->listeners;
  bool removed = false;
  for (Door& door : doors_) {
    const auto found =
        std::ranges::find_if(listeners, [&](const auto& each) { return door.is(each.policy); });
    if (found == listeners.end()) {
      removed |= std::exchange(door.place->index, std::nullopt).has_value();
      door.listener->stop();
      continue;
    }
    door.place->index = static_cast<std::size_t>(found - listeners.begin());
    door.listener->use(settings_of(*context_.snapshot, *door.place->index));
    if (door.new_door && !context_.draining) door.listener->resume();
    door.new_door = false;
  }
  if (removed) ClientConnection::wake_all(connections_);
  if (!context_.draining)
    close_doors([](const Door& door) { return door.listener->fd() < 0 && door.listener->greeting() == 0; });
  PoolLimits limits;
  limits.idle = context_.snapshot->settings.pool_idle;
  pool_.change(limits);
}

void RouterThread::drain() {
  loop_->post([this] {
    context_.draining = true;
    for (const Door& door : doors_) door.listener->stop();  // whoever else holds the sockets goes on
    ClientConnection::wake_all(connections_);
  });
}

void RouterThread::end_drain() {
  loop_->post([this] {
    context_.drain_over = true;
    close_doors([](const Door&) { return true; });
    ClientConnection::wake_all(connections_);
  });
}

template <class Pick>
void RouterThread::close_doors(Pick pick) {
  for (const Door& door : doors_)
    if (pick(door)) perigee::router::add(closed_[door.policy.name], door.listener->counters());
  std::erase_if(doors_, pick);
}

std::future<ThreadCounters> RouterThread::counters() {
  auto promise = std::make_shared<std::promise<ThreadCounters>>();
  auto future = promise->get_future();
  loop_->post([this, promise] {
    ThreadCounters counters;
    counters.pool = pool_.counters();
    counters.idle = pool_.idle();
    counters.connections = ClientConnection::count(connections_);
    counters.listeners = closed_;
    for (const Door& door : doors_) {
      counters.greeting += door.listener->greeting();
      perigee::router::add(counters.listeners[door.policy.name], door.listener->counters());
    }
    promise->set_value(std::move(counters));
  });
  return future;
}

std::future<std::size_t> RouterThread::connections() {
  auto promise = std::make_shared<std::promise<std::size_t>>();
  auto future = promise->get_future();
  loop_->post([this, promise] {
    std::size_t count = ClientConnection::count(connections_);
    for (const Door& door : doors_) count += door.listener->greeting();
    promise->set_value(count);
  });
  return future;
}

}  // namespace perigee::router
