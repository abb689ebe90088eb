#include "gateway/policy_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "contract/directory.h"

namespace perigee::gateway {
namespace {

constexpr mode_t kNewFileMode = 0640;

Error failed(const std::string& where, const char* action) {
  return Error{where, std::string("cannot ") + action + ": " + std::strerror(errno)};
}

Result<void> write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return failed(path, "write");
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> write_new(const std::string& path, std::string_view text, mode_t mode) {
  ::unlink(path.c_str());  // of an attempt that died half way
  const Descriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!fd.valid()) return failed(path, "create");
  if (auto written = write_all(fd.get(), text, path); !written) return written;
  if (::fchmod(fd.get(), mode) != 0 || ::fsync(fd.get()) != 0) return failed(path, "flush");
  return {};
}

// The rename itself must survive a crash: its directory is flushed too.
void flush_directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Descriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.valid()) ::fsync(fd.get());
}

}  // namespace

Result<std::string> PolicyFile::read() const {
  // Non-blocking, so that a FIFO in its place cannot stop the program.
  const Descriptor fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return failed(path_, "open the policy");
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return failed(path_, "look at the policy");
  if (!S_ISREG(status.st_mode)) return Error{path_, "the policy must be a regular file"};
  std::string text;
  std::string piece(64U << 10U, '\0');
  while (true) {
    const ssize_t got = ::read(fd.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(path_, "read the policy");
    if (got == 0) break;
    text.append(piece, 0, static_cast<std::size_t>(got));
    if (text.size() > kMaxPolicySize) {
      return Error{path_, "the policy is larger than " + std::to_string(kMaxPolicySize) + " octets"};
    }
  }
  // Named, as an Error could be made from a string too.
  return Result<std::string>(boost::system::in_place_value, std::move(text));
}

std::string PolicyFile::target() const {
  std::error_code missing;
  std::filesystem::path real = std::filesystem::canonical(path_, missing);
  return missing ? path_ : real.string();
}

Result<void> PolicyFile::replace(std::string_view text) const {
  const std::string path = target();
  struct stat status {};
  const bool exists = ::stat(path.c_str(), &status) == 0;
  const mode_t mode = exists ? (status.st_mode & 07777U) : kNewFileMode;

  const std::string fresh = path + ".new";
  if (auto written = write_new(fresh, text, mode); !written) return written;
  if (exists) {
    const std::string kept = path + ".keep";
    ::unlink(kept.c_str());
    if (::link(path.c_str(), kept.c_str()) != 0) {
      // Linux allows no link to another user's file, as one that root edited (fs.protected_hardlinks).
      const auto before = read();
      if (!before) return before.error();
      if (auto copied = write_new(kept, *before, mode); !copied) return copied;
    }
    if (::rename(kept.c_str(), previous_path().c_str()) != 0) {
      return failed(previous_path(), "keep the previous policy");
    }
  } else {
    ::unlink(previous_path().c_str());  // of another time: not what put_back() should find
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) return failed(path, "replace the policy");
  flush_directory_of(path);
  return {};
}

Result<void> PolicyFile::put_back() const {
  const std::string path = target();
  const bool was_there = ::rename(previous_path().c_str(), path.c_str()) == 0;
  const bool restored = was_there || (errno == ENOENT && ::unlink(path.c_str()) == 0);
  if (!restored) return failed(path, "put the policy back");
  flush_directory_of(path);
  return {};
}

}  // namespace perigee::gateway
