#include "dataplane/rtt_window.h"

#include <algorithm>
#include <bit>

namespace perigee {

RttWindow::RttWindow(Nanos length)
    : slice_length_(std::max(length / static_cast<std::int64_t>(kSlices), Nanos(1))), slices_(kSlices) {}

std::size_t RttWindow::bucket_of(Nanos rtt) {
  const std::int64_t clamped = std::clamp<std::int64_t>(rtt.count(), 0, (std::int64_t{1} << kMaxBits) - 1);
  const auto value = static_cast<std::uint64_t>(clamped);
  const unsigned bits = static_cast<unsigned>(std::bit_width(value));
  if (bits <= kLinearBits) return value;
  // The upper kLinearBits bits, the first of which is always set, number the step within the doubling.
  const unsigned shift = bits - kLinearBits;
  return (std::size_t{shift} << (kLinearBits - 1)) + (value >> shift);
}

Nanos RttWindow::middle_of(std::size_t bucket) {
  if (bucket < (1U << kLinearBits)) return Nanos(bucket);
  const std::size_t shift = (bucket >> (kLinearBits - 1)) - 1;
  const std::uint64_t low = (bucket - (shift << (kLinearBits - 1))) << shift;
  return Nanos(low + (std::uint64_t{1} << shift) / 2);
}

void RttWindow::drop(Slice& slice) {
  if (slice.samples != 0) {
    for (std::size_t i = 0; i < kBuckets; ++i) total_[i] -= slice.counts[i];
    slice.counts.fill(0);
  }
  slice.samples = slice.lost = slice.settled = 0;
}

RttWindow::Slice& RttWindow::current(Instant now) {
  const std::int64_t epoch = now.ns / slice_length_.count();
  // Time that goes backwards by a reordered stamp stays in the current slice.
  const std::int64_t steps = std::clamp<std::int64_t>(epoch - epoch_, 0, kSlices);
  for (std::int64_t i = 0; i < steps; ++i) drop(slices_[static_cast<std::size_t>(epoch - i) % kSlices]);
  epoch_ = std::max(epoch_, epoch);
  return slices_[static_cast<std::size_t>(epoch_) % kSlices];
}

void RttWindow::add_rtt(Instant now, Nanos rtt) {
  Slice& slice = current(now);
  const std::size_t bucket = bucket_of(rtt);
  ++slice.counts[bucket];
  ++total_[bucket];
  slice.min = slice.samples == 0 ? rtt : std::min(slice.min, rtt);
  ++slice.samples;
}

void RttWindow::add_settled(Instant now, bool lost) {
  Slice& slice = current(now);
  ++slice.settled;
  if (lost) ++slice.lost;
}

Nanos RttWindow::rank(std::uint64_t rank, Nanos min) const {
  std::uint64_t seen = 0;
  for (std::size_t i = bucket_of(min); i < kBuckets; ++i) {
    seen += total_[i];
    if (seen >= rank) return middle_of(i);
  }
  return middle_of(kBuckets - 1);
}

telemetry::Window RttWindow::read(Instant now) {
  current(now);
  telemetry::Window window;
  window.end = now;
  for (const Slice& slice : slices_) {
    if (slice.samples != 0) window.min = window.samples == 0 ? slice.min : std::min(window.min, slice.min);
    window.samples += slice.samples;
    window.lost += slice.lost;
    window.settled += slice.settled;
  }
  if (window.samples != 0) {
    window.p50 = std::max(window.min, rank((window.samples + 1) / 2, window.min));
    window.p99 = std::max(window.min, rank(window.samples - window.samples / 100, window.min));
  }
  return window;
}

}  // namespace perigee
