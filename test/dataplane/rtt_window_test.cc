#include "dataplane/rtt_window.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace perigee {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::int64_t nearest_rank(const std::vector<std::int64_t>& sorted, double quantile) {
  const auto rank = static_cast<std::size_t>(std::ceil(quantile * static_cast<double>(sorted.size())));
  return sorted[std::max<std::size_t>(rank, 1) - 1];
}

TEST(RttWindow, IsWithinHalfAPercentOfSortedSamples) {
  std::mt19937_64 random(3);
  for (const double centre : {300.0, 20'000.0, 1e6, 7.3e6, 2.1e8, 3e9}) {
    for (const std::size_t count : {1U, 2U, 3U, 99U, 100U, 101U, 777U}) {
      RttWindow window(seconds(10));
      std::lognormal_distribution<> spread(std::log(centre), 0.7);
      std::vector<std::int64_t> samples;
      for (std::size_t i = 0; i < count; ++i) {
        samples.push_back(std::min<std::int64_t>(static_cast<std::int64_t>(spread(random)), 16'000'000'000));
        window.add_rtt(Instant{seconds(100).count() * 1'000'000'000 / 1'000'000'000} + milliseconds(i),
                       Nanos(samples.back()));
      }
      std::sort(samples.begin(), samples.end());
      const telemetry::Window read = window.read(Instant{100} + seconds(1));
      EXPECT_EQ(read.samples, count);
      EXPECT_EQ(read.min.count(), samples.front());
      for (const auto& [got, quantile] : {std::pair{read.p50, 0.5}, std::pair{read.p99, 0.99}}) {
        const auto want = static_cast<double>(nearest_rank(samples, quantile));
        EXPECT_LE(std::abs(static_cast<double>(got.count()) - want), 0.005 * want)
            << quantile << " of " << count;
      }
    }
  }
}

TEST(RttWindow, EveryMagnitudeIsWithinHalfAPercent) {
  for (double value = 1; value < 1.6e10; value *= 1.01) {
    RttWindow window(seconds(10));
    // Two equal samples and a smaller one, so that the exact min does not stand in for the quantile.
    window.add_rtt(Instant{1}, Nanos(0));
    window.add_rtt(Instant{1}, Nanos(static_cast<std::int64_t>(value)));
    window.add_rtt(Instant{1}, Nanos(static_cast<std::int64_t>(value)));
    const double want = std::floor(value);
    ASSERT_LE(std::abs(static_cast<double>(window.read(Instant{1}).p50.count()) - want), 0.005 * want)
        << value;
  }
}

TEST(RttWindow, DropsASliceATime) {
  RttWindow window(seconds(10));
  for (int second = 0; second < 10; ++second) {
    window.add_rtt(Instant{0} + seconds(second), milliseconds(second + 1));
    window.add_settled(Instant{0} + seconds(second), second < 4);
  }
  EXPECT_EQ(window.read(Instant{0} + milliseconds(9999)).samples, 10U);
  EXPECT_EQ(window.read(Instant{0} + milliseconds(9999)).min, milliseconds(1));
  telemetry::Window read = window.read(Instant{0} + seconds(10));
  EXPECT_EQ(read.samples, 9U);
  EXPECT_EQ(read.settled, 9U);
  EXPECT_EQ(read.lost, 3U);
  EXPECT_EQ(read.min, milliseconds(2));
  read = window.read(Instant{0} + seconds(18));
  EXPECT_EQ(read.samples, 1U);
  EXPECT_EQ(read.lost, 0U);
  EXPECT_EQ(read.min, milliseconds(10));
  EXPECT_GE(read.p99, milliseconds(10));  // never below the exact min
  EXPECT_LE(read.p99, std::chrono::microseconds(10'050));
  EXPECT_EQ(window.read(Instant{0} + seconds(19)).samples, 0U);
  EXPECT_EQ(window.read(Instant{0} + seconds(19)).settled, 0U);
}

TEST(RttWindow, AGapLongerThanTheWindowEmptiesIt) {
  RttWindow window(seconds(2));
  window.add_rtt(Instant{0} + seconds(5), milliseconds(3));
  EXPECT_EQ(window.read(Instant{0} + milliseconds(6700)).samples, 1U);
  EXPECT_EQ(window.read(Instant{0} + seconds(9000)).samples, 0U);
  window.add_rtt(Instant{0} + seconds(9000), milliseconds(4));
  EXPECT_EQ(window.read(Instant{0} + seconds(9000)).p50.count() / 100'000, 40);
}

TEST(RttWindow, AStampSlightlyInThePastStaysInTheCurrentSlice) {
  RttWindow window(seconds(10));
  window.add_rtt(Instant{0} + seconds(50), milliseconds(3));
  window.add_rtt(Instant{0} + milliseconds(48'900), milliseconds(3));
  EXPECT_EQ(window.read(Instant{0} + seconds(50)).samples, 2U);
}

TEST(RttWindow, BeyondItsRangeIsCountedAtTheEnd) {
  RttWindow window(seconds(10));
  window.add_rtt(Instant{1}, Nanos(-3));
  window.add_rtt(Instant{1}, std::chrono::hours(1));
  const telemetry::Window read = window.read(Instant{1});
  EXPECT_EQ(read.samples, 2U);
  EXPECT_GT(read.p99, seconds(16));
  EXPECT_LT(read.p99, seconds(18));
}

}  // namespace
}  // namespace perigee
