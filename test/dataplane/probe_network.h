// A prober with its links and a simulated peer behind each: replies come after a delay, or not. Time is a
// number that the test moves.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "dataplane/prober.h"

namespace perigee::test {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

inline table::Link make_link(std::uint32_t id, std::uint8_t last_octet = 2) {
  table::Link link;
  link.id = id;
  link.name = table::Name::of("link-" + std::to_string(id));
  link.port = table::Name::of("link0");
  link.vlan = static_cast<std::uint16_t>(id);
  link.local = IpAddress::v4(172, 31, 1, 1);
  link.next_hop = link.peer = IpAddress::v4(172, 31, 1, last_octet);
  link.probe_interval_ns = 20'000'000;
  link.loss_deadline_ns = 1'000'000'000;
  link.max_residence_ns = 20'000'000;
  link.window_ns = 10'000'000'000;
  return link;
}

struct Network {
  static constexpr Instant kStart{5'000'000'000};

  struct Sent {
    std::size_t link;
    std::uint16_t port;
    stamp::TestPacket packet;
    Instant at;
  };

  explicit Network(std::vector<table::Link> links = {make_link(11)}, std::uint64_t seed = 1)
      : random(seed), slots(*layout, random), prober(slots, clock, random) {
    swap(std::move(links));
  }

  void swap(std::vector<table::Link> links) {
    table.links = std::move(links);
    origin = slots.adopt(table.links, now);
    prober.adopt(table, origin, now);
    taken.assign(table.links.size(), now);
  }

  telemetry::LinkSlot& slot(std::size_t link = 0) { return slots.at(link); }
  telemetry::LinkState state(std::size_t link = 0) { return prober.state(link); }

  // The worker's loop in small: what arrives is handed over, then judged, then the due tests are sent.
  void step() {
    while (!in_flight.empty() && in_flight.begin()->first <= now.ns) {
      const auto [at, reply] = *in_flight.begin();
      in_flight.erase(in_flight.begin());
      deliver(reply, Instant{at});
    }
    if (drained) taken.assign(table.links.size(), now);
    prober.judge(now, taken);
    prober.run(now, [this](const Probe& probe) { return on_send(probe); });
  }

  void run_for(Nanos span) {
    const Instant end = now + span;
    while (now < end) {
      step();
      Instant next = prober.next_due();
      if (!in_flight.empty()) next = std::min(next, Instant{in_flight.begin()->first});
      // What is due and was not judged makes the loop poll again, not wait.
      now = std::min(end, std::max(next, now + microseconds(50)));
    }
    step();
  }

  // Nobody looks at the ports for `span`; what arrives meanwhile waits.
  void stall(Nanos span) { now = now + span; }

  Prober::Verdict deliver(const stamp::Datagram& reply) { return prober.on_reply(reply); }

  // The reply a good peer would send to `test`, to be spoiled by the test at will.
  struct Answer {
    stamp::Reply reply;
    stamp::Datagram datagram;
    std::array<std::uint8_t, stamp::kBaseSize> octets{};

    const stamp::Datagram& finish() {
      stamp::encode(reply, octets);
      datagram.payload = octets;
      return datagram;
    }
  };
  Answer answer(const Sent& test, Nanos rtt, Nanos resident = Nanos(0)) const {
    const Instant t2 = test.at + rtt / 2;
    Answer made;
    made.reply = {test.packet.sequence,
                  peer_clock.at(t2 + resident),
                  NtpClock::error_estimate(),
                  0,
                  peer_clock.at(t2),
                  test.packet.sequence,
                  test.packet.sent,
                  test.packet.error,
                  255};
    const table::Link& link = table.links[test.link];
    made.datagram = {test.link, link.peer, link.probe_port, test.port, 255, {}, test.at + rtt + resident};
    return made;
  }

  std::unique_ptr<telemetry::Layout> layout = std::make_unique<telemetry::Layout>();
  std::mt19937_64 random;
  NtpClock clock{Instant{0}, seconds(1'700'000'000)};
  NtpClock peer_clock{Instant{0}, seconds(1'600'000'123)};  // the peer's wall clock may be anything
  LinkSlots slots;
  Prober prober;
  table::Table table;
  std::vector<std::uint32_t> origin;
  Instant now = kStart;
  bool drained = true;         // the ports are found empty
  std::vector<Instant> taken;  // by link, up to when

  // The path, by link: what a test packet meets.
  Nanos delay = milliseconds(5);
  Nanos residence = Nanos(0);
  std::function<bool(const Sent&)> lost = [](const Sent&) { return false; };
  std::vector<Sent> sent;

 private:
  struct Flight {
    Sent test;
    Nanos delay, residence;
  };

  std::optional<Instant> on_send(const Probe& probe) {
    const Sent test{probe.link, probe.source_port, stamp::decode_test(probe.payload).value(), now};
    sent.push_back(test);
    if (!lost(test)) in_flight.emplace((now + delay + residence).ns, Flight{test, delay, residence});
    return now;
  }

  void deliver(const Flight& flight, Instant) {
    Answer made = answer(flight.test, flight.delay, flight.residence);
    // A frame is taken from the device when the loop looks.
    made.datagram.received = std::max(made.datagram.received, now);
    prober.on_reply(made.finish());
  }

  std::multimap<std::int64_t, Flight> in_flight;
};

}  // namespace perigee::test
