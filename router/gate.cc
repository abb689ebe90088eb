#include "router/gate.h"

#include <algorithm>

namespace perigee::router {

std::string_view name_of(Priority priority) {
  constexpr std::array<std::string_view, kPriorities> kNames{"high", "normal", "low"};
  return kNames.at(static_cast<std::size_t>(priority));
}

std::string_view name_of(Shed reason) {
  constexpr std::array<std::string_view, static_cast<std::size_t>(Shed::count_)> kNames{
      "queue_full", "queue_time", "evicted"};
  return kNames.at(static_cast<std::size_t>(reason));
}

void Gate::change(std::uint32_t most, std::uint32_t queue) {
  queue_size_.store(queue, std::memory_order_relaxed);
  most_.store(most);
  const std::lock_guard lock(mutex_);
  grant();  // there may be more places than before
}

bool Gate::take_place() {
  std::uint32_t now = in_flight_.load();
  while (now < most_.load(std::memory_order_relaxed))
    if (in_flight_.compare_exchange_weak(now, now + 1)) return true;
  return false;
}

// Nobody overtakes those who wait.
bool Gate::enter() { return waiting_.load() == 0 && take_place(); }

// `waiting_` is written before `in_flight_` is read, and leave() does it the other way round: one of both
// sees the other, so that no place stays empty while somebody waits for it.
std::shared_ptr<Gate::Waiter> Gate::wait(Loop& loop, Signal& signal, Priority priority) {
  auto waiter = std::make_shared<Waiter>(loop, signal, priority);
  const std::lock_guard lock(mutex_);
  const std::uint32_t size = queue_size_.load(std::memory_order_relaxed);
  if (waiting_.load() >= size) {
    const auto worst =
        std::find_if(queues_.rbegin(), queues_.rend(), [](const Queue& each) { return !each.empty(); });
    const bool room =
        worst != queues_.rend() && worst->back()->priority_ > priority && waiting_.load() == size;
    // Without a queue, too, a place that came free in between is taken.
    if (!room) {
      if (waiting_.load() > 0 || !take_place()) return nullptr;
      waiter->state_.store(Waiter::State::granted, std::memory_order_release);
      return waiter;
    }
    const std::shared_ptr<Waiter> evicted = worst->back();
    settle(evicted, Waiter::State::evicted);
  }
  Queue& queue = queues_[static_cast<std::size_t>(priority)];
  waiter->place_ = queue.insert(queue.end(), waiter);
  waiting_.fetch_add(1);
  grant();
  return waiter;
}

// As long as there are both a place and somebody who waits. Under the mutex.
void Gate::grant() {
  for (Queue& queue : queues_) {
    while (!queue.empty()) {
      if (!take_place()) return;
      const std::shared_ptr<Waiter> first = queue.front();
      settle(first, Waiter::State::granted);
    }
  }
}

// Out of the queue, and its session is told. Under the mutex.
void Gate::settle(const std::shared_ptr<Waiter>& waiter, Waiter::State state) {
  queues_[static_cast<std::size_t>(waiter->priority_)].erase(waiter->place_);
  waiting_.fetch_sub(1);
  waiter->state_.store(state, std::memory_order_release);
  waiter->loop_.post([waiter] {
    if (waiter->signal_ != nullptr) waiter->signal_->raise();
  });
}

bool Gate::give_up(Waiter& waiter) {
  waiter.signal_ = nullptr;
  const std::lock_guard lock(mutex_);
  if (waiter.state() != Waiter::State::waiting) return waiter.state() == Waiter::State::granted;
  queues_[static_cast<std::size_t>(waiter.priority_)].erase(waiter.place_);
  waiting_.fetch_sub(1);
  return false;
}

void Gate::leave() {
  in_flight_.fetch_sub(1);
  if (waiting_.load() == 0) return;
  const std::lock_guard lock(mutex_);
  grant();
}

std::array<std::size_t, kPriorities> Gate::depths() {
  const std::lock_guard lock(mutex_);
  std::array<std::size_t, kPriorities> depths{};
  for (std::size_t i = 0; i < kPriorities; ++i) depths[i] = queues_[i].size();
  return depths;
}

}  // namespace perigee::router
