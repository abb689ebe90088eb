// A run directory is a security boundary: it is opened by descriptor, must be owned by the expected user and
// must not be writable by group or others; files in it are opened without following links and must be
// regular.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
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

// Opens the regular file `name` in `directory` for reading, without following links; owned by the directory's
// owner or root, no group or other write, at most `max_size` octets.
Result<Descriptor> open_regular(const Descriptor& directory, const std::string& name, std::uint64_t max_size);

// The writer's lock of a directory (flock on "lock" inside, with the holder's pid in it), held for the
// process's life. The error of a second writer names the holder.
Result<Descriptor> lock_directory(const Descriptor& directory, const std::string& path);

// A file being made under a temporary name beside its final one; readers see nothing of it before publish().
// Destroyed unpublished, it is removed again. `directory` must outlive it.
class NewFile {
 public:
  // Readable by all, writable by the owner, whatever the umask: readers run as other users.
  static Result<NewFile> create(const Descriptor& directory, const std::string& name);
  NewFile(NewFile&& other) noexcept;
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile();

  [[nodiscard]] const Descriptor& descriptor() const { return file_; }
  Result<void> write(std::span<const std::byte> octets);
  // Flushes the file, renames it over `name` and flushes the directory.
  Result<void> publish();

 private:
  NewFile(int directory, std::string name, std::string temporary, Descriptor file);

  int directory_;
  std::string name_;
  std::string temporary_;  // empty once published
  Descriptor file_;
};

}  // namespace perigee
