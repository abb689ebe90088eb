#include "router/loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <limits>
#include <utility>

namespace perigee::router {

Result<std::unique_ptr<Loop>> Loop::create() {
  const int epoll_fd = ::epoll_create1(EPOLL_CLOEXEC);
  const int wake_fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  std::unique_ptr<Loop> loop(new Loop(epoll_fd, wake_fd));  // closes them
  // Edge-triggered: each write to the event descriptor wakes once, and its counter never needs to be read.
  if (epoll_fd < 0 || wake_fd < 0 || !loop->watch(wake_fd, EPOLLIN | EPOLLET, *loop)) {
    return Error{"event loop", std::strerror(errno)};
  }
  return loop;
}

Loop::Loop(int epoll_fd, int wake_fd)
    : epoll_fd_(epoll_fd), wake_fd_(wake_fd), now_(monotonic_now()), timers_(now_) {}

Loop::~Loop() {
  if (wake_fd_ >= 0) ::close(wake_fd_);
  if (epoll_fd_ >= 0) ::close(epoll_fd_);
}

void Loop::run() {
  std::array<epoll_event, kEventsPerTurn> events;  // filled by the kernel
  while (!stopped_.load(std::memory_order_acquire)) {
    // An interrupted wait is a turn without events.
    const int count = ::epoll_wait(epoll_fd_, events.data(), kEventsPerTurn, timeout_ms());
    now_ = monotonic_now();
    wall_now_.reset();
    for (int i = 0; i < count; ++i)
      dispatch(events[static_cast<std::size_t>(i)].data.u64, events[static_cast<std::size_t>(i)].events);
    timers_.advance(now_);
    finish_turn();
  }
  stopped_.store(false, std::memory_order_relaxed);
}

int Loop::timeout_ms() const {
  if (!ready_.empty() || !turn_end_.alone()) return 0;
  const auto next = timers_.next();
  if (!next) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*next - now_).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, INT_MAX));
}

bool Loop::watch(int fd, std::uint32_t events, Watched& watched) {
  const auto index = static_cast<std::size_t>(fd);
  if (index >= watches_.size()) watches_.resize(std::max(index + 1, watches_.size() * 2));
  Watch& watch = watches_[index];
  epoll_event event{};
  event.events = events;
  event.data.u64 = std::uint64_t{watch.generation} << 32 | index;
  if (::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) return false;
  watch.watched = &watched;
  return true;
}

void Loop::unwatch(int fd) {
  const auto index = static_cast<std::size_t>(fd);
  if (index >= watches_.size() || watches_[index].watched == nullptr) return;
  Watch& watch = watches_[index];
  watch.watched = nullptr;
  ++watch.generation;
  // Closing alone would leave it registered where another process holds the socket too.
  ::epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
}

void Loop::dispatch(std::uint64_t token, std::uint32_t events) {
  const Watch& watch = watches_[token & std::numeric_limits<std::uint32_t>::max()];
  if (watch.watched != nullptr && watch.generation == token >> 32) watch.watched->on_events(events);
}

void Loop::finish_turn() {
  for (int round = 0; round < kRoundsPerTurn && !ready_.empty(); ++round) ready_.run();
  ChainLink due;
  turn_end_.move_all_to(due);
  while (!due.alone()) {
    auto& work = static_cast<TurnEnd&>(*due.next);
    work.unlink();
    work.on_turn_end();
  }
}

void Loop::at_turn_end(TurnEnd& work) {
  if (work.alone()) turn_end_.push_back(work);
}

std::chrono::system_clock::time_point Loop::wall_now() const {
  if (!wall_now_) wall_now_ = std::chrono::system_clock::now();
  return *wall_now_;
}

void Loop::on_events(std::uint32_t) {
  std::vector<std::function<void()>> work;
  {
    const std::scoped_lock lock(posted_mutex_);
    work.swap(posted_);
  }
  for (const auto& item : work) item();
}

void Loop::post(std::function<void()> work) {
  bool first = false;
  {
    const std::scoped_lock lock(posted_mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(work));
  }
  if (first) wake();
}

void Loop::stop() {
  stopped_.store(true, std::memory_order_release);
  wake();
}

void Loop::wake() {
  const std::uint64_t one = 1;
  // Cannot fail: the counter has room for 2^64 wake-ups.
  [[maybe_unused]] const auto written = ::write(wake_fd_, &one, sizeof one);
}

}  // namespace perigee::router
