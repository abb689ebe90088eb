// The state of a link by silence, as in BFD (RFC 5880 section 6.8.4): latency and loss never decide it.
#pragma once

#include <array>
#include <cstdint>

#include "contract/table.h"
#include "contract/telemetry.h"
#include "contract/units.h"

namespace perigee {

class LinkWatch {
 public:
  static constexpr Nanos kFirstHoldOff = std::chrono::seconds(1);
  static constexpr Nanos kLongestHoldOff = std::chrono::seconds(60);
  static constexpr std::uint8_t kMostStalls = 3;
  static constexpr Nanos kStable = std::chrono::minutes(5);  // up for so long forgets earlier flaps

  // `ports` (1..kMaxProbePorts) are watched from `start` on; `detection` is M times the interval. No reply
  // comes sooner than a round trip after its probe: until one tells how long that is, it may be `longest`.
  LinkWatch(std::uint32_t ports, Nanos detection, Nanos longest, Instant start);

  // A valid reply, in time or late, came at `received`, `rtt` after its probe.
  void heard(std::uint32_t port, Instant received, Nanos rtt);
  // Our own loop stalled until `now`: silence up to now says nothing about the link. Without a reply in
  // between it has said nothing kMostStalls times, or a loop that stalls again and again would hide a dead
  // link.
  void rearm(Instant now);
  // Judges. Call it only when every reply received before `now` was handed to heard(). `steady`: bit per port
  // that has its run of good replies. True: the state changed, or held().
  bool judge(Instant now, std::uint32_t steady);

  [[nodiscard]] telemetry::LinkState state() const { return state_; }
  // Down only because of the hold-off: it answers as well as a link that is up. Damping prefers steadier
  // links; it must not make a PoP unreachable, so such a link is used when there is no other.
  [[nodiscard]] bool held() const { return held_; }
  [[nodiscard]] Instant since() const { return since_; }  // of the state
  [[nodiscard]] std::uint32_t silent_ports() const { return silent_; }
  [[nodiscard]] Nanos detection() const { return detection_; }
  // When time alone can change the state next; never: it cannot.
  [[nodiscard]] Instant next_judgement() const;

 private:
  [[nodiscard]] bool majority(std::uint32_t mask) const;
  [[nodiscard]] Instant first_judgement() const { return start_ + rtt_ + detection_; }
  bool answers(Instant now, std::uint32_t steady);
  void enter(telemetry::LinkState next, Instant now);

  std::uint32_t ports_;
  Nanos detection_;
  Nanos rtt_;  // of the last reply
  Instant start_;
  std::array<Instant, table::kMaxProbePorts> heard_{};
  std::array<std::uint8_t, table::kMaxProbePorts> stalls_{};  // since the last reply
  std::uint32_t silent_ = 0;                                  // bit per port
  telemetry::LinkState state_ = telemetry::LinkState::unknown;
  Instant since_;
  Instant up_since_;       // when it last left unknown or down for up or degraded
  Instant talking_since_;  // while down: since when a majority is not silent
  Nanos hold_off_{0};
  bool held_ = false;
};

}  // namespace perigee
