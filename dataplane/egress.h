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

// Which of `count` equal links is a flow's, by hash-threshold (RFC 2992 section 2): by two octets that are
// its own and may be as close to others' as SNAT ports of flows that come one after the other.
[[nodiscard]] inline std::uint32_t place_among(std::uint32_t count, std::uint16_t flow) {
  return (flow * 0x9e37U & 0xffffU) * count >> 16U;
}

// A flow's link: of the first `equal` of `order`, which share flows, its own; while that is not up or in
// `except`, the next of them that is, so that the other flows stay where they are. With none of them, or less
// than two, as first_live_link().
[[nodiscard]] inline std::optional<std::uint32_t> shared_live_link(std::span<const std::uint32_t> order,
                                                                   std::uint32_t equal, std::uint32_t place,
                                                                   LinkView view, std::uint64_t except = 0) {
  for (std::uint32_t i = 0; equal > 1 && i < equal; ++i) {
    const std::uint32_t link = order[(place + i) % equal];
    if ((view.up & ~except) >> link & 1U) return link;
  }
  return first_live_link(order, view, except);
}

}  // namespace perigee
