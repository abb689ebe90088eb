#include "dataplane/probe_session.h"

#include <algorithm>
#include <bit>

namespace perigee {

namespace {

std::uint32_t ring_size(const ProbeSession::Limits& limits) {
  // Twice the deadline, at the shortest distance of two ticks (0.9 of the interval): a reply that comes up to
  // a deadline too late is still known.
  const std::int64_t shortest = std::max<std::int64_t>(limits.interval.count() * 9 / 10, 1);
  const std::int64_t in_flight = 2 * (limits.loss_deadline.count() / shortest + 1);
  const std::int64_t wanted = std::max<std::int64_t>(in_flight, 2 * std::int64_t{limits.up_count});
  return std::bit_ceil(
      static_cast<std::uint32_t>(std::clamp<std::int64_t>(wanted, 16, ProbeSession::kMaxRemembered)));
}

// Serial number arithmetic (RFC 1982).
bool before(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) < 0; }

}  // namespace

ProbeSession::ProbeSession(std::uint16_t source_port, std::uint32_t first_sequence, const Limits& limits)
    : source_port_(source_port),
      loss_deadline_(limits.loss_deadline),
      up_count_(limits.up_count),
      mask_(ring_size(limits) - 1),
      next_(first_sequence),
      unsettled_(first_sequence),
      ring_(mask_ + 1) {}

std::uint32_t ProbeSession::sent(const Test& test) {
  Entry& place = entry(next_);
  std::uint32_t lost = 0;
  if (remembered_ == ring_.size()) {
    lost = place.fate == Fate::outstanding ? 1 : 0;
    if (unsettled_ == next_ - remembered_) ++unsettled_;
  } else {
    ++remembered_;
  }
  place = Entry{test, Fate::outstanding};
  ++next_;
  run_limit_ = std::min(run_limit_ + 1, mask_ + 1);
  return lost;
}

const ProbeSession::Test* ProbeSession::find(std::uint32_t sequence) const {
  const std::uint32_t age = next_ - sequence;  // 1 for the newest
  return age >= 1 && age <= remembered_ ? &entry(sequence).test : nullptr;
}

ProbeSession::Settled ProbeSession::answered(std::uint32_t sequence, Instant received) {
  Entry& found = entry(sequence);
  if (found.fate == Fate::received || found.fate == Fate::late) return {.outcome = Outcome::duplicate};
  const bool newest = !newest_answer_ || before(*newest_answer_, sequence);
  if (newest) newest_answer_ = sequence;
  if (found.fate == Fate::lost || received - found.test.sent >= loss_deadline_) {
    const bool lost_now = found.fate == Fate::outstanding;
    found.fate = Fate::late;
    return {.outcome = Outcome::late, .lost_now = lost_now};
  }
  found.fate = Fate::received;
  return {.outcome = Outcome::received, .reordered = !newest};
}

std::uint32_t ProbeSession::expire(Instant now) {
  std::uint32_t lost = 0;
  for (; unsettled_ != next_; ++unsettled_) {
    Entry& oldest = entry(unsettled_);
    if (oldest.fate != Fate::outstanding) continue;
    if (now - oldest.test.sent < loss_deadline_) break;
    oldest.fate = Fate::lost;
    ++lost;
  }
  return lost;
}

std::uint32_t ProbeSession::answered_run() const {
  if (!newest_answer_) return 0;
  const std::uint32_t limit = std::min(run_limit_, remembered_);
  std::uint32_t run = 0;
  for (std::uint32_t sequence = *newest_answer_; run < up_count_; --sequence, ++run) {
    if (next_ - sequence > limit || entry(sequence).fate != Fate::received) break;
  }
  return run;
}

}  // namespace perigee
