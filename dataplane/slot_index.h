// From a 32-bit hash to a slot of the flow table: the reverse index (from an endpoint's reply to its flow).
// Private to the process, made anew by a scan, so entries may move. Open addressing, at most half full.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "dataplane/flow_table.h"

namespace perigee {

class SlotIndex {
 public:
  explicit SlotIndex(std::uint32_t capacity)
      : mask_(std::bit_ceil(std::max(2 * capacity, 2U)) - 1), cells_(std::size_t{mask_} + 1) {}

  void prefetch(std::uint32_t hash) const { __builtin_prefetch(&cells_[hash & mask_]); }

  // The first slot under this hash for which `is_it(slot)`, or kNoSlot.
  template <class IsIt>
  [[nodiscard]] std::uint32_t find(std::uint32_t hash, IsIt&& is_it) const {
    for (std::uint32_t at = hash & mask_; cells_[at].slot != kNoSlot; at = (at + 1) & mask_) {
      if (cells_[at].hash == hash && is_it(cells_[at].slot)) return cells_[at].slot;
    }
    return kNoSlot;
  }

  // At most `capacity` slots at a time.
  void insert(std::uint32_t hash, std::uint32_t slot) {
    std::uint32_t at = hash & mask_;
    while (cells_[at].slot != kNoSlot) at = (at + 1) & mask_;
    cells_[at] = {hash, slot};
  }

  void erase(std::uint32_t hash, std::uint32_t slot) {
    std::uint32_t at = hash & mask_;
    while (cells_[at].slot != slot) {
      if (cells_[at].slot == kNoSlot) return;
      at = (at + 1) & mask_;
    }
    // Close the gap: move back what may lie there, so that no run is ever broken by a hole.
    for (std::uint32_t next = (at + 1) & mask_; cells_[next].slot != kNoSlot; next = (next + 1) & mask_) {
      const std::uint32_t from_home = (next - cells_[next].hash) & mask_;
      if (from_home < ((next - at) & mask_)) continue;
      cells_[at] = cells_[next];
      at = next;
    }
    cells_[at] = {};
  }

 private:
  struct Cell {
    std::uint32_t hash = 0;
    std::uint32_t slot = kNoSlot;
  };
  std::uint32_t mask_;
  std::vector<Cell> cells_;
};

}  // namespace perigee
