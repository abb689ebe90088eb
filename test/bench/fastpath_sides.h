// The two sides of the fast path bench behind one face: each takes a burst of frames from the edge port
// (reply: from a link's) through the same rounds as Worker::handle(), without the device.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "dataplane/classify.h"
#include "dataplane/forward.h"
#include "test/bench/fastpath_frames.h"
#include "test/bench/rte_hash_prototype.h"

namespace perigee::bench {

inline constexpr std::uint32_t kCapacity = 1U << 21U;
inline constexpr std::size_t kBurst = RteHashPrototype::kBurst;
inline constexpr LinkView kLinksUp = {0b11, 0};
inline constexpr std::int64_t kNow = 1'000'000'000;

// Where a burst's time goes; cycles of ours, summed.
enum class Stage : std::uint8_t { parse, classify, forward, count_ };
using Stages = std::array<std::uint64_t, static_cast<std::size_t>(Stage::count_)>;

struct Sent {
  std::size_t packets = 0, refusals = 0;
  std::uint64_t seen = 0;  // of every egress and refusal, so that none can be left out
};

class Ours {
 public:
  Ours();
  void process(Frames& frames, std::size_t first, std::size_t count, bool reply, Sent& sent,
               Stages* stages = nullptr);

 private:
  telemetry::WorkerSlot counters_;
  std::unique_ptr<telemetry::Paths> paths_ = std::make_unique<telemetry::Paths>();
  std::unique_ptr<const ServingTable> table_;
  std::unique_ptr<Forwarder> forwarder_;
  std::array<Packet, kBurst> packets_;
  std::array<Forwarding, kBurst> burst_;
};

class Theirs {
 public:
  explicit Theirs(int socket);
  void process(Frames& frames, std::size_t first, std::size_t count, bool reply, Sent& sent);

 private:
  RteHashPrototype prototype_;
  std::array<Packet, kBurst> burst_;
};

}  // namespace perigee::bench
