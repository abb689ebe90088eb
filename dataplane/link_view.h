// What the packet path knows of the links: one bit per link, by its index in the table in force.
#pragma once

#include <cstdint>

namespace perigee {

struct LinkView {
  std::uint64_t up = 0;       // up or degraded
  std::uint64_t unknown = 0;  // not judged yet, or answering but held off after a flap: usable, ranked last

  [[nodiscard]] std::uint64_t usable() const { return up | unknown; }
  friend bool operator==(const LinkView&, const LinkView&) = default;
};

}  // namespace perigee
