// NTP timestamps (RFC 8762 section 4.2.1) from CLOCK_MONOTONIC plus an offset taken once at start: a step of
// the wall clock never shows in a difference.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "contract/units.h"

namespace perigee {

// 64 bits as they stand in the packet: NTP has seconds since 1900 and 2^-32 s; truncated PTP (RFC 8186, flag
// Z of the error estimate) has seconds and nanoseconds.
struct Timestamp {
  std::uint64_t bits = 0;
  friend bool operator==(const Timestamp&, const Timestamp&) = default;
};

// RFC 4656 section 4.1.2 with the Z flag of RFC 8186: S(1) Z(1) scale(6) multiplier(8).
struct ErrorEstimate {
  std::uint16_t bits = 0;

  static constexpr std::uint16_t kSynchronized = 0x8000;
  static constexpr std::uint16_t kPtpFormat = 0x4000;

  // The smallest estimate not below `error`, at most 2^-32 s * 255 * 2^63; never multiplier 0, which is
  // invalid.
  static ErrorEstimate of(Nanos error, bool synchronized);
  [[nodiscard]] bool ptp_format() const { return (bits & kPtpFormat) != 0; }
  friend bool operator==(const ErrorEstimate&, const ErrorEstimate&) = default;
};

// later - earlier of two stamps of one clock in the format its error estimate tells; modulo 2^32 s, so that
// the roll-over of an era cancels (result within +-2^31 s). Nothing: not a time in that format.
std::optional<Nanos> elapsed(Timestamp earlier, Timestamp later, ErrorEstimate format);

class NtpClock {
 public:
  // `unix_time` (since 1970) is what the wall clock showed at `at`.
  NtpClock(Instant at, Nanos unix_time);
  // Reads both clocks.
  static NtpClock start();

  [[nodiscard]] Timestamp at(Instant time) const;
  // Of every stamp of ours: not synchronized (the offset is taken once, so nothing disciplines it), 1 ms for
  // a process that may be descheduled between the stamp and the wire.
  [[nodiscard]] static ErrorEstimate error_estimate();

 private:
  Nanos ntp_offset_;  // from CLOCK_MONOTONIC to time since 1900
};

}  // namespace perigee
