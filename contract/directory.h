// A run directory is a security boundary: it is opened by descriptor, must be owned by the expected user and
// must not be writable by group or others; files in it are opened without following links and must be
// regular.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "contract/error.h"

namespace perigee {

// An owned file descriptor; closes on destruction.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor();

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// Opens `path` as a directory; no symbolic link as its last part; owner is the caller or root or, when given,
// `owner` (a uid); no group or other write.
Result<Descriptor> open_directory(const std::string& path, std::optional<std::uint32_t> owner = std::nullopt);

// Opens the regular file `name` in `directory` for reading, without following links, with the same owner as
// the directory, at most `max_size` octets.
Result<Descriptor> open_regular(const Descriptor& directory, const std::string& name, std::uint64_t max_size);

// The writer's lock of a directory (flock on "lock" inside, with the holder's pid in it), held for the
// process's life. The error of a second writer names the holder.
Result<Descriptor> lock_directory(const Descriptor& directory, const std::string& path);

}  // namespace perigee
