// A whole data plane of PoP syd over software ethdevs: the real ports, worker and forwarder, a clock that the
// test moves, and the neighbours played by the test. No root, no hugepages, no kernel interface.
#pragma once

#include <gtest/gtest.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_ring.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "dataplane/arp.h"
#include "dataplane/eal.h"
#include "dataplane/octets.h"
#include "dataplane/port.h"
#include "dataplane/stamp.h"
#include "dataplane/worker.h"
#include "test/dataplane/frames.h"
#include "test/dataplane/lab_table.h"

namespace perigee::test {

using std::chrono::milliseconds;
using std::chrono::seconds;

// EAL starts once in a process.
class EalEnvironment : public ::testing::Environment {
 public:
  void SetUp() override {
    Bootstrap bootstrap;
    bootstrap.no_huge = true;
    bootstrap.memory_mb = 64;
    Result<Eal> started = Eal::start(bootstrap);
    ASSERT_TRUE(started) << started.error().text();
    eal_.emplace(std::move(*started));
  }
  void TearDown() override { eal_.reset(); }

 private:
  std::optional<Eal> eal_;
};
inline ::testing::Environment* const kEal = ::testing::AddGlobalTestEnvironment(new EalEnvironment);

// One ethdev whose wire is two rings that the test holds.
class Wire {
 public:
  Wire(const std::string& name, std::size_t index, rte_mempool& pool) : pool_(pool) {
    static int serial = 0;
    const std::string id = std::to_string(index) + "_" + std::to_string(serial++);
    to_worker_ = rte_ring_create(("in" + id).c_str(), 1024, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    from_worker_ = rte_ring_create(("out" + id).c_str(), 1024, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    const int port = rte_eth_from_rings(id.c_str(), &to_worker_, 1, &from_worker_, 1, 0);
    std::array<char, RTE_ETH_NAME_MAX_LEN> device{};
    rte_eth_dev_get_name_by_port(static_cast<std::uint16_t>(port), device.data());
    setting_ = {name, lab_ports()[index].role, device.data(), ""};
  }
  ~Wire() {
    receive([](const Octets&) {});
    for (void* left = nullptr; rte_ring_dequeue(to_worker_, &left) == 0;) {
      rte_pktmbuf_free(static_cast<rte_mbuf*>(left));
    }
    rte_ring_free(to_worker_);
    rte_ring_free(from_worker_);
  }
  Wire(const Wire&) = delete;

  [[nodiscard]] const PortSetting& setting() const { return setting_; }

  rte_mbuf* buffer(const Octets& frame) {
    rte_mbuf* made = rte_pktmbuf_alloc(&pool_);
    char* octets = rte_pktmbuf_append(made, static_cast<std::uint16_t>(frame.size()));
    std::copy(frame.begin(), frame.end(), octets);
    return made;
  }
  void send(const Octets& frame) { rte_ring_enqueue(to_worker_, buffer(frame)); }

  template <class Take>
  void receive(Take&& take) {
    for (void* next = nullptr; rte_ring_dequeue(from_worker_, &next) == 0;) {
      auto* buffer = static_cast<rte_mbuf*>(next);
      const auto* octets = rte_pktmbuf_mtod(buffer, const std::uint8_t*);
      take(Octets(octets, octets + buffer->pkt_len));
      rte_pktmbuf_free(buffer);
    }
  }

 private:
  rte_mempool& pool_;
  rte_ring* to_worker_ = nullptr;
  rte_ring* from_worker_ = nullptr;
  PortSetting setting_;
};

// A frame that came out, taken apart.
struct Out {
  std::uint16_t port = 0;
  Octets octets;
  Packet packet;
  Parsed parsed;
};

class SoftwarePop {
 public:
  static constexpr Instant kStart{1'000'000'000'000};

  struct Options {
    std::string state_directory;
    Instant start = kStart;
    std::uint32_t worker = 0, workers = 1;
    std::vector<HandoverRing<Handover>*> inbound{}, outbound{};
  };
  SoftwarePop() : SoftwarePop(Options{}) {}
  explicit SoftwarePop(const Options& options) : now(options.start), index_(options.worker) {
    static int serial = 0;
    Result<Mempool> made = make_mempool("pool" + std::to_string(serial++), 4095);
    EXPECT_TRUE(made) << made.error().text();
    pool_ = std::move(*made);
    const std::vector<PortSetting> settings = lab_ports();
    for (std::size_t i = 0; i < settings.size(); ++i) {
      wires_.push_back(std::make_unique<Wire>(settings[i].name, i, *pool_));
      Result<Port> port = Port::open(wires_[i]->setting(), *pool_);
      EXPECT_TRUE(port) << port.error().text();
      ports_.push_back(std::move(*port));
    }
    Forwarder::Options forwarding;
    forwarding.state_directory = options.state_directory;
    forwarding.flow_capacity = 1024;
    forwarding.worker = options.worker;
    forwarding.worker_count = options.workers;
    forwarding.counters = &telemetry->workers[options.worker];
    forwarding.endpoints = telemetry->endpoints;
    forwarding.paths = &telemetry->paths;
    auto forwarder = Forwarder::open(forwarding, now);
    EXPECT_TRUE(forwarder) << forwarder.error().text();
    forwarder_ = std::move(*forwarder);
    worker = std::make_unique<Worker>(Worker::Wiring{ports_, *pool_, *telemetry, *forwarder_, tables, events,
                                                     [] {}, 1024, false, [this] { return now; }, 7,
                                                     options.worker, options.inbound, options.outbound});
  }

  // Before the ports and the buffers it holds.
  ~SoftwarePop() { worker.reset(); }
  SoftwarePop(const SoftwarePop&) = delete;

  void offer(table::Table table = lab_table()) {
    EXPECT_TRUE(tables.offer(serving(std::move(table))));
    look();
  }

  // A table in force, every neighbour known, every link up.
  void settle() {
    offer();
    run_for(seconds(2));
    frames.clear();
  }

  void send(std::uint16_t port, const Octets& frame) { wires_[port]->send(frame); }
  // To the port's own MAC address, from the neighbour behind it.
  void send(std::uint16_t port, FrameSpec spec) {
    spec.to = ports_[port].mac();
    send(port, build(spec));
  }

  // The same as a buffer that is on no port.
  rte_mbuf* buffer(std::uint16_t port, FrameSpec spec) {
    spec.to = ports_[port].mac();
    return wires_[port]->buffer(build(spec));
  }

  // One round of the worker; what it sent is answered by the neighbours or kept in `frames`.
  void look() {
    worker->round();
    collect();
    worker->publish(now);
  }

  void run_for(Nanos span) {
    const Instant end = now + span;
    look();
    while (now < end) {
      now = std::min(end, std::max(worker->next_due(), now + std::chrono::microseconds(10)));
      look();
      look();  // what the neighbours answered
    }
  }

  // The frames that came out since, except ARP and probes where a neighbour plays along.
  std::vector<Out> take() { return std::exchange(frames, {}); }
  // Exactly one came out, of `port`.
  Out take_one(std::uint16_t port) {
    std::vector<Out> all = take();
    EXPECT_EQ(all.size(), 1U);
    if (all.empty()) return {};
    EXPECT_EQ(all[0].port, port);
    return std::move(all[0]);
  }

  [[nodiscard]] const MacAddress& own_mac(std::uint16_t port) const { return ports_[port].mac(); }
  [[nodiscard]] std::uint64_t drops(DropReason reason) const {
    return telemetry->workers[index_].drops[static_cast<std::size_t>(reason)].load();
  }
  [[nodiscard]] std::uint64_t verdicts(telemetry::Verdict verdict) const {
    return telemetry->workers[index_].packets[static_cast<std::size_t>(verdict)].load();
  }
  [[nodiscard]] telemetry::LinkState state(std::uint32_t link) const {
    return static_cast<telemetry::LinkState>(telemetry->links[link].state.load());
  }
  Instant now;
  std::unique_ptr<telemetry::Layout> telemetry = std::make_unique<telemetry::Layout>();
  Mailbox<ServingTable> tables;
  HandoverRing<Event> events{64};
  std::unique_ptr<Worker> worker;
  std::vector<Out> frames;

  bool answer_arp = true;            // every neighbour asked for answers
  std::set<std::uint32_t> silent;    // link indexes whose peer does not reflect
  Nanos delay{0};                    // before a peer reflects: the clock moves on
  std::uint8_t neighbor_octet = 77;  // of the MAC address neighbours answer with

 private:
  void collect() {
    for (std::uint16_t port = 0; port < wires_.size(); ++port) {
      wires_[port]->receive([&](const Octets& octets) {
        Out out{port, octets, {}, {}};
        out.parsed = parse(out.octets, Arrival{port, 0, now}, out.packet);
        if (out.parsed.kind == FrameKind::arp && answer_arp && reply_arp(out)) return;
        if (is_probe(out) && reflect(out)) return;
        frames.push_back(std::move(out));
        // The packet points into the octets, which moved with their buffer.
      });
    }
  }

  [[nodiscard]] static std::optional<std::uint16_t> tag_of(const Out& out) {
    return out.packet.vlan == 0 ? std::nullopt : std::optional<std::uint16_t>(out.packet.vlan);
  }

  // True: it was a request (not an announcement), and the answer is on its way.
  bool reply_arp(const Out& out) {
    const std::uint8_t* arp = out.octets.data() + out.packet.l3;
    const std::uint32_t sender = load_be32(arp + 14);
    const std::uint32_t target = load_be32(arp + 24);
    if (load_be16(arp + 6) != 1 || sender == target) return false;
    ArpSpec reply;
    reply.to = reply.target_mac = own_mac(out.port);
    reply.from = reply.sender_mac = mac(neighbor_octet);
    reply.tag = tag_of(out);
    reply.operation = 2;
    reply.sender = target;
    reply.target = sender;
    send(out.port, build(reply));
    return true;
  }

  [[nodiscard]] static bool is_probe(const Out& out) {
    return out.parsed.kind == FrameKind::ipv4 && out.packet.protocol == kUdp &&
           out.packet.destination_port == 862;
  }

  // A good peer: T2 and T3 are the same instant of its clock.
  bool reflect(const Out& out) {
    const std::uint32_t link = out.port == kLink0Port ? kSydMelA : out.packet.vlan == 20 ? kSydMelB : kSydPer;
    if (silent.contains(link)) return true;
    const auto test = stamp::decode_test(std::span(out.octets).subspan(out.packet.payload));
    EXPECT_TRUE(test);
    if (!test) return false;
    std::array<std::uint8_t, stamp::kBaseSize> payload{};
    const Timestamp at = peer_clock_.at(now);
    stamp::encode(stamp::Reply{test->sequence, at, NtpClock::error_estimate(), 0, at, test->sequence,
                               test->sent, test->error, out.packet.ttl},
                  payload);
    FrameSpec reply;
    reply.from = mac(neighbor_octet);
    reply.tag = tag_of(out);
    reply.source = out.packet.destination;
    reply.destination = out.packet.source;
    reply.protocol = kUdp;
    reply.ttl = 255;
    reply.source_port = out.packet.destination_port;
    reply.destination_port = out.packet.source_port;
    reply.payload.assign(payload.begin(), payload.end());
    now = now + delay;
    send(out.port, reply);
    return true;
  }

  std::uint32_t index_;  // of the worker
  NtpClock peer_clock_{Instant{0}, seconds(1'600'000'000)};
  Mempool pool_;
  std::vector<std::unique_ptr<Wire>> wires_;
  std::vector<Port> ports_;
  std::unique_ptr<Forwarder> forwarder_;
};

}  // namespace perigee::test
