// A Forwarder on the lab's table, fed with frames: for the tests of forwarding.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "contract/telemetry.h"
#include "dataplane/classify.h"
#include "dataplane/forward.h"
#include "test/dataplane/frames.h"
#include "test/dataplane/lab_table.h"

namespace perigee::test {

inline constexpr std::uint32_t kVip = 0xcb00710a;   // 203.0.113.10
inline constexpr std::uint32_t kSnat = 0x0a01ff01;  // 10.1.255.1
inline constexpr std::uint32_t kClient = 0xc633640a;

// What became of one frame.
struct Outcome {
  ForwardResult result;
  Octets ip;  // the IPv4 packet afterwards

  [[nodiscard]] bool sent() const { return result.verdict == ForwardResult::Verdict::send; }
  [[nodiscard]] bool refused() const { return result.verdict == ForwardResult::Verdict::refuse; }
  [[nodiscard]] bool dropped() const { return result.verdict == ForwardResult::Verdict::drop; }
  [[nodiscard]] std::uint32_t source() const { return be32(12); }
  [[nodiscard]] std::uint32_t destination() const { return be32(16); }
  [[nodiscard]] std::uint16_t source_port() const { return static_cast<std::uint16_t>(be32(20) >> 16U); }
  [[nodiscard]] std::uint16_t destination_port() const { return static_cast<std::uint16_t>(be32(20)); }
  [[nodiscard]] std::uint32_t be32(std::size_t at) const {
    return static_cast<std::uint32_t>(ip.at(at)) << 24U | static_cast<std::uint32_t>(ip.at(at + 1)) << 16U |
           static_cast<std::uint32_t>(ip.at(at + 2)) << 8U | ip.at(at + 3);
  }
};

class ForwardLab {
 public:
  explicit ForwardLab(table::Table records = lab_table(), std::uint32_t capacity = 1000,
                      std::string state_directory = {})
      : table(serving(std::move(records))) {
    options.state_directory = std::move(state_directory);
    options.flow_capacity = capacity;
    options.counters = &worker;
    options.endpoints = endpoints;
    open();
  }

  void open() {
    forwarder.reset();
    auto opened = Forwarder::open(options, now);
    if (!opened) throw std::runtime_error(opened.error().text());
    forwarder = std::move(*opened);
    forwarder->adopt(*table, now);
  }

  void adopt(table::Table records) {
    auto next = serving(std::move(records));
    forwarder->adopt(*next, now);
    table = std::move(next);
  }

  Outcome send(const FrameSpec& spec) { return send(build(spec)); }
  Outcome send(Octets frame) {
    received = std::make_unique<Received>(std::move(frame), arrival);
    if (received->parsed.kind != FrameKind::ipv4) throw std::runtime_error("frame not parsed");
    const Classified what = classify(received->packet, *table);
    if (what.journey != Journey::nat && what.journey != Journey::snat_return) {
      throw std::runtime_error("not a packet to forward");
    }
    std::array<Forwarding, 1> burst = {Forwarding{&received->packet, what.service, {}}};
    forwarder->process(burst, links, now);
    Outcome outcome;
    outcome.result = burst[0].result;
    const auto ip = received->ip_packet();
    outcome.ip.assign(ip.begin(), ip.end());
    return outcome;
  }

  // The octets of the answer to the frame sent last.
  Octets answer(const Outcome& outcome) {
    std::array<std::uint8_t, kMaxRefusal> out{};
    const std::size_t size = build_refusal(received->packet, outcome.result.answer, out);
    return {out.begin(), out.begin() + static_cast<std::ptrdiff_t>(size)};
  }

  static FrameSpec from_client(std::uint16_t port, std::uint8_t flags, std::uint32_t sequence,
                               std::uint32_t acknowledgement = 0, Octets payload = {}) {
    FrameSpec spec;
    spec.source = kClient;
    spec.destination = kVip;
    spec.source_port = port;
    spec.tcp_flags = flags;
    spec.sequence = sequence;
    spec.acknowledgement = acknowledgement;
    spec.payload = std::move(payload);
    return spec;
  }
  // A segment of the endpoint that `to_endpoint` was sent to.
  static FrameSpec from_endpoint(const Outcome& to_endpoint, std::uint8_t flags, std::uint32_t sequence,
                                 std::uint32_t acknowledgement = 0, Octets payload = {}) {
    FrameSpec spec;
    spec.source = to_endpoint.destination();
    spec.destination = to_endpoint.source();
    spec.source_port = to_endpoint.destination_port();
    spec.destination_port = to_endpoint.source_port();
    spec.tcp_flags = flags;
    spec.sequence = sequence;
    spec.acknowledgement = acknowledgement;
    spec.payload = std::move(payload);
    return spec;
  }

  // A whole handshake; the client's sequence is then 1001, the endpoint's 5001. Returns the SYN's outcome.
  Outcome establish(std::uint16_t port) {
    Outcome syn = send(from_client(port, kSyn, 1000));
    if (!syn.sent()) throw std::runtime_error("SYN not forwarded");
    if (!send(from_endpoint(syn, kSyn | kAck, 5000, 1001)).sent()) throw std::runtime_error("no SYN-ACK");
    if (!send(from_client(port, kAck, 1001, 5001)).sent()) throw std::runtime_error("no ACK");
    return syn;
  }

  // Sweeps often enough for `span`; the RSTs that came out.
  std::vector<Octets> sweep(Nanos span) {
    std::vector<Octets> emitted;
    const Instant end = now + span;
    while (now < end) {
      now = std::min(end, now + std::chrono::milliseconds(20));
      forwarder->sweep(links, now, 1000, [&](std::span<const std::uint8_t> reset) {
        emitted.emplace_back(reset.begin(), reset.end());
      });
    }
    return emitted;
  }

  telemetry::WorkerSlot worker;
  std::array<telemetry::EndpointSlot, 8> endpoints;
  LinkView links = kAllUp;
  Instant now{1'000'000'000'000};
  Arrival arrival{kEdgePort, 0, {}};
  std::unique_ptr<const ServingTable> table;
  Forwarder::Options options;
  std::unique_ptr<Forwarder> forwarder;
  std::unique_ptr<Received> received;
};

}  // namespace perigee::test
