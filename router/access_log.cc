#include "router/access_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "router/json_line.h"

namespace perigee::router {
void append_access_line(std::string& out, const RequestRecord& record) {
  JsonLine line(out);
  line.time("time", record.wall);
  line.text("request_id", record.request_id);
  line.text("trace_id", record.trace_id);
  line.text("client", record.client.text());
  line.text("key", record.key);
  line.text("tenant", record.tenant);
  line.text("service", record.service);
  if (record.operation) line.text("operation", operation_info(*record.operation).name);
  line.text("model", record.model);
  if (record.model_asked != record.model) line.text("model_asked", record.model_asked);
  if (record.model_served != record.model) line.text("model_served", record.model_served);
  line.text("endpoint", record.endpoint);
  line.text("pop", record.pop);
  line.text("link", record.link);
  if (record.canary) line.flag("canary");
  if (record.streamed) line.flag("streamed");
  line.number("status", record.status);
  line.text("ending", name_of(record.ending));
  line.text("error", record.error);
  line.text("would_refuse", record.would_refuse);
  line.number("attempts", record.attempts);
  if (record.client_retry > 0) line.number("client_retry", record.client_retry);
  line.span("total_ms", record.begun, record.ended);
  if (record.queued >= Nanos(0)) line.span("queued_ms", record.begun, record.begun + record.queued);
  line.span("sent_ms", record.begun, record.sent);
  line.span("first_event_ms", record.begun, record.first_event);
  line.span("last_event_ms", record.begun, record.last_event);
  line.number("octets_in", record.octets_in);
  line.number("octets_out", record.octets_out);
  if (record.streamed) line.number("events", record.events);
  if (record.usage) {
    line.number("prompt_tokens", record.usage->prompt);
    line.number("completion_tokens", record.usage->completion);
    line.number("cached_tokens", record.usage->cached);
    line.number("reasoning_tokens", record.usage->reasoning);
  }
  line.end();
}

AccessLog::AccessLog(std::size_t threads)
    : writer_(threads, [this](std::string_view lines) { write(lines); }) {}

Result<void> AccessLog::open(const std::string& target) {
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

void AccessLog::take(std::size_t thread, const RequestRecord& record) {
  if (!on_.load(std::memory_order_relaxed)) return;
  LineRing& ring = writer_.ring(thread);
  std::string* line = ring.next();
  if (line == nullptr) return;
  append_access_line(*line, record);
  ring.add();
  writer_.wake();
}

void AccessLog::write(std::string_view lines) {
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

std::uint64_t AccessLog::lost() const {
  return writer_.lost() + lost_writes_.load(std::memory_order_relaxed);
}

}  // namespace perigee::router
