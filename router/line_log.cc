#include "router/line_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace perigee::router {

LineLog::LineLog(std::size_t threads) : writer_(threads, [this](std::string_view lines) { write(lines); }) {}

Result<void> LineLog::open(const std::string& target) {
  std::shared_ptr<const Descriptor> file;
  if (target == "stderr") {
    file = std::make_shared<const Descriptor>(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0));
  } else if (target != "none") {
    file = std::make_shared<const Descriptor>(
        ::open(target.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640));
  }
  if (file != nullptr && !file->valid()) return Error{target, std::strerror(errno)};
  on_.store(file != nullptr, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  file_ = std::move(file);
  return {};
}

void LineLog::write(std::string_view lines) {
  std::shared_ptr<const Descriptor> file;
  {
    const std::lock_guard lock(mutex_);
    file = file_;
  }
  while (file != nullptr && !lines.empty()) {
    const ssize_t wrote = ::write(file->get(), lines.data(), lines.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) break;
    lines.remove_prefix(static_cast<std::size_t>(wrote));
  }
  const auto lost = static_cast<std::uint64_t>(std::count(lines.begin(), lines.end(), '\n'));
  lost_writes_.fetch_add(lost, std::memory_order_relaxed);
}

std::uint64_t LineLog::lost() const { return writer_.lost() + lost_writes_.load(std::memory_order_relaxed); }

}  // namespace perigee::router
