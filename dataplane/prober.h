// The Session-Sender (RFC 8762 section 4.2) of every link: when tests leave, which replies count, and what
// follows from them: state, loss, round-trip times.
//
// The worker's loop: receive, handing replies to on_reply(); judge(now, taken); run(now, send); sleep until
// next_due(). A loop that is later than that by half a detection time has
// stalled, and silence across a stall is no verdict.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "contract/table.h"
#include "contract/telemetry.h"
#include "dataplane/link_slots.h"
#include "dataplane/link_state.h"
#include "dataplane/link_view.h"
#include "dataplane/probe_session.h"
#include "dataplane/rtt_window.h"
#include "dataplane/stamp.h"

namespace perigee {

// A test packet to be sent now: from the link's local address and `source_port` to its peer and probe_port,
// with TTL 255.
struct Probe {
  std::size_t link = 0;  // index in the table in force
  std::uint16_t source_port = 0;
  std::span<const std::uint8_t> payload;  // valid during the call of `send`
};

class Prober {
 public:
  enum class Verdict : std::uint8_t { received, late, duplicate, invalid };

  static constexpr Instant kNever{std::numeric_limits<std::int64_t>::max()};
  static constexpr Nanos kPublishInterval = std::chrono::milliseconds(100);  // of windows

  // `slots` outlives this and adopts each table first. `random` gives source ports, first sequences, phases
  // and jitter; it outlives this too.
  Prober(const LinkSlots& slots, const NtpClock& clock, std::mt19937_64& random);

  // The links of the table now in force; `origin` is what LinkSlots::adopt returned for it. Sessions of links
  // whose record did not change go on. Allocates.
  void adopt(const table::Table& table, std::span<const std::uint32_t> origin, Instant now);

  // When the loop must call judge() and run() next, at the latest; kNever: there are no links.
  [[nodiscard]] Instant next_due() const { return std::min(tick_due_, judge_due_); }

  // Sends what is due at `now`: `send(const Probe&)` -> std::optional<Instant>: when the packet really left
  // (or `now`), or nothing when it could not be sent, which is then as if it had never been made.
  template <class Send>
  void run(Instant now, Send&& send) {
    if (now < tick_due_) return;
    for (std::size_t index = 0; index < links_.size(); ++index) {
      Link& link = links_[index];
      if (now < link.next_tick) continue;
      for (ProbeSession& session : link.sessions) {
        std::array<std::uint8_t, stamp::kBaseSize> payload;
        const Timestamp stamp = build(session, now, payload);
        const std::optional<Instant> left = send(Probe{index, session.source_port(), payload});
        if (left) record_sent(index, session, ProbeSession::Test{*left, stamp});
      }
      schedule(link, now);
    }
    refresh_tick_due();
  }

  // True: `port` is a source port of the link's sessions, so a UDP datagram to it belongs to on_reply().
  [[nodiscard]] bool owns(std::size_t link, std::uint16_t port) const;
  // Judges a reply; every outcome is counted in the link's slot (the caller counts
  // DropReason::stamp_reply_invalid where it is invalid).
  Verdict on_reply(const stamp::Datagram& reply);

  // `taken`, by link: what came in on its port before then was all handed over (now: the port was found
  // empty). Losses and silence are judged as of then, for a later reply may still wait in the ring. True: the
  // state of some link changed, or view().
  bool judge(Instant now, std::span<const Instant> taken);

  [[nodiscard]] LinkView view() const { return view_; }
  [[nodiscard]] telemetry::LinkState state(std::size_t link) const { return links_[link].watch.state(); }

 private:
  struct Link {
    table::Link record;
    std::vector<ProbeSession> sessions;
    LinkWatch watch;
    RttWindow window;
    Instant grid;       // the nominal time of the next tick, without jitter
    Instant next_tick;  // with it
  };

  Link make_link(const table::Link& record, Instant first_tick);
  std::uint16_t draw_port();
  void schedule(Link& link, Instant now);
  void refresh_tick_due();
  Timestamp build(const ProbeSession& session, Instant now,
                  std::span<std::uint8_t, stamp::kBaseSize> payload) const;
  void record_sent(std::size_t index, ProbeSession& session, const ProbeSession::Test& test);
  void count_lost(std::size_t index, std::uint32_t lost, Instant now);
  void count_received(std::size_t index, Nanos rtt, bool reordered, Instant received);
  void rearm_after(Nanos late_by, Instant now);
  bool judge_link(std::size_t index, Instant taken, Instant now);
  void publish(std::size_t index, Instant now);
  void refresh_view();

  const LinkSlots& slots_;
  NtpClock clock_;
  std::mt19937_64& random_;
  std::vector<Link> links_;        // by index in the table
  std::vector<bool> ports_taken_;  // by source port - kFirstPort
  LinkView view_;
  Instant last_seen_;  // the last judge()
  Instant next_publish_;
  Instant tick_due_ = kNever;
  Instant judge_due_ = kNever;
};

}  // namespace perigee
