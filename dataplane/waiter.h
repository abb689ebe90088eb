// Where a worker sleeps: on its ports' descriptors and on a wake-up call, until a point in time.
#pragma once

#include <poll.h>

#include <span>
#include <vector>

#include "contract/directory.h"
#include "contract/units.h"
#include "dataplane/sleep.h"

namespace perigee {

class Waiter {
 public:
  // One descriptor per port, -1 where it has none; they stay the ports'.
  explicit Waiter(std::vector<int> descriptors);

  // Every port can wake us.
  [[nodiscard]] bool waits_on_all() const { return waits_on_all_; }

  // Any thread: the current or next wait() ends at once.
  void wake();

  // Sleeps at most `timeout`. A descriptor that reports an error is left alone for a while (Backoff); true:
  // there was one, so the ports' states should be asked for.
  bool wait(Nanos timeout, Instant now);

  // The port works again: wait on it.
  void recovered(std::size_t port) { backoffs_[port].recovered(); }

 private:
  std::vector<int> descriptors_;
  std::vector<Backoff> backoffs_;
  std::vector<pollfd> polled_;  // the wake-up call, then the ports
  Descriptor wake_;
  bool waits_on_all_ = true;
};

}  // namespace perigee
