#include "dataplane/rtt_histogram.h"

#include <gtest/gtest.h>

#include <memory>

namespace perigee {
namespace {

TEST(RttHistogram, EdgesAreTheExportedOnesAndInclusive) {
  ASSERT_EQ(telemetry::kRttEdgesSeconds.size(), 20U);
  const std::int64_t edges_us[] = {100,    200,     300,     500,     1000,    2000,     3000,
                                   5000,   7500,    10000,   15'000,  20'000,  30'000,   50'000,
                                   75'000, 100'000, 200'000, 300'000, 500'000, 1'000'000};
  for (std::size_t i = 0; i < 20; ++i) {
    const Nanos edge = std::chrono::microseconds(edges_us[i]);
    EXPECT_EQ(rtt_bucket(edge), i);
    EXPECT_EQ(rtt_bucket(edge - Nanos(1)), i);
    EXPECT_EQ(rtt_bucket(edge + Nanos(1)), i + 1);
  }
  EXPECT_EQ(rtt_bucket(Nanos(0)), 0U);
  EXPECT_EQ(rtt_bucket(std::chrono::hours(1)), 20U);
}

TEST(RttHistogram, CountsEachOnceAndSums) {
  const auto slot = std::make_unique<telemetry::LinkSlot>();
  record_rtt(*slot, std::chrono::microseconds(150));
  record_rtt(*slot, std::chrono::microseconds(160));
  record_rtt(*slot, std::chrono::seconds(2));
  std::uint64_t total = 0;
  for (const auto& bucket : slot->rtt_buckets) total += bucket.load();
  EXPECT_EQ(total, 3U);
  EXPECT_EQ(slot->rtt_buckets[1].load(), 2U);
  EXPECT_EQ(slot->rtt_buckets[20].load(), 1U);
  EXPECT_EQ(slot->rtt_sum_ns.load(), 2'000'310'000U);
}

}  // namespace
}  // namespace perigee
