#include "contract/units.h"

#include <gtest/gtest.h>

#include <unordered_set>

namespace perigee {
namespace {

TEST(Instant, SubtractsToADurationAndBack) {
  const Instant start{1'000};
  EXPECT_EQ((start + Nanos(500)) - start, Nanos(500));
  EXPECT_EQ((start - Nanos(500)).ns, 500);
  EXPECT_LT(start, start + Nanos(1));
  EXPECT_TRUE(Instant{}.never());
}

TEST(Instant, TheClockMovesForward) {
  const Instant first = monotonic_now();
  EXPECT_FALSE(first.never());
  EXPECT_LE(first, monotonic_now());
}

// Ids live in tables, telemetry and flow files of running systems: these values must never change.
TEST(StableId, FollowsFromTheName) {
  EXPECT_EQ(stable_id_of("mel-1"), 0x277ce4d8U);
  EXPECT_EQ(stable_id_of("chat"), 0xf9f8b91aU);
  EXPECT_NE(id_from_name<LinkId>("syd-mel-a"), id_from_name<LinkId>("syd-mel-b"));
  EXPECT_FALSE(id_from_name<LinkId>("").none());
  EXPECT_TRUE(LinkId{}.none());
  EXPECT_EQ((std::unordered_set<LinkId>{LinkId{1}, LinkId{1}, LinkId{2}}.size()), 2U);
}

}  // namespace
}  // namespace perigee
