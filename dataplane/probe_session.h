// The tests of one (link, source port): which are outstanding, when each left, and what became of them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "contract/units.h"
#include "dataplane/ntp_clock.h"

namespace perigee {

class ProbeSession {
 public:
  // Tests remembered per session, the lost ones included so that late replies are known as such: 2^14 is 8 s
  // of twice the deadline at 1 ms. Beyond it the oldest are settled early.
  static constexpr std::uint32_t kMaxRemembered = 1U << 14U;

  struct Limits {
    Nanos interval{0};
    Nanos loss_deadline{0};
    std::uint32_t up_count = 0;  // the longest run answered_run() is asked for
  };
  struct Test {
    Instant sent;          // T1 as the RTT takes it
    Timestamp wire_stamp;  // T1 as it stands in the packet
  };
  enum class Outcome : std::uint8_t { received, late, duplicate };
  struct Settled {
    Outcome outcome = Outcome::received;
    bool reordered = false;  // a later sequence was answered before (RFC 4737)
    bool lost_now = false;   // the reply is late and the loss was not counted before
  };

  ProbeSession(std::uint16_t source_port, std::uint32_t first_sequence, const Limits& limits);

  [[nodiscard]] std::uint16_t source_port() const { return source_port_; }
  [[nodiscard]] std::uint32_t next_sequence() const { return next_; }

  // Enters the test numbered next_sequence(). Returns how many older ones had to be settled as lost early
  // (0 or 1).
  std::uint32_t sent(const Test& test);
  // The test of this sequence, while it is remembered.
  [[nodiscard]] const Test* find(std::uint32_t sequence) const;
  // A valid reply to a test that find() knows came at `received`.
  Settled answered(std::uint32_t sequence, Instant received);
  // Settles what passed its deadline unanswered; returns how many.
  std::uint32_t expire(Instant now);
  // Only tests sent from now on count in answered_run().
  void restart_run() { run_limit_ = 0; }
  // The length of the run of tests answered in time that ends with the newest answered one.
  [[nodiscard]] std::uint32_t answered_run() const;

 private:
  enum class Fate : std::uint8_t { outstanding, received, lost, late };
  struct Entry {
    Test test;
    Fate fate = Fate::received;
  };
  [[nodiscard]] Entry& entry(std::uint32_t sequence) { return ring_[sequence & mask_]; }
  [[nodiscard]] const Entry& entry(std::uint32_t sequence) const { return ring_[sequence & mask_]; }

  std::uint16_t source_port_;
  Nanos loss_deadline_;
  std::uint32_t up_count_;
  std::uint32_t mask_;
  std::uint32_t next_;                          // sequences are compared modulo 2^32
  std::uint32_t remembered_ = 0;                // [next_ - remembered_, next_) are in the ring
  std::uint32_t unsettled_;                     // the oldest that may be outstanding
  std::uint32_t run_limit_ = 0;                 // tests sent since restart_run(), at most the ring's size
  std::optional<std::uint32_t> newest_answer_;  // highest sequence answered
  std::vector<Entry> ring_;
};

}  // namespace perigee
