#include "dataplane/waiter.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>

namespace perigee {
namespace {

constexpr std::uint64_t kWake = ~std::uint64_t{0};  // the wake-up call, among the indices of ports
constexpr std::size_t kEvents = 16;                 // what one call tells; the rest is told by the next

}  // namespace

Waiter::Waiter(const std::vector<int>& descriptors)
    : waited_(descriptors.size()),
      wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  watch(wake_.get(), kWake);
  for (std::size_t i = 0; i < descriptors.size(); ++i) {
    waited_[i].descriptor = descriptors[i];
    const bool watched = descriptors[i] >= 0 && watch(descriptors[i], i);
    waits_on_all_ = waits_on_all_ && watched;
  }
}

bool Waiter::watch(int descriptor, std::uint64_t tag) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event) == 0;
}

void Waiter::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof one);
}

void Waiter::watch_again(Instant now) {
  for (std::size_t i = 0; i < waited_.size(); ++i) {
    Waited& port = waited_[i];
    if (!port.left_alone || !port.backoff.due(now)) continue;
    watch(port.descriptor, i);
    port.left_alone = false;
    --left_alone_;
  }
}

bool Waiter::wait(Nanos timeout, Instant now) {
  if (left_alone_ != 0) watch_again(now);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  const timespec limit{seconds.count(), (timeout - seconds).count()};
  std::array<epoll_event, kEvents> events;
  int count = epoll_pwait2(epoll_.get(), events.data(), kEvents, &limit, nullptr);
  // Linux before 5.11, or a filter of system calls that does not know it: to the millisecond then.
  if (count < 0 && (errno == ENOSYS || errno == EPERM)) {
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(timeout);
    count = epoll_wait(epoll_.get(), events.data(), kEvents, static_cast<int>(milliseconds.count()));
  }

  bool failed = false;
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.u64 == kWake) {
      std::uint64_t calls = 0;
      [[maybe_unused]] const ssize_t size = read(wake_.get(), &calls, sizeof calls);
    } else if ((event.events & (EPOLLERR | EPOLLHUP)) != 0) {
      // An error is told again and again, whatever events are asked for.
      Waited& port = waited_[event.data.u64];
      epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, port.descriptor, nullptr);
      port.backoff.failed(now);
      port.left_alone = true;
      ++left_alone_;
      failed = true;
    }
  }
  return failed;
}

}  // namespace perigee
