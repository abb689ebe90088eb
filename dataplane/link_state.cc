#include "dataplane/link_state.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace perigee {

using telemetry::LinkState;

LinkWatch::LinkWatch(std::uint32_t ports, Nanos detection, Nanos longest, Instant start)
    : ports_(std::clamp(ports, 1U, table::kMaxProbePorts)),
      detection_(detection),
      rtt_(longest),
      start_(start),
      since_(start) {
  heard_.fill(start);
}

void LinkWatch::heard(std::uint32_t port, Instant received, Nanos rtt) {
  heard_[port] = std::max(heard_[port], received);
  stalls_[port] = 0;
  rtt_ = rtt;
}

void LinkWatch::rearm(Instant now) {
  start_ = std::max(start_, now);
  for (std::uint32_t port = 0; port < ports_; ++port) {
    if ((silent_ >> port & 1U) != 0 || stalls_[port] == kMostStalls) continue;
    ++stalls_[port];
    heard_[port] = std::max(heard_[port], now + rtt_);
  }
}

bool LinkWatch::majority(std::uint32_t mask) const {
  return 2 * static_cast<std::uint32_t>(std::popcount(mask)) > ports_;
}

bool LinkWatch::judge(Instant now, std::uint32_t steady) {
  if (state_ == LinkState::unknown && now < first_judgement()) return false;
  silent_ = 0;
  for (std::uint32_t port = 0; port < ports_; ++port) {
    if (now - heard_[port] >= detection_) silent_ |= 1U << port;
  }
  LinkState next = silent_ == 0 ? LinkState::up : LinkState::degraded;
  bool held = false;
  if (static_cast<std::uint32_t>(std::popcount(silent_)) == ports_) {
    next = LinkState::down;
    talking_since_ = {};
  } else if (state_ == LinkState::down) {
    const bool answering = answers(now, steady);
    held = answering && now - talking_since_ < hold_off_;
    if (!answering || held) next = LinkState::down;
  }
  const bool held_changed = std::exchange(held_, held) != held;
  if (next == state_) return held_changed;
  enter(next, now);
  return true;
}

// A link that was down is up again when a majority of its ports had its run of good replies and has not
// fallen silent for the hold-off.
bool LinkWatch::answers(Instant now, std::uint32_t steady) {
  const std::uint32_t talking = ~silent_ & ((1U << ports_) - 1);
  if (!majority(talking)) {
    talking_since_ = {};
    return false;
  }
  if (talking_since_.never()) talking_since_ = now;
  return majority(talking & steady);
}

void LinkWatch::enter(LinkState next, Instant now) {
  const bool was_usable = state_ == LinkState::up || state_ == LinkState::degraded;
  if (next == LinkState::down) {
    const bool stable = was_usable && now - up_since_ >= kStable;
    hold_off_ = hold_off_ == Nanos(0) || stable ? kFirstHoldOff : std::min(2 * hold_off_, kLongestHoldOff);
  } else if (!was_usable) {
    up_since_ = now;
  }
  state_ = next;
  since_ = now;
}

Instant LinkWatch::next_judgement() const {
  if (state_ == LinkState::unknown) return first_judgement();
  Instant first = Instant{};
  for (std::uint32_t port = 0; port < ports_; ++port) {
    if ((silent_ >> port & 1U) != 0) continue;
    const Instant silent_at = heard_[port] + detection_;
    if (first.never() || silent_at < first) first = silent_at;
  }
  return first;
}

}  // namespace perigee
