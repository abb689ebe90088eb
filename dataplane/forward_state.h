// The inside of Forwarder, shared by the files that tell its parts: forward.cc (the journey of a packet),
// forward_open.cc (new flows and their end), forward_errors.cc (ICMP errors about flows), forward_sweep.cc
// (ageing and resets), forward_start.cc (open, take over, adopt).
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/flow_ends.h"
#include "dataplane/flow_file.h"
#include "dataplane/flow_table.h"
#include "dataplane/forward.h"
#include "dataplane/opened_flows.h"
#include "dataplane/path_times.h"
#include "dataplane/rate_limit.h"
#include "dataplane/snat.h"

namespace perigee {

// What the rounds before the decision found out about a packet; `slot` is a guess. No initial values: a burst
// has an array of them.
struct Lookup {
  enum class Direction : std::uint8_t { neither, to_endpoint, to_client };
  Direction direction;
  Place service;       // to_endpoint
  std::uint32_t line;  // to_client
  std::uint32_t slot;
  std::uint64_t hash;  // to_endpoint: of the flow's key
};
inline constexpr std::size_t kRoundPackets = 32;  // as many as can wait for memory at once, and some

inline constexpr Nanos kResetFor = std::chrono::seconds(5);  // a reset flow's segments are answered so long
inline constexpr Nanos kResetRepeat = std::chrono::seconds(1);    // between the RSTs we push meanwhile
inline constexpr Nanos kClosedLinger = std::chrono::seconds(10);  // for the last ACKs of a closed flow
inline constexpr std::uint8_t kSynRepeats = 2;  // the second unanswered repeat goes to the next candidate

struct Forwarder::Impl {
  Impl(const Options& options, FlowFile opened, Instant now);

  // Each of these that takes an item decides about it, and rewrites its packet when that is sent.

  // forward.cc
  void process(std::span<Forwarding> burst, Instant now);
  Lookup begin(const Packet& packet, std::uint32_t service) const;
  void fetch(Lookup& lookup, const Packet& packet) const;
  void decide(Forwarding& item, const Lookup& lookup, std::uint32_t moves_seen, Instant now);
  void to_endpoint(Forwarding& item, const Lookup& lookup, Instant now);
  void to_client(Forwarding& item, const Lookup& lookup, std::uint32_t moves_seen, Instant now);
  // In the way of no packet that is forwarded: a SYN, or an end of the flow that is not as it should be.
  [[gnu::noinline]] void unusual_to_endpoint(Forwarding& item, std::uint32_t slot, const Lookup& lookup,
                                             Instant now);
  [[gnu::noinline]] void unusual_to_client(Forwarding& item, FlowEntry& flow, Instant now);
  // A segment that may begin, change or end something.
  [[gnu::noinline]] void track_to_endpoint(FlowEntry& flow, const Packet& packet, Instant now);
  [[gnu::noinline]] void track_to_client(FlowEntry& flow, const Packet& packet, Instant now);
  [[nodiscard]] FlowKey flow_key(const Packet& packet, Place service) const;
  [[nodiscard]] bool fits(const Packet& packet, const Egress& egress) const {
    return packet.ip_total_length <= smallest_mtu || packet.ip_total_length <= table->mtu_of(egress.segment);
  }
  void send_to_endpoint(Forwarding& item, const FlowEntry& flow, const Egress& egress);
  void send_opening(Forwarding& item, const FlowEntry& flow, const Egress& egress);
  [[nodiscard]] Egress opening_egress(const FlowEntry& flow) const;
  [[gnu::noinline]] void answer_reset(Forwarding& item);
  [[gnu::noinline]] void refuse(Forwarding& item, DropReason reason, bool silent, Instant now);
  [[gnu::noinline]] void see(LinkView view, Instant now);

  // forward_open.cc
  [[gnu::noinline]] void open_flow(Forwarding& item, const Lookup& lookup, const FlowKey& key, Instant now);
  void syn_again(Forwarding& item, std::uint32_t slot, const Lookup& lookup, const FlowKey& key, Instant now);
  [[nodiscard]] bool is_half_open(const OpenedFlows::Opened& opened) const;
  void trim_openings();
  // One of `endpoint`; kNoPlace: of any. False: none was found.
  bool give_up_half_open(FlowTick tick, Place endpoint);
  void move_flow(std::uint32_t slot, Place endpoint, Instant now);
  struct Port {
    std::uint8_t address = 0;
    std::uint16_t port = 0;
  };
  std::optional<Port> take_port(std::uint64_t key, Place endpoint, std::uint8_t protocol, FlowTick tick);
  void give_port(const FlowEntry& flow, FlowTick tick);
  void count_flow(const FlowEntry& flow, bool begins);
  void forget(std::uint32_t slot, FlowTick tick);
  void note_port(const FlowEntry& flow, std::uint32_t slot);

  // forward_errors.cc
  void translate_error(Forwarding& item);
  void error_to_client(Forwarding& item, const Quoted& quoted, const FlowEntry& flow);
  void error_to_endpoint(Forwarding& item, const Quoted& quoted, const FlowEntry& flow);

  // forward_sweep.cc
  void sweep(Instant now, std::uint32_t budget, const EmitSegment& emit);
  void begin_reset(FlowEntry& flow, Instant now);
  void visit(std::uint32_t slot, Instant now, const EmitSegment& emit);
  void push_resets(FlowEntry& flow, const EmitSegment& emit);
  [[nodiscard]] bool doomed(const FlowEntry& flow);
  void begin_pass(Instant now);

  // forward_start.cc
  void adopt(const ServingTable& next, Instant now);
  void take_over();
  bool take_over(FlowEntry& flow);
  void hold_snat_address(const FlowEntry& flow, bool hold);
  template <class Do>
  void for_each_flow(Do&& act) {  // which may erase it
    for (std::uint32_t group = 0; group < flows.groups(); ++group) {
      for (std::uint32_t used = flows.used(group); used != 0; used &= used - 1) {
        act(group * FlowTable::kGroup + static_cast<std::uint32_t>(std::countr_zero(used)));
      }
    }
  }

  Options options;
  FlowFile file;
  std::vector<std::string> notices;
  FlowTable flows;
  OpenedFlows openings;
  SnatPorts ports;
  SnatRests rests;
  ClientShare share;
  FlowEnds ends;
  PathTimes times;
  HashSeed seed;

  const ServingTable* table = nullptr;
  LinkView links;
  Nanos path_gone{0};
  std::uint16_t smallest_mtu = 0;  // of the segments of the table
  std::uint32_t moves = 0;         // of flows to ports, or away from them
  std::array<FlowTick, static_cast<std::size_t>(FlowPhase::count_)> idle{};
  RateLimit refusals;
  std::uint32_t refusals_per_second = 0;

  std::uint32_t sweep_group = 0;  // looked at next
  std::uint32_t sweep_left = 0;   // of that group, entries not looked at yet (bits)
  Instant swept;                  // up to when groups were due
  std::uint32_t resets_left = 0;  // that this step may still send
};

inline void drop(Forwarding& item, DropReason reason) {
  item.result = {ForwardResult::Verdict::drop, reason, Answer::none, {}};
}
inline void drop_too_long(Forwarding& item, const Egress& egress) {
  item.result = {ForwardResult::Verdict::drop, DropReason::mtu_exceeded, Answer::none, egress};
}
inline void send(Forwarding& item, const Egress& egress) {
  item.result = {ForwardResult::Verdict::send, DropReason::count_, Answer::none, egress};
}

inline void bump(telemetry::Counter& counter, std::uint64_t by = 1) {  // one writer
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

}  // namespace perigee
