#include "dataplane/ntp_clock.h"

#include <ctime>

namespace perigee {

namespace {

constexpr std::int64_t kNanosPerSecond = 1'000'000'000;
constexpr std::int64_t kSeconds1900To1970 = 2'208'988'800;  // RFC 868
constexpr Nanos kOwnError = std::chrono::milliseconds(1);

// Of a difference or a point; the sign is in the upper half.
Nanos from_ntp(std::int64_t fixed) {
  const std::int64_t fraction = fixed & 0xffffffff;
  return Nanos((fixed >> 32) * kNanosPerSecond +
               ((fraction * kNanosPerSecond + (std::int64_t{1} << 31)) >> 32));
}

}  // namespace

ErrorEstimate ErrorEstimate::of(Nanos error, bool synchronized) {
  // error = multiplier * 2^scale * 2^-32 s, rounded up at each halving so that it never promises too much.
  const auto nanos = static_cast<std::uint64_t>(error.count() > 0 ? error.count() : 0);
  const std::uint64_t seconds = nanos / kNanosPerSecond;
  const std::uint64_t rest = nanos % kNanosPerSecond;
  unsigned scale = 0;
  std::uint64_t multiplier = 0;
  if (seconds >> 31U == 0) {
    multiplier = (seconds << 32U) + ((rest << 32U) + kNanosPerSecond - 1) / kNanosPerSecond;
  } else {
    multiplier = seconds + 1;
    scale = 32;
  }
  while (multiplier > 0xff) {
    multiplier = (multiplier + 1) / 2;
    ++scale;
  }
  if (multiplier == 0) multiplier = 1;  // 0 is invalid (RFC 4656 section 4.1.2)
  return {static_cast<std::uint16_t>((synchronized ? kSynchronized : 0U) | scale << 8U | multiplier)};
}

std::optional<Nanos> elapsed(Timestamp earlier, Timestamp later, ErrorEstimate format) {
  if (!format.ptp_format()) return from_ntp(static_cast<std::int64_t>(later.bits - earlier.bits));
  const std::int64_t from = static_cast<std::int64_t>(earlier.bits & 0xffffffff);
  const std::int64_t to = static_cast<std::int64_t>(later.bits & 0xffffffff);
  // A reflector that sets Z and writes NTP fractions is found out here, three times in four.
  if (from >= kNanosPerSecond || to >= kNanosPerSecond) return std::nullopt;
  const auto seconds = static_cast<std::int32_t>((later.bits >> 32U) - (earlier.bits >> 32U));
  return Nanos(std::int64_t{seconds} * kNanosPerSecond + to - from);
}

NtpClock::NtpClock(Instant at, Nanos unix_time)
    : ntp_offset_(unix_time + std::chrono::seconds(kSeconds1900To1970) - Nanos(at.ns)) {}

NtpClock NtpClock::start() {
  timespec wall{};
  clock_gettime(CLOCK_REALTIME, &wall);
  return {monotonic_now(), Nanos(wall.tv_sec * kNanosPerSecond + wall.tv_nsec)};
}

Timestamp NtpClock::at(Instant time) const {
  const auto since_1900 = static_cast<std::uint64_t>(time.ns + ntp_offset_.count());
  const std::uint64_t seconds = since_1900 / kNanosPerSecond;
  const std::uint64_t rest = since_1900 % kNanosPerSecond;
  return {seconds << 32U | (rest << 32U) / kNanosPerSecond};
}

ErrorEstimate NtpClock::error_estimate() {
  static const ErrorEstimate estimate = ErrorEstimate::of(kOwnError, false);
  return estimate;
}

}  // namespace perigee
