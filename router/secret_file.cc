#include "router/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "contract/directory.h"

namespace perigee::router {

Result<std::string> read_secret(const std::string& path, std::size_t max_octets) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid()) return Error{path, std::strerror(errno)};
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return Error{path, std::strerror(errno)};
  if (!S_ISREG(status.st_mode)) return Error{path, "is no regular file"};
  if ((status.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) != 0) {
    return Error{path, "holds a secret, and others may read or change it: chmod 600"};
  }
  std::string text(max_octets + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + size, text.size() - size);
    if (got < 0) return Error{path, std::strerror(errno)};
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size > max_octets) return Error{path, "is too large for a secret"};
  text.resize(size);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return Result<std::string>(boost::system::in_place_value, std::move(text));
}

}  // namespace perigee::router
