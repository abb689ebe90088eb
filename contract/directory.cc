#include "contract/directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <system_error>
#include <utility>

namespace perigee {
namespace {

constexpr mode_t kForeignWrite = S_IWGRP | S_IWOTH;

std::string reason(int code) { return std::generic_category().message(code); }

// Who holds the lock: the pid written into it, and what that process calls itself.
std::string holder(int lock) {
  std::array<char, 16> text{};
  if (pread(lock, text.data(), text.size() - 1, 0) <= 0) return "another process";
  const long pid = std::strtol(text.data(), nullptr, 10);
  if (pid <= 0) return "another process";
  std::string name;
  std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/comm"), name);
  return "process " + std::to_string(pid) + (name.empty() ? "" : " (" + name + ")");
}

}  // namespace

Descriptor::Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) close(fd_);
}

Result<Descriptor> open_directory(const std::string& path, std::optional<std::uint32_t> owner) {
  // A trailing slash would make the kernel follow a symbolic link in spite of O_NOFOLLOW.
  std::string bare = path;
  while (bare.size() > 1 && bare.back() == '/') bare.pop_back();
  Descriptor directory(open(bare.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory.valid()) {
    const int code = errno;
    const bool link = code == ENOTDIR || code == ELOOP;
    return Error{path, "cannot be opened as a directory: " + reason(code) +
                           (link ? " (a symbolic link is not accepted here)" : "")};
  }
  struct stat info {};
  if (fstat(directory.get(), &info) != 0) return Error{path, "cannot be examined: " + reason(errno)};
  if (info.st_uid != geteuid() && info.st_uid != 0 && (!owner || info.st_uid != *owner)) {
    return Error{path, "belongs to uid " + std::to_string(info.st_uid) + "; expected " +
                           (owner ? std::to_string(*owner) + ", " : "") + std::to_string(geteuid()) +
                           " or root"};
  }
  if ((info.st_mode & kForeignWrite) != 0) {
    return Error{path, "is writable by its group or by others; make it so with chmod go-w"};
  }
  return directory;
}

Result<Descriptor> open_regular(const Descriptor& directory, const std::string& name,
                                std::uint64_t max_size) {
  // O_NONBLOCK: opening a FIFO that someone left here must not hang.
  Descriptor file(openat(directory.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.valid()) {
    const int code = errno;
    return Error{name, "cannot be opened: " + reason(code) +
                           (code == ELOOP ? " (a symbolic link is not accepted here)" : "")};
  }
  struct stat inside {};
  struct stat around {};
  if (fstat(file.get(), &inside) != 0 || fstat(directory.get(), &around) != 0) {
    return Error{name, "cannot be examined: " + reason(errno)};
  }
  if (!S_ISREG(inside.st_mode)) return Error{name, "is not a regular file"};
  if (inside.st_uid != around.st_uid && inside.st_uid != 0) {
    return Error{name, "belongs to uid " + std::to_string(inside.st_uid) + ", not to its directory's owner " +
                           std::to_string(around.st_uid)};
  }
  if ((inside.st_mode & kForeignWrite) != 0) return Error{name, "is writable by its group or by others"};
  if (static_cast<std::uint64_t>(inside.st_size) > max_size) {
    return Error{name, "has " + std::to_string(inside.st_size) + " octets; at most " +
                           std::to_string(max_size) + " are accepted"};
  }
  return file;
}

Result<Descriptor> lock_directory(const Descriptor& directory, const std::string& path) {
  const std::string where = path + "/lock";
  Descriptor lock(
      openat(directory.get(), "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644));
  if (!lock.valid()) return Error{where, "cannot be opened: " + reason(errno)};
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Error{where, "cannot be locked: " + reason(errno)};
    return Error{where, "is held by " + holder(lock.get()) + "; one writer at a time"};
  }
  // One write of fixed length, never a truncation: who looks meanwhile reads a whole pid.
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%-14d\n", static_cast<int>(getpid()));
  if (pwrite(lock.get(), text.data(), text.size() - 1, 0) < 0) {
    return Error{where, "cannot be written: " + reason(errno)};
  }
  return lock;
}

NewFile::NewFile(int directory, std::string name, std::string temporary, Descriptor file)
    : directory_(directory),
      name_(std::move(name)),
      temporary_(std::move(temporary)),
      file_(std::move(file)) {}

NewFile::NewFile(NewFile&& other) noexcept
    : directory_(other.directory_),
      name_(std::move(other.name_)),
      temporary_(std::exchange(other.temporary_, {})),
      file_(std::move(other.file_)) {}

NewFile::~NewFile() {
  if (!temporary_.empty()) unlinkat(directory_, temporary_.c_str(), 0);
}

Result<NewFile> NewFile::create(const Descriptor& directory, const std::string& name) {
  std::uint64_t random = 0;
  if (getrandom(&random, sizeof random, 0) != sizeof random) {
    return Error{name, "no random temporary name: " + reason(errno)};
  }
  std::array<char, 17> hex{};
  std::snprintf(hex.data(), hex.size(), "%016llx", static_cast<unsigned long long>(random));
  std::string temporary = "." + name + "." + hex.data();
  Descriptor file(
      openat(directory.get(), temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.valid()) return Error{name, "cannot be created: " + reason(errno)};
  NewFile created(directory.get(), name, std::move(temporary), std::move(file));
  if (fchmod(created.file_.get(), 0644) != 0) return Error{name, "cannot set its mode: " + reason(errno)};
  return created;
}

Result<void> NewFile::write(std::span<const std::byte> octets) {
  while (!octets.empty()) {
    const ssize_t written = ::write(file_.get(), octets.data(), octets.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Error{name_, "cannot be written: " + reason(errno)};
    octets = octets.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> NewFile::publish() {
  if (fsync(file_.get()) != 0) return Error{name_, "cannot be flushed: " + reason(errno)};
  if (renameat(directory_, temporary_.c_str(), directory_, name_.c_str()) != 0) {
    return Error{name_, "cannot be renamed into place: " + reason(errno)};
  }
  temporary_.clear();
  if (fsync(directory_) != 0) return Error{name_, "its directory cannot be flushed: " + reason(errno)};
  return {};
}

}  // namespace perigee
