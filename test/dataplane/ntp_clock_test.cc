#include "dataplane/ntp_clock.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr ErrorEstimate kNtp{0x0001};
constexpr ErrorEstimate kPtp{0x4001};

TEST(NtpClock, CountsFrom1900) {
  // 1970-01-01 is 2208988800 = 0x83aa7e80 s (RFC 5905 figure 4).
  EXPECT_EQ(NtpClock(Instant{0}, Nanos(0)).at(Instant{0}).bits, 0x83aa7e80'00000000U);
  EXPECT_EQ(NtpClock(Instant{500}, Nanos(0)).at(Instant{500'000'500}).bits, 0x83aa7e80'80000000U);
  EXPECT_EQ(NtpClock(Instant{0}, seconds(1)).at(Instant{250'000'000}).bits, 0x83aa7e81'40000000U);
}

TEST(NtpClock, DifferencesAreWithinANanosecond) {
  const NtpClock clock(Instant{0}, seconds(1'700'000'000));
  for (const std::int64_t step :
       {0L, 1L, 999L, 123'456'789L, 999'999'999L, 1'000'000'000L, 86'400'000'000'001L}) {
    for (const std::int64_t from : {1L, 333'333'333L, 999'999'999L}) {
      const auto forth = elapsed(clock.at(Instant{from}), clock.at(Instant{from + step}), kNtp);
      const auto back = elapsed(clock.at(Instant{from + step}), clock.at(Instant{from}), kNtp);
      EXPECT_NEAR(static_cast<double>(forth->count()), static_cast<double>(step), 1.0);
      EXPECT_NEAR(static_cast<double>(back->count()), static_cast<double>(-step), 1.0);
    }
  }
}

TEST(NtpClock, RollOverOfTheEraCancels) {
  // 2036-02-07 06:28:16 UTC is 2^32 s after 1900.
  const Nanos eve = seconds((std::int64_t{1} << 32) - 2'208'988'800 - 1);
  const NtpClock clock(Instant{0}, eve);
  const Timestamp before = clock.at(Instant{500'000'000});
  const Timestamp after = clock.at(Instant{1'500'000'000});
  EXPECT_EQ(before.bits, 0xffffffff'80000000U);
  EXPECT_EQ(after.bits, 0x00000000'80000000U);
  EXPECT_EQ(elapsed(before, after, kNtp), seconds(1));
  EXPECT_EQ(elapsed(after, before, kNtp), -seconds(1));
}

TEST(NtpClock, PtpStampsAreReadAsTheirSenderSays) {  // RFC 8186
  EXPECT_EQ(elapsed({0x00000005'3b9ac9ff}, {0x00000006'00000000}, kPtp), Nanos(1));
  EXPECT_EQ(elapsed({0xffffffff'00000000}, {0x00000000'00000000}, kPtp), seconds(1));
  EXPECT_EQ(elapsed({0x00000006'00000000}, {0x00000005'00000000}, kPtp), -seconds(1));
  // No nanosecond has this number: these are NTP fractions under a wrong flag.
  EXPECT_EQ(elapsed({0x00000005'80000000}, {0x00000005'00000000}, kPtp), std::nullopt);
  EXPECT_EQ(elapsed({0x00000005'00000000}, {0x00000005'3b9aca00}, kPtp), std::nullopt);
}

TEST(ErrorEstimate, IsTheSmallestThatCovers) {
  EXPECT_EQ(ErrorEstimate::of(std::chrono::microseconds(1), false).bits, 5U << 8U | 135U);
  EXPECT_EQ(ErrorEstimate::of(std::chrono::microseconds(100), false).bits, 11U << 8U | 210U);
  EXPECT_EQ(ErrorEstimate::of(milliseconds(1), true).bits, 0x8000U | 15U << 8U | 132U);
  EXPECT_EQ(ErrorEstimate::of(Nanos(0), false).bits, 1U);  // multiplier 0 would be invalid
  EXPECT_EQ(ErrorEstimate::of(Nanos(-5), false).bits, 1U);
  EXPECT_EQ(ErrorEstimate::of(Nanos::max(), false).bits & 0xc000U, 0U);
  EXPECT_EQ(NtpClock::error_estimate().bits & 0xc000U, 0U);  // neither synchronized nor PTP
}

TEST(NtpClock, StartReadsTheWallClock) {
  const NtpClock clock = NtpClock::start();
  const std::uint64_t year_2020 = 2'208'988'800 + 1'577'836'800;
  EXPECT_GT(clock.at(monotonic_now()).bits >> 32U, year_2020);
}

}  // namespace
}  // namespace perigee
