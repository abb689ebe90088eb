// The configured policy file on disk: read bounded, replaced atomically, and put back when the data plane
// refuses what came of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "contract/error.h"

namespace perigee::gateway {

// The largest policy text accepted, from the file or over the socket: far above any real one (64 links and
// 4096 endpoints make about 600 KiB) and small enough to parse within a tick or two.
inline constexpr std::size_t kMaxPolicySize = 1U << 20U;

class PolicyFile {
 public:
  explicit PolicyFile(std::string path) : path_(std::move(path)) {}

  [[nodiscard]] const std::string& path() const { return path_; }
  // The file itself, where path() is a symbolic link: that is what is replaced, and the link stays.
  [[nodiscard]] std::string target() const;
  [[nodiscard]] std::string previous_path() const { return target() + ".previous"; }

  // The whole text. An error (missing, unreadable, not regular, too large) has the path in `where`.
  [[nodiscard]] Result<std::string> read() const;

  // Keeps the file in force as FILE.previous (a hard link or a copy, renamed into place: FILE never misses),
  // then writes `text` beside it, flushes and renames it over FILE with the mode FILE had (0640 when new).
  // On error FILE is unchanged.
  [[nodiscard]] Result<void> replace(std::string_view text) const;

  // Renames FILE.previous back over FILE, after a replace() that came to nothing; removes FILE when there was
  // none before.
  [[nodiscard]] Result<void> put_back() const;

 private:
  std::string path_;
};

}  // namespace perigee::gateway
