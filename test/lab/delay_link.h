// One emulated link of the lab: two interfaces, a queue each way, and what is done to the frames between.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "contract/address.h"
#include "contract/directory.h"
#include "contract/error.h"
#include "contract/units.h"

namespace perigee::lab {

inline constexpr std::size_t kMaxFrame = 1518;    // Ethernet with a VLAN tag at an MTU of 1500
inline constexpr std::size_t kMaxQueued = 16384;  // per direction: 20 ms of full frames at 10 Gbit/s
inline constexpr std::size_t kBatch = 32;         // frames per system call, and per turn of one direction

// What an operator sets. A cut link loses everything, what is in flight too, and says nothing.
struct Impairment {
  Nanos delay{0};   // each way
  double loss = 0;  // 0..1, each frame by itself
  bool cut = false;
};

struct Frame {
  Instant due;
  std::uint16_t length = 0;
  std::array<std::uint8_t, kMaxFrame> octets;
};

// Counts since the start; times are CLOCK_MONOTONIC, 0: never.
struct DirectionCount {
  std::uint64_t received = 0, sent = 0, lost = 0, cut = 0, overflow = 0, oversize = 0, unsent = 0;
};

// Of the TCP segments received that are from or to one address.
struct WatchCount {
  IpAddress address;
  std::uint64_t tcp = 0;
  std::uint64_t tcp_syn = 0;  // of them, those that open a connection
  std::int64_t last_tcp_ns = 0;
  std::int64_t last_tcp_syn_ns = 0;
};

// Frames received on one interface on their way to another.
class Direction {
 public:
  Direction(int from, int to, const std::vector<IpAddress>& watched);

  // Takes what the kernel holds, at most one batch; the delay runs from the kernel's receive stamp, so that
  // a late wake-up of ours does not add to it.
  void receive(const Impairment& impairment, std::mt19937_64& random);
  void release(Instant now);
  void clear() { queue_.clear(); }

  [[nodiscard]] int descriptor() const { return from_; }
  // When the oldest frame is due; never() when there is none.
  [[nodiscard]] Instant next_due() const { return queue_.empty() ? Instant{} : queue_.front().due; }
  [[nodiscard]] const DirectionCount& count() const { return count_; }
  [[nodiscard]] const std::vector<WatchCount>& watched() const { return watched_; }
  [[nodiscard]] std::size_t queued() const { return queue_.size(); }

 private:
  void accept(const std::uint8_t* octets, std::size_t length, Instant received, const Impairment& impairment,
              std::mt19937_64& random);
  void watch(const std::uint8_t* octets, std::size_t length, Instant received);

  int from_, to_;
  std::vector<WatchCount> watched_;
  Instant last_due_;  // a shorter delay must not reorder
  std::deque<Frame> queue_;
  DirectionCount count_;
};

class DelayLink {
 public:
  struct Settings {
    Nanos delay{0};                  // each way, at the start and after restore()
    std::vector<IpAddress> watched;  // TCP segments from or to each are counted
  };

  // Opens a packet socket on each interface. Needs CAP_NET_RAW in the current network namespace.
  static Result<DelayLink> open(const std::string& name, const std::string& a, const std::string& b,
                                const Settings& settings);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] Direction& a_to_b() { return a_to_b_; }
  [[nodiscard]] Direction& b_to_a() { return b_to_a_; }
  [[nodiscard]] const Impairment& impairment() const { return impairment_; }

  void set_delay(Nanos delay) { impairment_.delay = delay; }
  void set_loss(double loss) { impairment_.loss = loss; }
  void cut();
  void restore() { impairment_ = {.delay = initial_delay_}; }

  [[nodiscard]] std::string status() const;  // one JSON object

 private:
  DelayLink(std::string name, Descriptor a, Descriptor b, const Settings& settings);

  std::string name_;
  Descriptor a_, b_;
  Direction a_to_b_, b_to_a_;
  Nanos initial_delay_;
  Impairment impairment_;
};

}  // namespace perigee::lab
