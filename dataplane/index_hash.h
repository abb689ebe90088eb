// A fixed map from 64-bit keys to indexes, built once and then only read: open addressing at most half full.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "contract/table.h"

namespace perigee {

// One multiply and a fold; good enough for keys that an operator chose, not for keys a client may choose.
[[nodiscard]] inline std::uint64_t mix(std::uint64_t key) {
  key *= 0x9e3779b97f4a7c15U;
  return key ^ key >> 32U;
}

class IndexHash {
 public:
  explicit IndexHash(std::size_t keys = 0) : slots_(std::bit_ceil(2 * keys + 2)), mask_(slots_.size() - 1) {}

  // At most as many keys as the constructor was told. False: `key` is already there (and stays).
  bool insert(std::uint64_t key, std::uint32_t value) {
    std::size_t at = mix(key) & mask_;
    for (; slots_[at].value != table::kNone; at = (at + 1) & mask_) {
      if (slots_[at].key == key) return false;
    }
    slots_[at] = {key, value};
    return true;
  }

  // The value, or table::kNone.
  [[nodiscard]] std::uint32_t find(std::uint64_t key) const {
    for (std::size_t at = mix(key) & mask_;; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.key == key || slot.value == table::kNone) return slot.value;
    }
  }

 private:
  struct Slot {
    std::uint64_t key = ~std::uint64_t{0};
    std::uint32_t value = table::kNone;
  };
  std::vector<Slot> slots_;
  std::size_t mask_;
};

}  // namespace perigee
