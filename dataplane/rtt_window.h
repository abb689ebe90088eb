// The last while of a link: ten slices of log-linear counts, dropped whole as they age, so the window covers
// the last nine to ten tenths of its length. Values are within 0.4 % (min is exact).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "contract/telemetry.h"
#include "contract/units.h"

namespace perigee {

class RttWindow {
 public:
  static constexpr std::size_t kSlices = 10;

  // `length` of the whole window, at least 10 ns.
  explicit RttWindow(Nanos length);

  void add_rtt(Instant now, Nanos rtt);  // a negative value counts as 0, one above 17 s as 17 s
  void add_settled(Instant now, bool lost);
  // Nearest-rank min, p50, p99 and counts of what lies in the window at `now`.
  [[nodiscard]] telemetry::Window read(Instant now);

 private:
  static constexpr unsigned kLinearBits = 8;  // below 256 ns exact; above, 128 steps to a doubling
  static constexpr unsigned kMaxBits = 34;    // 17 s; what is longer counts as 17 s
  static constexpr std::size_t kBuckets = (kMaxBits - kLinearBits + 2) << (kLinearBits - 1);
  using Counts = std::array<std::uint32_t, kBuckets>;

  struct Slice {
    Counts counts{};
    Nanos min{0};
    std::uint64_t samples = 0, lost = 0, settled = 0;
  };

  static std::size_t bucket_of(Nanos rtt);
  static Nanos middle_of(std::size_t bucket);
  Slice& current(Instant now);
  void drop(Slice& slice);
  [[nodiscard]] Nanos rank(std::uint64_t rank, Nanos min) const;

  Nanos slice_length_;
  std::int64_t epoch_ = 0;     // number of the current slice since the zero of the clock
  std::vector<Slice> slices_;  // kSlices; by epoch modulo kSlices
  Counts total_{};             // of all slices
};

}  // namespace perigee
