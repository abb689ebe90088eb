#include "router/usage_spool.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <vector>

#include "contract/directory.h"
#include "router/json_line.h"

namespace perigee::router {
namespace {

constexpr std::string_view kBegin = "usage-";
constexpr std::string_view kPart = ".part";
constexpr std::string_view kWhole = ".jsonl";

std::string reason() { return std::strerror(errno); }

std::string whole_name(std::string_view part) {
  return std::string(part.substr(0, part.size() - kPart.size())).append(kWhole);
}

}  // namespace

UsageRecord usage_record_of(const RequestRecord& request) {
  if (request.usage) return {request, *request.usage, true};
  return {request, {request.tokens_prompt, request.tokens_completion, 0, 0}, false};
}

bool has_usage(const RequestRecord& request) { return request.attempts > 0 || !request.key.empty(); }

void append_usage_line(std::string& out, const UsageRecord& record) {
  const RequestRecord& request = record.request;
  JsonLine line(out);
  line.time("time", request.wall);
  line.text("request_id", request.request_id);
  line.text("trace_id", request.trace_id);
  line.text("key", request.key);
  line.text("tenant", request.tenant);
  line.text("service", request.service);
  if (request.operation) line.text("operation", operation_info(*request.operation).name);
  line.text("model", request.model);
  line.text("model_asked", request.model_asked);
  line.text("model_served", request.model_served);
  line.text("endpoint", request.endpoint);
  line.text("pop", request.pop);
  line.text("region", request.region);
  line.number("attempts", request.attempts);
  line.text("hedge", request.hedge);
  line.number("prompt_tokens", record.tokens.prompt);
  line.number("completion_tokens", record.tokens.completion);
  line.number("cached_tokens", record.tokens.cached);
  line.number("reasoning_tokens", record.tokens.reasoning);
  line.text("tokens", record.exact ? "exact" : "estimated");
  line.text("outcome", name_of(request.ending));
  line.number("status", request.status);
  line.end();
}

// The files of one directory, and the one of them that is being written.
class UsageSpool::Files {
 public:
  static Result<std::unique_ptr<Files>> open(const Policy::Router::UsageRecords& settings) {
    auto directory = open_directory(settings.directory);
    if (!directory) return directory.error();
    std::unique_ptr<Files> files(new Files(std::move(*directory), settings));
    files->look(true);
    if (auto begun = files->begin(); !begun) return begun.error();
    return files;
  }
  ~Files() { finish(); }

  // False: there is no room, or the disk took no more; nothing of `lines` is there.
  bool write(std::string_view lines) {
    if (octets_ + lines.size() > settings_.octets) look(false);  // some may have been taken away
    if (octets_ + lines.size() > settings_.octets) return false;
    if (size_ > 0 && size_ + lines.size() > settings_.file_octets) {
      finish();
      if (!begin()) return false;
    }
    if (!file_.valid() && !begin()) return false;
    std::string_view left = lines;
    while (!left.empty()) {
      const ssize_t wrote = ::write(file_.get(), left.data(), left.size());
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote <= 0) {
        // No half record is published: where it cannot be cut off now, recover_part() does it later.
        if (::ftruncate(file_.get(), static_cast<off_t>(size_)) != 0) let_go();
        return false;
      }
      left.remove_prefix(static_cast<std::size_t>(wrote));
    }
    size_ += lines.size();
    octets_ += lines.size();
    return true;
  }

 private:
  Files(Descriptor directory, const Policy::Router::UsageRecords& settings)
      : directory_(std::move(directory)), settings_(settings) {}

  // How much there is; with `recover` also finishes what dead writers left.
  void look(bool recover) {
    octets_ = 0;
    const int fd = ::openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR* listing = fd < 0 ? nullptr : ::fdopendir(fd);
    if (listing == nullptr) {
      if (fd >= 0) ::close(fd);
      return;
    }
    while (const dirent* entry = ::readdir(listing)) {
      const std::string_view name = entry->d_name;
      if (!name.starts_with(kBegin) || !(name.ends_with(kPart) || name.ends_with(kWhole))) continue;
      struct stat about {};
      if (::fstatat(directory_.get(), entry->d_name, &about, AT_SYMLINK_NOFOLLOW) != 0) continue;
      octets_ += static_cast<std::uint64_t>(about.st_size);
      if (recover && name.ends_with(kPart)) recover_part(std::string(name));
    }
    ::closedir(listing);
  }

