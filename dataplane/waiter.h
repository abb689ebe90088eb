// Where a worker sleeps: on its ports' descriptors and on a wake-up call, until a point in time.
#pragma once

#include <cstdint>
#include <vector>

#include "contract/directory.h"
#include "contract/units.h"
#include "dataplane/sleep.h"

namespace perigee {

class Waiter {
 public:
  // One descriptor per port, -1 where it has none; they stay the ports'.
  explicit Waiter(const std::vector<int>& descriptors);

  // Every port can wake us.
  [[nodiscard]] bool waits_on_all() const { return waits_on_all_; }

  // Any thread: the current or next wait() ends at once.
  void wake();

  // Sleeps at most `timeout`. A descriptor that reports an error is left alone for a while (Backoff); true:
  // there was one, so the ports' states should be asked for.
  bool wait(Nanos timeout, Instant now);

  // The port works again: wait on it.
  void recovered(std::size_t port) { waited_[port].backoff.recovered(); }

 private:
  struct Waited {
    int descriptor = -1;
    bool left_alone = false;
    Backoff backoff;
  };

  bool watch(int descriptor, std::uint64_t tag);
  void watch_again(Instant now);  // those whose time has come

  std::vector<Waited> waited_;  // by port
  Descriptor wake_;
  // Not poll(), which asks every port at every call.
  Descriptor epoll_;
  std::size_t left_alone_ = 0;  // ports
  bool waits_on_all_ = true;
};

}  // namespace perigee
