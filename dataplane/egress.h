// Segments and egress: where a packet came in and where it leaves. A segment is one (port, VLAN), and it is
// either a link to another PoP or an interface of this one.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "contract/table.h"
#include "dataplane/link_view.h"

namespace perigee {

struct Segment {
  enum class Kind : std::uint8_t { none, link, interface };
  Kind kind = Kind::none;
  std::uint16_t index = 0;  // into the table's links or interfaces

  [[nodiscard]] bool none() const { return kind == Kind::none; }
  [[nodiscard]] bool is_link() const { return kind == Kind::link; }
  [[nodiscard]] bool is_interface() const { return kind == Kind::interface; }
  friend bool operator==(const Segment&, const Segment&) = default;
};

struct Egress {
  Segment segment;
  std::uint32_t next_hop = 0;  // IPv4 in host order: whose MAC address the frame is sent to

  friend bool operator==(const Egress&, const Egress&) = default;
};

static_assert(table::kMaxLinks <= 64, "link sets are 64-bit masks");

// The first link of `order` that is up and not in `except` (a mask of links), else the first that is unknown,
// else nothing.
[[nodiscard]] inline std::optional<std::uint32_t> first_live_link(std::span<const std::uint32_t> order,
                                                                  LinkView view, std::uint64_t except = 0) {
  for (const std::uint64_t among : {view.up & ~except, view.unknown & ~view.up & ~except}) {
    if (among == 0) continue;
    for (const std::uint32_t link : order) {
      if ((among >> link & 1U) != 0) return link;
    }
  }
  return std::nullopt;
}

}  // namespace perigee
