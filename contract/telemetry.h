// Telemetry: what the data plane measured, one shared mapping with one writer. This file is the layout only.
//
// Counters are relaxed atomics and only grow. A window is several words that belong together; it is guarded
// by a sequence (odd while being written; words stored release and loaded acquire), and a reader that does
// not get a quiet copy in 8 tries takes it as unknown. A slot carries (id, incarnation): a reader that finds
// another incarnation starts anew, so a reused slot is never read as the old link. Each start of the data
// plane makes a new file and renames it into place; a mapping is never truncated.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "contract/drop_reason.h"
#include "contract/table.h"
#include "contract/units.h"

namespace perigee::telemetry {

inline constexpr std::array<char, 8> kMagic = {'P', 'R', 'G', 'T', 'E', 'L', 'E', 'M'};
inline constexpr std::uint32_t kVersion = 2;
inline constexpr const char* kFileName = "telemetry.bin";
inline constexpr std::uint32_t kMaxWorkers = 16;
inline constexpr std::uint32_t kMaxPorts = 16;
// Endpoints over links that are timed; further ones are not. As many as there may be endpoints: new flows of
// nearly all of them take one link.
inline constexpr std::uint32_t kMaxPaths = 4096;

using Counter = std::atomic<std::uint64_t>;
static_assert(Counter::is_always_lock_free && sizeof(Counter) == 8);

// A block of N words read and written as one.
template <std::size_t N>
struct Block {
  std::atomic<std::uint64_t> sequence{0};
  std::array<std::atomic<std::uint64_t>, N> words{};
};

enum class LinkState : std::uint32_t { unknown = 0, up = 1, degraded = 2, down = 3 };

// Upper edges in seconds of the exported histogram, exactly its `le` labels; one more count is +Inf.
inline constexpr std::array<double, 20> kRttEdgesSeconds = {
    0.0001, 0.0002, 0.0003, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01,
    0.015,  0.02,   0.03,   0.05,   0.075, 0.1,   0.2,   0.3,   0.5,    1.0};

// Why a reply to a probe did not count.
enum class InvalidReply : std::uint8_t {
  malformed,         // shorter than 38 octets or not a reply
  wrong_link,        // came in on another port or VLAN, or from another address or port
  unknown_sequence,  // never sent, or forgotten
  timestamp_echo,    // echoed T1 is not the one we kept
  ttl,               // below min_ttl
  residence,         // T3 - T2 negative or beyond its limit or the round trip
  rtt_floor,         // faster than this link can be
  count_
};
inline constexpr std::array<const char*, static_cast<std::size_t>(InvalidReply::count_)> kInvalidReplyNames =
    {"malformed", "wrong_link", "unknown_sequence", "timestamp_echo", "ttl", "residence", "rtt_floor"};

// Words of LinkSlot::window.
enum WindowWord : std::size_t {
  kWindowEnd,
  kWindowMin,
  kWindowP50,
  kWindowP99,
  kWindowSamples,
  kWindowLost,
  kWindowSettled,
  kWindowWords
};
struct Window {               // the words as a value
  Instant end;                // when it was taken
  Nanos min{}, p50{}, p99{};  // of `samples` replies; meaningless when samples == 0
  std::uint64_t samples = 0;
  std::uint64_t lost = 0;  // of `settled` probes of the window, those whose deadline passed unanswered
  std::uint64_t settled = 0;
};

struct alignas(64) LinkSlot {
  std::atomic<std::uint32_t> id{0};           // LinkId, 0: free
  std::atomic<std::uint32_t> state{0};        // LinkState
  std::atomic<std::uint64_t> incarnation{0};  // changes when the slot is given out; stored after the reset
  std::atomic<std::int64_t> state_since_ns{0};
  std::atomic<std::int64_t> last_sample_ns{0};  // 0: none yet
  Counter sent{0}, received{0}, lost{0}, late{0}, duplicate{0}, reordered{0};
  Counter reflected{0};  // test packets of the peer we answered
  Counter transitions{0};
  std::array<Counter, static_cast<std::size_t>(InvalidReply::count_)> invalid{};
  std::array<Counter, kRttEdgesSeconds.size() + 1> rtt_buckets{};  // not cumulative
  Counter rtt_sum_ns{0};
  Counter tx_packets{0}, tx_octets{0}, rx_packets{0}, rx_octets{0};  // all traffic of the link
  Block<kWindowWords> window;
};

enum class Verdict : std::uint8_t { local, nat, transit, host, dropped, count_ };
inline constexpr std::array<const char*, static_cast<std::size_t>(Verdict::count_)> kVerdictNames = {
    "local", "nat", "transit", "host", "dropped"};

// What one worker counts; it is the only writer.
struct alignas(64) WorkerSlot {
  std::array<Counter, static_cast<std::size_t>(Verdict::count_)> packets{};
  std::array<Counter, kDropReasonCount> drops{};
  Counter poll_gap_max_ns{
      0};  // longest time between two looks at the ports since start, sleeping not counted
  Counter poll_gap_last_ns{0};  // longest in the last full second
  Counter sleeps{0};
  Counter flows{0};  // a gauge: entries in use
  Counter flows_created{0};
  Counter snat_reused_early{0};   // ports given out again within 60 s
  Counter snat_ports_used{0};     // a gauge
  Counter snat_ports_total{0};    // a gauge
  Counter resets_sent{0};         // RST of ours to established flows
  Counter flows_recovered{0};     // taken over from the previous process
  Counter half_open_given_up{0};  // so that there was room for a new flow
};

struct alignas(64) PortSlot {
  std::array<char, 32> name{};  // written before the file is published
  Counter rx_packets{0}, rx_octets{0}, tx_packets{0}, tx_octets{0}, tx_failed{0};
  std::atomic<std::uint32_t> link_up{0};
  std::uint32_t reserved = 0;
};

// Flows by endpoint: which endpoint takes how much, for people and for load-aware steering.
struct EndpointSlot {
  std::atomic<std::uint32_t> id{0};  // EndpointId, 0: free
  std::atomic<std::uint32_t> reserved{0};
  Counter flows_created{0};
  Counter flows{0};  // a gauge
};

// What is timed of forwarded TCP connections, as they pass here.
enum class FlowTiming : std::uint8_t {
  handshake,   // from a SYN to its SYN-ACK: two networks and two kernels, and no engine
  first_byte,  // from the client's first data to the endpoint's
  count_
};
// Recent times are those of this long: connections that last are opened rarely. As many are kept, at least
// kFlowTimesApart after each other, so that those of a burst do not take the place of the minute before.
inline constexpr Nanos kFlowWindow = std::chrono::seconds(60);
inline constexpr std::size_t kRecentTimes = 32;
inline constexpr Nanos kFlowTimesApart = kFlowWindow / static_cast<std::int64_t>(kRecentTimes);

struct FlowTimes {
  Counter count{0}, sum_ns{0};
  std::array<std::atomic<std::uint64_t>, kRecentTimes> recent{};  // each a whole: recent_time(); 0: none
};

// An endpoint over a link: the connections whose first segment left that way.
struct alignas(64) PathSlot {
  std::atomic<std::uint32_t> endpoint{0};     // EndpointId, 0: free
  std::atomic<std::uint32_t> link{0};         // LinkId, 0: none, the endpoint is in this PoP
  std::atomic<std::uint64_t> incarnation{0};  // changes when the slot is given out; stored after the reset
  std::array<FlowTimes, static_cast<std::size_t>(FlowTiming::count_)> times{};
};

struct alignas(64) Paths {
  std::atomic<std::uint32_t> used{0};  // slots from here on were never given out
  std::array<PathSlot, kMaxPaths> slots{};
};

// Words of Header::in_force and Header::refused: identity, then the time; `refused` also has its text.
enum IdentityWord : std::size_t { kIdInstance, kIdGeneration, kIdChecksum, kIdTime, kIdWords };
inline constexpr std::size_t kReasonWords = 32;  // 256 octets of UTF-8, zero-filled

struct Header {
  std::array<char, 8> magic{};
  std::uint32_t version = 0;
  std::uint32_t size = 0;         // of the whole file
  std::uint64_t incarnation = 0;  // random per start
  std::int64_t started_ns = 0;    // CLOCK_MONOTONIC
  std::uint32_t pid = 0;
  std::uint32_t flow_capacity = 0;
  std::uint32_t worker_count = 0;
  std::uint32_t port_count = 0;
  std::atomic<std::int64_t> heartbeat_ns{0};  // stored at least every 100 ms by the worker
  Block<kIdWords> in_force;                   // time 0: none yet
  Block<kIdWords + kReasonWords> refused;     // the last refused table, same words, and why
};

// The whole file.
struct Layout {
  Header header;
  std::array<WorkerSlot, kMaxWorkers> workers;
  std::array<PortSlot, kMaxPorts> ports;
  std::array<LinkSlot, table::kMaxLinks> links;
  std::array<EndpointSlot, table::kMaxEndpoints> endpoints;
  Paths paths;
};

}  // namespace perigee::telemetry
