// What happens between packets: tables, probes, ageing, the ports' state, counters, sleep.
#include <sys/prctl.h>

#include <algorithm>
#include <utility>

#include "dataplane/octets.h"
#include "dataplane/transit.h"
#include "dataplane/worker.h"

namespace perigee {
namespace {

// Often enough for a heartbeat within 100 ms, and for counters that people watch.
constexpr Nanos kPublishEvery = std::chrono::milliseconds(20);
constexpr Nanos kEarly = std::chrono::milliseconds(5);
constexpr Nanos kPortsEvery = std::chrono::milliseconds(100);
// Flows are swept when counters are published, in small steps, so that no packet waits long behind one; each
// flow comes up several times a second.
constexpr std::uint32_t kSweepsPerTable = 10;
constexpr Nanos kSweepAgain = std::chrono::milliseconds(2);  // while many flows are being reset
constexpr Nanos kGapWindow = std::chrono::seconds(1);
// More frames than wait at any port of ours: a NIC's ring holds 1024, af_xdp's and the lab's af_packet 2048.
constexpr std::uint32_t kMostWaiting = 4096;

std::vector<int> descriptors_of(std::span<const Port> ports) {
  std::vector<int> descriptors;
  for (const Port& port : ports) descriptors.push_back(port.descriptor());
  return descriptors;
}

void store(telemetry::Counter& counter, std::uint64_t value) {
  counter.store(value, std::memory_order_relaxed);
}

}  // namespace

Worker::Worker(Wiring wiring)
    : wiring_(std::move(wiring)),
      sender_(wiring_.ports, wiring_.pool, tally_, wiring_.busy),
      random_(wiring_.seed),
      ntp_clock_(NtpClock::start()),
      slots_(wiring_.telemetry, random_),
      prober_(slots_, ntp_clock_, random_),
      reflector_(slots_, ntp_clock_),
      waiter_(descriptors_of(wiring_.ports)),
      sleep_(wiring_.busy, waiter_.waits_on_all()),
      conflicts_(1, 5),
      looked_(wiring_.clock()) {}

void Worker::run(const std::atomic<bool>& stop) {
  // The kernel may then not round our sleeps up: 50 us by default.
  prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
  while (!stop.load(std::memory_order_relaxed)) {
    if (round() != Found::nothing) continue;
    const Instant now = wiring_.clock();
    const Nanos rest = sleep_.rest(now, next_due());
    if (rest <= Nanos::zero()) continue;
    ++tally_.sleeps;
    ports_suspect_ = waiter_.wait(rest, now);
    looked_ = wiring_.clock();
  }
  publish(wiring_.clock());
}

Found Worker::round() {
  const Instant now = wiring_.clock();
  measure_gap(now);
  wiring_.tables.take([&](const ServingTable& table) { adopt(table, now); });

  found_ = Found::nothing;
  std::array<rte_mbuf*, kBurst> buffers;
  for (std::size_t port = 0; port < wiring_.ports.size(); ++port) {
    const std::uint16_t count = wiring_.ports[port].receive(buffers);
    note_taken(port, count, now);
    if (count == 0) continue;
    found_ = std::max(found_, Found::own);
    // T2 and T4 of what is in this burst; a device's own stamp would go here.
    handle(static_cast<std::uint16_t>(port), std::span(buffers).first(count), wiring_.clock());
  }
  take_handed_over();
  sender_.flush();
  if (found_ != Found::nothing) sleep_.found(found_, wiring_.clock());
  chores(now);
  sender_.flush();
  return found_;
}

// A port that is never found empty must not hide that a link is dead: once as many frames were taken as may
// wait there, all that came before is among them.
void Worker::note_taken(std::size_t port, std::uint16_t count, Instant now) {
  Taken& taken = taken_[port];
  if (count < kBurst) {
    taken = {now, now, 0};
    return;
  }
  taken.count += count;
  if (taken.count >= kMostWaiting) taken = {taken.mark, now, 0};
}

// What other workers received for flows of ours.
void Worker::take_handed_over() {
  for (HandoverRing<Handover>* ring : wiring_.inbound) {
    Handover next;
    for (std::uint16_t i = 0; ring != nullptr && i < kBurst && ring->pop(next); ++i) {
      found_ = std::max(found_, Found::own);
      handle(next.port, {&next.buffer, 1}, next.received);
    }
  }
}

void Worker::chores(Instant now) {
  // What is due soon is done now: to wake for it would cost more than it does.
  const Instant soon = now + kEarly;
  if (soon >= ports_due_ || ports_suspect_) check_ports(now);
  const bool beat = soon >= publish_due_;
  if (beat) publish(now);
  if (table_ == nullptr) return;
  if (beat || (!sweep_due_.never() && now >= sweep_due_)) sweep(now);
  if (const Instant due = sender_.next_due(); !due.never() && now >= due) {
    sender_.run(now);
    report_neighbors();
  }
  probe(now);  // last, so that nothing delays what it stamped
}

Instant Worker::next_due() const {
  Instant next = std::min(publish_due_, ports_due_);
  if (table_ == nullptr) return next;
  for (const Instant due : {sweep_due_, prober_.next_due(), sender_.next_due()}) {
    if (!due.never()) next = std::min(next, due);
  }
  return next;
}

void Worker::adopt(const ServingTable& table, Instant now) {
  const std::vector<std::uint32_t> origin = slots_.adopt(table.table().links, now);
  std::array<LinkTraffic, table::kMaxLinks> kept{};
  for (std::size_t i = 0; i < origin.size(); ++i) {
    if (origin[i] != table::kNone) kept[i] = tally_.links[origin[i]];
  }
  tally_.links = kept;
  prober_.adopt(table.table(), origin, now);
  reflector_.adopt(table.table(), origin);
  wiring_.forwarder.adopt(table, now);
  table_ = &table;
  links_ = prober_.view();
  reported_.clear();  // what stays keeps its state, what is new is unknown: no news
  report_links();
  sender_.adopt(table, now);

  const std::uint32_t rate = table.table().settings.refuse_per_second;
  errors_ = RateLimit(rate, rate / 10);
  sender_.announce(std::nullopt);
}

void Worker::probe(Instant now) {
  const Instant due = prober_.next_due();
  if (due.never() || now < due) return;
  std::array<Instant, table::kMaxLinks> taken;
  const std::size_t links = table_->table().links.size();
  for (std::uint32_t link = 0; link < links; ++link) taken[link] = taken_[table_->link(link).port].until;
  if (prober_.judge(now, std::span(taken).first(links))) {
    links_ = prober_.view();
    report_links();
  }
  prober_.run(wiring_.clock(), [this](const Probe& test) { return send_probe(test); });
}

void Worker::sweep(Instant now) {
  const std::uint32_t budget = wiring_.flow_capacity / kSweepsPerTable + 1;
  const bool more = wiring_.forwarder.sweep(links_, now, budget, [&](std::span<const std::uint8_t> reset) {
    const RouteChoice route = choose_route(load_be32(reset.data() + 16), 0, Segment{}, *table_, links_);
    if (route.egress) {
      sender_.send(reset, *route.egress, now);
    } else {
      tally_.drop(route.reason);
    }
  });
  sweep_due_ = more ? now + kSweepAgain : Instant{};
}

void Worker::check_ports(Instant now) {
  ports_due_ = now + kPortsEvery;
  ports_suspect_ = false;
  for (std::size_t i = 0; i < wiring_.ports.size(); ++i) {
    Port& port = wiring_.ports[i];
    const bool changed = port.refresh_state();
    wiring_.telemetry.ports[i].link_up.store(port.is_up() ? 1 : 0, std::memory_order_relaxed);
    if (!changed) continue;
    Event event;
    event.kind = port.is_up() ? Event::Kind::port_up : Event::Kind::port_down;
    event.subject = table::Name::of(port.name());
    report(event);
    if (!port.is_up()) continue;
    port.clear_error();
    waiter_.recovered(i);
    sender_.announce(static_cast<std::uint16_t>(i));
  }
}

void Worker::report_links() {
  const std::vector<table::Link>& links = table_->table().links;
  std::vector<telemetry::LinkState> states(links.size());
  for (std::size_t i = 0; i < links.size(); ++i) {
    states[i] = prober_.state(i);
    if (reported_.size() != links.size() || reported_[i] == states[i]) continue;
    Event event;
    event.kind = Event::Kind::link_state;
    event.subject = links[i].name;
    event.from = reported_[i];
    event.to = states[i];
    report(event);
  }
  reported_ = std::move(states);
}

void Worker::report_neighbors() {
  while (const std::optional<NeighborEvent> news = sender_.neighbors().take_event()) {
    Event event;
    switch (news->kind) {
      case NeighborEvent::Kind::learned:
        continue;  // the ordinary course of things
      case NeighborEvent::Kind::changed:
        event.kind = Event::Kind::neighbor_moved;
        break;
      case NeighborEvent::Kind::unreachable:
        event.kind = Event::Kind::neighbor_unreachable;
        break;
      case NeighborEvent::Kind::pin_differs:
        event.kind = Event::Kind::neighbor_pin_differs;
        break;
    }
    event.subject = table::Name::of(wiring_.ports[news->key.port].name());
    event.address = news->key.address;
    event.mac_before = news->before;
    event.mac = news->now;
    report(event);
  }
}

// A full ring loses the line, never a packet: the state itself is in the telemetry.
void Worker::report(const Event& event) {
  if (!wiring_.events.push(event)) return count_lost_line();
  wiring_.wake_control();
}

// How long nobody looked at the ports, sleep not counted: what a packet may have waited because of us.
void Worker::measure_gap(Instant now) {
  const Nanos gap = now - looked_;
  looked_ = now;
  gap_max_ = std::max(gap_max_, gap);
  gap_recent_ = std::max(gap_recent_, gap);
  if (now < gap_second_) return;
  gap_last_ = std::exchange(gap_recent_, Nanos::zero());
  gap_second_ = now + kGapWindow;
}

void Worker::publish(Instant now) {
  publish_due_ = now + kPublishEvery;
  telemetry::WorkerSlot& slot = wiring_.telemetry.workers[wiring_.index];
  for (std::size_t i = 0; i < tally_.packets.size(); ++i) store(slot.packets[i], tally_.packets[i]);
  for (std::size_t i = 0; i < tally_.drops.size(); ++i) store(slot.drops[i], tally_.drops[i]);
  store(slot.poll_gap_max_ns, static_cast<std::uint64_t>(gap_max_.count()));
  store(slot.poll_gap_last_ns, static_cast<std::uint64_t>(gap_last_.count()));
  store(slot.sleeps, tally_.sleeps);
  for (std::size_t i = 0; i < wiring_.ports.size(); ++i) {
    const PortCounters& counters = wiring_.ports[i].counters();
    telemetry::PortSlot& port = wiring_.telemetry.ports[i];
    store(port.rx_packets, counters.rx_packets);
    store(port.rx_octets, counters.rx_octets);
    store(port.tx_packets, counters.tx_packets);
    store(port.tx_octets, counters.tx_octets);
    store(port.tx_failed, counters.tx_failed);
  }
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    telemetry::LinkSlot& link = slots_.at(i);
    store(link.tx_packets, tally_.links[i].tx_packets);
    store(link.tx_octets, tally_.links[i].tx_octets);
    store(link.rx_packets, tally_.links[i].rx_packets);
    store(link.rx_octets, tally_.links[i].rx_octets);
  }
  wiring_.telemetry.header.heartbeat_ns.store(now.ns, std::memory_order_relaxed);
}

}  // namespace perigee
