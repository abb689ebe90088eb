// A file that holds one secret.
#pragma once

#include <string>

#include "contract/error.h"

namespace perigee::router {

inline constexpr std::size_t kMaxSecretOctets = 8192;

// Its text without the line end. An error names the file and never what is in it: unreadable, too large, or
// readable by others.
Result<std::string> read_secret(const std::string& path, std::size_t max_octets = kMaxSecretOctets);

}  // namespace perigee::router