  void recover_part(const std::string& name) {
    const Descriptor file(
        ::openat(directory_.get(), name.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!file.valid() || ::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return;
    // A record that was cut is not one.
    const off_t size = ::lseek(file.get(), 0, SEEK_END);
    off_t end = size;
    char last = '\0';
    while (end > 0 && ::pread(file.get(), &last, 1, end - 1) == 1 && last != '\n') --end;
    if (end < size && ::ftruncate(file.get(), end) != 0) return;
    publish(name, end == 0);
  }

  void publish(const std::string& part, bool empty) const {
    if (empty)
      ::unlinkat(directory_.get(), part.c_str(), 0);
    else
      ::renameat(directory_.get(), part.c_str(), directory_.get(), whole_name(part).c_str());
  }

  Result<void> begin() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    char name[64];
    std::snprintf(name, sizeof name, "usage-%013lld-%d-%llu.part",
                  static_cast<long long>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count()),
                  static_cast<int>(::getpid()), static_cast<unsigned long long>(++made_in_process()));
    Descriptor file(
        ::openat(directory_.get(), name, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0640));
    struct stat about {};
    if (!file.valid() || ::flock(file.get(), LOCK_EX | LOCK_NB) != 0 || ::fstat(file.get(), &about) != 0)
      return Error{settings_.directory + "/" + name, reason()};
    // Between the two calls it looked like what a dead writer left, and empty.
    if (about.st_nlink == 0) return Error{settings_.directory + "/" + name, "another process removed it"};
    file_ = std::move(file);
    name_ = name;
    size_ = 0;
    return {};
  }

  void finish() {
    if (!file_.valid()) return;
    ::fdatasync(file_.get());
    publish(name_, size_ == 0);
    let_go();
  }

  void let_go() {
    file_ = Descriptor();
    size_ = 0;
  }

  static std::atomic<std::uint64_t>& made_in_process() {
    static std::atomic<std::uint64_t> made{0};
    return made;
  }

  Descriptor directory_;
  const Policy::Router::UsageRecords settings_;
  Descriptor file_;
  std::string name_;
  std::uint64_t size_ = 0;    // of the file
  std::uint64_t octets_ = 0;  // of all files, as last looked at
};

UsageSpool::UsageSpool(std::size_t threads)
    : writer_(threads, [this](std::string_view lines) { write(lines); }) {}

UsageSpool::~UsageSpool() = default;

Result<void> UsageSpool::open(const Policy::Router::UsageRecords& settings) {
  std::unique_ptr<Files> files;
  if (!settings.directory.empty()) {
    auto opened = Files::open(settings);
    if (!opened) return opened.error();
    files = std::move(*opened);
  }
  on_.store(files != nullptr, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  files_.swap(files);
  return {};
}

void UsageSpool::take(std::size_t thread, const RequestRecord& request) {
  if (!on_.load(std::memory_order_relaxed) || !has_usage(request)) return;
  LineRing& ring = writer_.ring(thread);
  std::string* line = ring.next();
  if (line == nullptr) return;
  append_usage_line(*line, usage_record_of(request));
  ring.add();
  writer_.wake();
}

void UsageSpool::write(std::string_view lines) {
  const std::lock_guard lock(mutex_);
  if (files_ == nullptr || files_->write(lines)) return;
  lost_writes_.fetch_add(static_cast<std::uint64_t>(std::count(lines.begin(), lines.end(), '\n')),
                         std::memory_order_relaxed);
}

std::uint64_t UsageSpool::lost() const {
  return writer_.lost() + lost_writes_.load(std::memory_order_relaxed);
}

}  // namespace perigee::router
