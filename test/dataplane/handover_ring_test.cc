#include "dataplane/handover_ring.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

namespace perigee {
namespace {

TEST(HandoverRing, FirstInFirstOutUntilFull) {
  HandoverRing<int> ring(3);  // rounded up to 4
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(ring.push(i));
  EXPECT_FALSE(ring.push(4));
  int value = -1;
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(ring.pop(value));
    EXPECT_EQ(value, i);
  }
  EXPECT_FALSE(ring.pop(value));
  EXPECT_TRUE(ring.push(5));
  EXPECT_TRUE(ring.pop(value));
  EXPECT_EQ(value, 5);
}

TEST(HandoverRing, OwnershipCrosses) {
  HandoverRing<std::unique_ptr<int>> ring(2);
  EXPECT_TRUE(ring.push(std::make_unique<int>(7)));
  std::unique_ptr<int> value;
  ASSERT_TRUE(ring.pop(value));
  EXPECT_EQ(*value, 7);
}

// For ThreadSanitizer: what is written before push() is seen after pop().
TEST(HandoverRing, TwoThreads) {
  constexpr std::uint64_t kCount = 100000;
  HandoverRing<std::uint64_t*> ring(64);
  std::thread producer([&] {
    for (std::uint64_t i = 1; i <= kCount; ++i) {
      auto* value = new std::uint64_t(i);
      while (!ring.push(value)) std::this_thread::yield();
    }
  });
  std::uint64_t expected = 0;
  for (std::uint64_t* value = nullptr; expected < kCount;) {
    if (!ring.pop(value)) {
      std::this_thread::yield();
      continue;
    }
    ASSERT_EQ(*value, ++expected);
    delete value;
  }
  producer.join();
}

}  // namespace
}  // namespace perigee
