// Hands an immutable value from the control thread to a worker by swapping one pointer, and frees the old one
// when the worker has let go of it. The worker acknowledges each value anyway (that is how a table comes to
// be in force), so the acknowledgement is also the grace period: no QSBR beside it.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

namespace perigee {

template <class T>
class Mailbox {
 public:
  // Control thread. False, and nothing is done, while the last offer is not taken: the worker holds one value
  // and is about to take another, so a third has no place.
  bool offer(std::shared_ptr<const T> next) {
    if (!settled()) return false;
    previous_ = std::exchange(current_, std::move(next));
    offered_.store(current_.get(), std::memory_order_release);
    return true;
  }

  // Control thread. True when the worker holds the last offer; what it held before is then freed, here.
  bool settled() {
    // Acquire: everything the worker did with the previous value happened before its acknowledgement.
    if (taken_.load(std::memory_order_acquire) != offered_.load(std::memory_order_relaxed)) return false;
    previous_.reset();
    return true;
  }

  // Worker. Calls adopt(new value) when there is one, and only then lets go of the one it held.
  template <class Adopt>
  bool take(Adopt&& adopt) {
    const T* const next = offered_.load(std::memory_order_acquire);
    if (next == taken_.load(std::memory_order_relaxed)) return false;
    adopt(*next);
    taken_.store(next, std::memory_order_release);
    return true;
  }

 private:
  std::shared_ptr<const T> current_, previous_;  // control thread only
  std::atomic<const T*> offered_{nullptr};       // written by the control thread
  std::atomic<const T*> taken_{nullptr};         // written by the worker
};

}  // namespace perigee
