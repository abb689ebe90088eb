#include "dataplane/waiter.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <ctime>

namespace perigee {

Waiter::Waiter(std::vector<int> descriptors)
    : descriptors_(std::move(descriptors)),
      backoffs_(descriptors_.size()),
      polled_(descriptors_.size() + 1),
      wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  polled_[0] = pollfd{wake_.get(), POLLIN, 0};
  for (const int descriptor : descriptors_) waits_on_all_ = waits_on_all_ && descriptor >= 0;
}

void Waiter::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof one);
}

bool Waiter::wait(Nanos timeout, Instant now) {
  for (std::size_t i = 0; i < descriptors_.size(); ++i) {
    // poll() ignores negative descriptors.
    polled_[i + 1] = pollfd{backoffs_[i].due(now) ? descriptors_[i] : -1, POLLIN, 0};
  }
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  const timespec limit{seconds.count(), (timeout - seconds).count()};
  if (ppoll(polled_.data(), polled_.size(), &limit, nullptr) <= 0) return false;

  if (polled_[0].revents != 0) {
    std::uint64_t calls = 0;
    [[maybe_unused]] const ssize_t size = read(wake_.get(), &calls, sizeof calls);
  }
  bool failed = false;
  for (std::size_t i = 0; i < descriptors_.size(); ++i) {
    if ((polled_[i + 1].revents & (POLLERR | POLLHUP | POLLNVAL)) == 0) continue;
    backoffs_[i].failed(now);
    failed = true;
  }
  return failed;
}

}  // namespace perigee
