// Of the process's descriptors, the share that sockets of requests leave to the control loop and the admin
// API, which go on when the router is full. The kernel always gives the lowest number that is free (POSIX,
// 2.14 "File Descriptor Allocation"): so a number tells how many are in use at least, and none is counted.
#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>

namespace perigee::router {

enum class DescriptorUse : std::uint8_t { client, endpoint };

// An eighth: health checks and polls take two for each endpoint, admin connections 128.
inline constexpr rlim_t kReservedShare = 8;
inline constexpr rlim_t kMostReserved = 4096;

// Whether a socket of the number `fd` leaves the reserve untouched. Clients leave as much again to the
// endpoints that their requests need.
[[nodiscard]] inline bool leaves_reserve(int fd, DescriptorUse use) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return true;
  const rlim_t reserve = std::min(limit.rlim_cur / kReservedShare, kMostReserved);
  return static_cast<rlim_t>(fd) + reserve * (use == DescriptorUse::client ? 2 : 1) < limit.rlim_cur;
}

}  // namespace perigee::router
