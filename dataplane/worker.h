// One worker: takes packets from the ports, decides, sends. worker.cc tells the packet's journey;
// worker_local.cc what ends at our own addresses; worker_chores.cc what happens between packets.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "contract/telemetry.h"
#include "contract/units.h"
#include "dataplane/classify.h"
#include "dataplane/event.h"
#include "dataplane/forward.h"
#include "dataplane/handover_ring.h"
#include "dataplane/link_slots.h"
#include "dataplane/mailbox.h"
#include "dataplane/packet.h"
#include "dataplane/port.h"
#include "dataplane/prober.h"
#include "dataplane/rate_limit.h"
#include "dataplane/reflector.h"
#include "dataplane/sender.h"
#include "dataplane/serving_table.h"
#include "dataplane/sleep.h"
#include "dataplane/tally.h"
#include "dataplane/transit.h"
#include "dataplane/waiter.h"

namespace perigee {

inline constexpr std::size_t kEventRing = 1024;     // state changes the control thread has not logged yet
inline constexpr std::size_t kHandoverRing = 4096;  // packets on their way to the worker that owns their flow

// A packet that another worker took from its port.
struct Handover {
  rte_mbuf* buffer = nullptr;
  std::uint16_t port = 0;
  Instant received;
};

class Worker {
 public:
  struct Wiring {
    std::span<Port> ports;  // this worker's only
    rte_mempool& pool;
    telemetry::Layout& telemetry;  // this worker writes workers[index], its ports, links and the heartbeat
    Forwarder& forwarder;
    Mailbox<ServingTable>& tables;
    HandoverRing<Event>& events;         // toward the control thread
    std::function<void()> wake_control;  // after an event
    std::uint32_t flow_capacity = 0;     // of the forwarder
    bool busy = false;                   // never sleep
    std::function<Instant()> clock;      // CLOCK_MONOTONIC, or a test's
    std::uint64_t seed = 0;              // of probes' ports, sequences and jitter
    std::uint32_t index = 0;             // of this worker
    // From and to each other worker, by its index; our own is null; empty where there is one worker.
    std::vector<HandoverRing<Handover>*> inbound{}, outbound{};
  };
  explicit Worker(Wiring wiring);

  // Until `stop`; sleeps while nothing comes. Another thread that wants it to look at once calls wake().
  void run(const std::atomic<bool>& stop);
  void wake() { waiter_.wake(); }

  // One look at every port and at what is due.
  Found round();
  // Stores the counters and the heartbeat; run() does so by itself.
  void publish(Instant now);
  // When round() must be called next, packets apart.
  [[nodiscard]] Instant next_due() const;

 private:
  struct Item {
    rte_mbuf* buffer = nullptr;
    Packet packet;
    Classified what;
  };

  // worker.cc: the journey of a burst
  void handle(std::uint16_t port, std::span<rte_mbuf* const> buffers, Instant received);
  bool examine(Item& item, std::uint16_t port, Instant received);
  bool keep(Item& item);
  void decide(Item& item);
  void forward(Item& item, const ForwardResult& result);
  void route(Item& item, telemetry::Verdict verdict, const TransitResult& result);
  void leave(Item& item, telemetry::Verdict verdict, const Egress& egress);
  void drop(Item& item, DropReason reason);

  // worker_local.cc: what ends here, and what we say ourselves
  void answer_arp(Item& item);
  void answer_echo(Item& item);
  void answer_test(Item& item);
  void take_reply(Item& item);
  void refuse(Item& item, const ForwardResult& result);
  void answer_error(const Packet& packet, const IcmpError& error);
  std::optional<Instant> send_probe(const Probe& probe);

  // worker_chores.cc: what happens between packets
  void adopt(const ServingTable& table, Instant now);
  void take_handed_over();
  void note_taken(std::size_t port, std::uint16_t count, Instant now);
  void chores(Instant now);
  void probe(Instant now);
  void sweep(Instant now);
  void check_ports(Instant now);
  void report_links();
  void report_neighbors();
  void report(const Event& event);
  void measure_gap(Instant now);

  Wiring wiring_;
  Tally tally_;
  Sender sender_;
  std::mt19937_64 random_;
  NtpClock ntp_clock_;
  LinkSlots slots_;
  Prober prober_;
  Reflector reflector_;
  Waiter waiter_;
  SleepPolicy sleep_;

  const ServingTable* table_ = nullptr;
  LinkView links_;
  std::vector<telemetry::LinkState> reported_;  // by link index: what the log says last
  RateLimit errors_;                            // ICMP errors of ours
  RateLimit conflicts_;                         // lines about an address of ours in use elsewhere
  std::array<Item, kBurst> burst_;
  std::array<Forwarding, kBurst> forwardings_;  // of those of burst_ that are forwarded

  // Of a port: what came in before `until` was all taken. While it is never found empty: since `mark`,
  // `count` frames were taken.
  struct Taken {
    Instant until, mark;
    std::uint32_t count = 0;
  };
  std::array<Taken, telemetry::kMaxPorts> taken_{};

  Instant looked_;      // when the ports were looked at last, or the sleep ended
  Instant gap_second_;  // when poll_gap_last_ns starts anew
  Nanos gap_max_{0}, gap_recent_{0}, gap_last_{0};
  Instant publish_due_, sweep_due_, ports_due_;
  bool ports_suspect_ = false;    // poll() reported an error
  Found found_ = Found::nothing;  // in this round
};

}  // namespace perigee
