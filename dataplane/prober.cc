#include "dataplane/prober.h"

#include "contract/telemetry_file.h"
#include "dataplane/rtt_histogram.h"

namespace perigee {

using telemetry::InvalidReply;
using telemetry::LinkState;

namespace {

constexpr std::uint32_t kFirstPort = 49152;  // the dynamic range (RFC 6335 section 6)
constexpr std::uint32_t kPortCount = 16384;

void bump(telemetry::Counter& counter, std::uint64_t by = 1) {
  counter.fetch_add(by, std::memory_order_relaxed);
}

Nanos nanos(std::uint64_t ns) { return Nanos(static_cast<std::int64_t>(ns)); }

// Which test of the issue the reply fails, in this order; nothing: it counts, and `rtt` is its round trip.
std::optional<InvalidReply> check(const table::Link& link, const stamp::Datagram& datagram,
                                  const stamp::Reply& reply, const ProbeSession::Test& test, Nanos& rtt) {
  if (reply.sender_sent != test.wire_stamp) return InvalidReply::timestamp_echo;
  if (datagram.ttl < link.min_ttl) return InvalidReply::ttl;
  const Nanos outside = datagram.received - test.sent;  // T4 - T1
  // By the reflector's own format (RFC 8186 section 2.1), whatever ours is.
  const std::optional<Nanos> residence = elapsed(reply.received, reply.sent, reply.error);
  if (!residence || *residence < Nanos(0) || *residence > std::min(outside, nanos(link.max_residence_ns))) {
    return InvalidReply::residence;
  }
  rtt = outside - *residence;
  if (rtt < nanos(link.rtt_floor_ns)) return InvalidReply::rtt_floor;
  return std::nullopt;
}

}  // namespace

Prober::Prober(const LinkSlots& slots, const NtpClock& clock, std::mt19937_64& random)
    : slots_(slots), clock_(clock), random_(random), ports_taken_(kPortCount) {}

std::uint16_t Prober::draw_port() {
  // At most kMaxLinks * kMaxProbePorts of them are taken, one in sixteen.
  for (;;) {
    const auto drawn = static_cast<std::uint32_t>(random_() % kPortCount);
    if (ports_taken_[drawn]) continue;
    ports_taken_[drawn] = true;
    return static_cast<std::uint16_t>(kFirstPort + drawn);
  }
}

Prober::Link Prober::make_link(const table::Link& record, Instant first_tick) {
  const ProbeSession::Limits limits{nanos(record.probe_interval_ns), nanos(record.loss_deadline_ns),
                                    record.up_count};
  std::vector<ProbeSession> sessions;
  for (std::uint32_t port = 0; port < record.probe_ports; ++port) {
    sessions.emplace_back(draw_port(), static_cast<std::uint32_t>(random_()), limits);
  }
  const Nanos detection = limits.interval * record.detect_multiplier;
  return Link{record,
              std::move(sessions),
              LinkWatch(record.probe_ports, detection, nanos(record.loss_deadline_ns), first_tick),
              RttWindow(nanos(record.window_ns)),
              first_tick,
              first_tick};
}

void Prober::adopt(const table::Table& table, std::span<const std::uint32_t> origin, Instant now) {
  ports_taken_.assign(kPortCount, false);
  for (const std::uint32_t old : origin) {
    if (old == table::kNone) continue;
    for (const ProbeSession& session : links_[old].sessions)
      ports_taken_[session.source_port() - kFirstPort] = true;
  }
  std::vector<Link> links;
  links.reserve(table.links.size());
  for (std::size_t index = 0; index < table.links.size(); ++index) {
    if (origin[index] != table::kNone) {
      links.push_back(std::move(links_[origin[index]]));
      continue;
    }
    // Each link has its own part of the interval, and a random place in it.
    const auto interval = static_cast<double>(table.links[index].probe_interval_ns);
    const double place = std::uniform_real_distribution<>(0, 1)(random_);
    const double phase = (static_cast<double>(index) + place) / static_cast<double>(table.links.size());
    links.push_back(make_link(table.links[index], now + Nanos(static_cast<std::int64_t>(interval * phase))));
  }
  links_ = std::move(links);
  last_seen_ = std::max(last_seen_, now);
  next_publish_ = now;
  judge_due_ = links_.empty() ? kNever : now;
  refresh_tick_due();
  refresh_view();
}

void Prober::schedule(Link& link, Instant now) {
  const Nanos interval = std::max(nanos(link.record.probe_interval_ns), Nanos(1));
  // Ticks keep to a grid, so that the rate is exact and links stay staggered; those missed in a stall are
  // left out. Each is off it by up to 5 %, so that two are 0.9 to 1.1 intervals apart.
  link.grid = link.grid + interval;
  if (link.grid <= now) link.grid = link.grid + interval * ((now - link.grid) / interval + 1);
  const std::int64_t most = interval.count() / 20;
  link.next_tick = link.grid + Nanos(std::uniform_int_distribution<std::int64_t>(-most, most)(random_));
}

void Prober::refresh_tick_due() {
  tick_due_ = kNever;
  for (const Link& link : links_) tick_due_ = std::min(tick_due_, link.next_tick);
}

Timestamp Prober::build(const ProbeSession& session, Instant now,
                        std::span<std::uint8_t, stamp::kBaseSize> payload) const {
  const Timestamp sent = clock_.at(now);
  encode(stamp::TestPacket{session.next_sequence(), sent, NtpClock::error_estimate(), 0}, payload);
  return sent;
}

void Prober::record_sent(std::size_t index, ProbeSession& session, const ProbeSession::Test& test) {
  count_lost(index, session.sent(test), test.sent);
  bump(slots_.at(index).sent);
}

void Prober::count_lost(std::size_t index, std::uint32_t lost, Instant now) {
  for (std::uint32_t i = 0; i < lost; ++i) links_[index].window.add_settled(now, true);
  if (lost != 0) bump(slots_.at(index).lost, lost);
}

void Prober::count_received(std::size_t index, Nanos rtt, bool reordered, Instant received) {
  telemetry::LinkSlot& slot = slots_.at(index);
  links_[index].window.add_rtt(received, rtt);
  links_[index].window.add_settled(received, false);
  record_rtt(slot, rtt);
  bump(slot.received);
  // A reordered reply is a round trip like any other: it is counted besides, not instead.
  if (reordered) bump(slot.reordered);
  slot.last_sample_ns.store(received.ns, std::memory_order_relaxed);
}

bool Prober::owns(std::size_t link, std::uint16_t port) const {
  if (link >= links_.size()) return false;
  const auto& sessions = links_[link].sessions;
  return std::any_of(sessions.begin(), sessions.end(),
                     [port](const ProbeSession& session) { return session.source_port() == port; });
}

Prober::Verdict Prober::on_reply(const stamp::Datagram& datagram) {
  if (datagram.link >= links_.size()) return Verdict::invalid;
  Link& link = links_[datagram.link];
  telemetry::LinkSlot& slot = slots_.at(datagram.link);
  const auto invalid = [&slot](InvalidReply reason) {
    bump(slot.invalid[static_cast<std::size_t>(reason)]);
    return Verdict::invalid;
  };
  const std::optional<stamp::Reply> reply = stamp::decode_reply(datagram.payload);
  if (!reply) return invalid(InvalidReply::malformed);
  const auto session =
      std::find_if(link.sessions.begin(), link.sessions.end(),
                   [&](const ProbeSession& each) { return each.source_port() == datagram.destination_port; });
  if (datagram.source != link.record.peer || datagram.source_port != link.record.probe_port ||
      session == link.sessions.end()) {
    return invalid(InvalidReply::wrong_link);
  }
  const ProbeSession::Test* test = session->find(reply->sender_sequence);
  if (test == nullptr) return invalid(InvalidReply::unknown_sequence);
  Nanos rtt{0};
  if (const auto reason = check(link.record, datagram, *reply, *test, rtt)) return invalid(*reason);

  const ProbeSession::Settled settled = session->answered(reply->sender_sequence, datagram.received);
  if (settled.outcome == ProbeSession::Outcome::duplicate) {
    bump(slot.duplicate);
    return Verdict::duplicate;
  }
  link.watch.heard(static_cast<std::uint32_t>(session - link.sessions.begin()), datagram.received,
                   std::min(rtt, nanos(link.record.loss_deadline_ns)));
  // Only a link that is not up can change its state by a reply.
  if (link.watch.state() != LinkState::up) judge_due_ = std::min(judge_due_, datagram.received);
  if (settled.outcome == ProbeSession::Outcome::late) {
    count_lost(datagram.link, settled.lost_now ? 1 : 0, datagram.received);
    bump(slot.late);
    return Verdict::late;
  }
  count_received(datagram.link, rtt, settled.reordered, datagram.received);
  return Verdict::received;
}

bool Prober::judge(Instant now, std::span<const Instant> taken) {
  // How much later the loop is here than it said it would be.
  const Nanos late_by = now - std::max(last_seen_, next_due());
  last_seen_ = std::max(last_seen_, now);
  if (late_by > Nanos(0)) rearm_after(late_by, now);
  if (now < judge_due_) return false;
  const bool publish_all = now >= next_publish_;
  if (publish_all) next_publish_ = now + kPublishInterval;
  bool changed = false;
  judge_due_ = next_publish_;
  for (std::size_t index = 0; index < links_.size(); ++index) {
    const bool link_changed = judge_link(index, taken[index], now);
    changed = changed || link_changed;
    if (publish_all || link_changed) publish(index, now);
    const Instant next = links_[index].watch.next_judgement();
    if (!next.never()) judge_due_ = std::min(judge_due_, next);
  }
  if (changed) refresh_view();
  return changed;
}

void Prober::rearm_after(Nanos late_by, Instant now) {
  for (Link& link : links_) {
    // Half a detection time; less where M is so small that a late tick alone would look like silence.
    const Nanos interval = nanos(link.record.probe_interval_ns);
    const Nanos bearable = std::min(link.watch.detection() / 2, link.watch.detection() - interval * 11 / 10);
    if (late_by > bearable) link.watch.rearm(now);
  }
}

bool Prober::judge_link(std::size_t index, Instant taken, Instant now) {
  Link& link = links_[index];
  std::uint32_t steady = 0;
  for (std::size_t port = 0; port < link.sessions.size(); ++port) {
    ProbeSession& session = link.sessions[port];
    count_lost(index, session.expire(taken), now);
    if (link.watch.state() == LinkState::down && session.answered_run() >= link.record.up_count) {
      steady |= 1U << port;
    }
  }
  const LinkState before = link.watch.state();
  if (!link.watch.judge(taken, steady)) return false;
  if (link.watch.state() == before) return true;
  if (link.watch.state() == LinkState::down) {
    for (ProbeSession& session : link.sessions) session.restart_run();
  }
  telemetry::LinkSlot& slot = slots_.at(index);
  slot.state.store(static_cast<std::uint32_t>(link.watch.state()), std::memory_order_relaxed);
  slot.state_since_ns.store(now.ns, std::memory_order_relaxed);
  bump(slot.transitions);
  return true;
}

void Prober::publish(std::size_t index, Instant now) {
  telemetry::store_window(slots_.at(index), links_[index].window.read(now));
}

void Prober::refresh_view() {
  view_ = {};
  for (std::size_t index = 0; index < links_.size(); ++index) {
    const std::uint64_t bit = std::uint64_t{1} << index;
    const LinkState state = links_[index].watch.state();
    if (state == LinkState::up || state == LinkState::degraded) view_.up |= bit;
    if (state == LinkState::unknown || links_[index].watch.held()) view_.unknown |= bit;
  }
}

}  // namespace perigee
