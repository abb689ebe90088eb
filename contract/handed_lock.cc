#include "contract/handed_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace perigee {

Result<Descriptor> take_over_lock(const Descriptor& directory, const std::string& path, Descriptor handed) {
  const std::string where = path + "/lock";
  struct stat ours {};
  struct stat theirs {};
  if (::fstatat(directory.get(), "lock", &ours, AT_SYMLINK_NOFOLLOW) != 0 ||
      ::fstat(handed.get(), &theirs) != 0 || ours.st_dev != theirs.st_dev || ours.st_ino != theirs.st_ino)
    return Error{where, "is another file than the one handed over"};
  // Granted at once on an open file that has it; refused when that had let go and somebody else took it.
  if (::flock(handed.get(), LOCK_EX | LOCK_NB) != 0) return Error{where, std::strerror(errno)};
  std::array<char, 16> text{};  // as lock_directory() writes it
  std::snprintf(text.data(), text.size(), "%-14d\n", static_cast<int>(::getpid()));
  if (::pwrite(handed.get(), text.data(), text.size() - 1, 0) < 0) return Error{where, std::strerror(errno)};
  return Result<Descriptor>(boost::system::in_place_value, std::move(handed));
}

}  // namespace perigee
