#include "dataplane/slot_index.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace perigee {
namespace {

std::uint32_t look(const SlotIndex& index, std::uint32_t hash, std::uint32_t slot) {
  return index.find(hash, [&](std::uint32_t found) { return found == slot; });
}

TEST(SlotIndex, BehavesAsAMultimap) {
  constexpr std::uint32_t kCapacity = 60;
  SlotIndex index(kCapacity);
  std::map<std::uint32_t, std::uint32_t> oracle;  // slot -> hash
  std::mt19937 random(4);
  for (int round = 0; round < 200'000; ++round) {
    const auto slot = static_cast<std::uint32_t>(random() % kCapacity);
    const auto known = oracle.find(slot);
    if (known != oracle.end()) {
      ASSERT_EQ(look(index, known->second, slot), slot);
      index.erase(known->second, slot);
      ASSERT_EQ(look(index, known->second, slot), kNoSlot);
      oracle.erase(known);
    } else {
      // Few hashes, near the end of the cells: long runs that wrap.
      const auto hash = static_cast<std::uint32_t>(0xfffffff0U + random() % 24);
      index.insert(hash, slot);
      oracle[slot] = hash;
    }
    if (round % 97 == 0) {
      for (const auto& [there, hash] : oracle) ASSERT_EQ(look(index, hash, there), there) << round;
    }
  }
}

TEST(SlotIndex, EraseOfWhatIsNotThereChangesNothing) {
  SlotIndex index(4);
  index.insert(5, 1);
  index.erase(5, 2);
  index.erase(6, 1);
  EXPECT_EQ(look(index, 5, 1), 1U);
}

}  // namespace
}  // namespace perigee
