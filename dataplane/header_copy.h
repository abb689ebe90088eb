// The headers of a packet as it came in, kept while it is rewritten, so that an error can still quote what
// its sender sent.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>

#include "dataplane/packet.h"

namespace perigee {

class HeaderCopy {
 public:
  explicit HeaderCopy(const Packet& packet)
      : packet_(packet), size_(std::min<std::size_t>(packet.length - packet.l3, octets_.size())) {
    std::memcpy(octets_.data(), packet.ip(), size_);
  }

  void restore(Packet& packet) const {
    packet = packet_;
    std::memcpy(packet.ip(), octets_.data(), size_);
  }

 private:
  Packet packet_;
  std::size_t size_;
  std::array<std::uint8_t, 120> octets_;  // the longest IPv4 and TCP headers
};

}  // namespace perigee
