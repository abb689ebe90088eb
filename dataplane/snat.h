// Source NAT ports. A port is unique per (SNAT address, endpoint, protocol): that is a line, with all of this
// worker's ports, so that the pool grows with the endpoints. A freed port rests for 60 s (the endpoint may
// hold the old connection in TIME-WAIT, RFC 9293 section 3.4.2), the oldest freed is given out first, and
// one that has to be given out before its rest is over is counted.
#pragma once

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <vector>

#include "contract/address.h"
#include "contract/units.h"
#include "dataplane/flow_table.h"

namespace perigee {

// The part of the port space that one worker owns: a port's high bits name the owner, so that any worker
// knows where a reply belongs. Ports below 1024 are never used.
class SnatPorts {
 public:
  SnatPorts(std::uint32_t worker, std::uint32_t worker_count);  // worker < worker_count <= 16

  // The worker that owns `port`; a port of no worker (their number is no power of two) is worker 0's.
  static std::uint32_t owner_of(std::uint16_t port, std::uint32_t worker_count);

  [[nodiscard]] std::uint32_t first() const { return first_; }
  [[nodiscard]] std::uint32_t count() const { return count_; }
  [[nodiscard]] bool contains(std::uint16_t port) const { return port - first_ < count_; }

 private:
  std::uint32_t first_, count_;
};

inline constexpr Nanos kSnatRest = std::chrono::seconds(60);

// Where freed ports wait, for all lines of a worker. When it is full a port is freed without a wait.
class SnatRests {
 public:
  static constexpr std::uint32_t kNone = 0xffffffffU;
  struct Rest {
    FlowTick freed = 0;
    std::uint32_t next = kNone;
    std::uint16_t port = 0;
  };
  explicit SnatRests(std::uint32_t capacity);
  std::uint32_t take();  // or kNone
  void give(std::uint32_t node);
  [[nodiscard]] Rest& at(std::uint32_t node) { return rests_[node]; }

 private:
  std::vector<Rest> rests_;
  std::uint32_t free_ = kNone;
};

class SnatLine {
 public:
  // `start`: where the search for a port that was never used begins (a random place, so that a restarted
  // process does not at once use what its predecessor freed).
  SnatLine(const SnatPorts& ports, std::uint32_t start);

  struct Taken {
    std::uint16_t port = 0;
    bool early = false;  // before its rest was over
  };
  // Nothing: every port is in use.
  std::optional<Taken> take(SnatRests& rests, FlowTick now);
  // `port` is in use.
  void give(SnatRests& rests, std::uint16_t port, FlowTick now);
  // Marks a port of a flow that was taken over. False: it is not this worker's or already in use.
  bool claim(std::uint16_t port);
  // Returns the nodes of the ports that rest.
  void clear(SnatRests& rests);

  [[nodiscard]] std::uint32_t used() const { return used_; }

  // The way back: the flow that has a port, as the caller notes it; kNoSlot when none does.
  void note(std::uint16_t port, std::uint32_t slot) { flows_[port - ports_.first()] = slot + 1; }
  // By port from ports.first(): slot + 1 of its flow, or 0. Stays where it is.
  [[nodiscard]] const std::uint32_t* flows() const { return flows_.get(); }

 private:
  struct Free {
    void operator()(std::uint32_t* memory) const { std::free(memory); }
  };
  std::uint16_t pop(SnatRests& rests);

  SnatPorts ports_;
  std::vector<std::uint64_t> fresh_;  // bit: neither in use nor resting
  std::uint32_t fresh_count_;
  std::uint32_t cursor_;
  std::uint32_t used_ = 0;
  // As flows() tells. From calloc, so that the pages of ports that were never used cost nothing.
  std::unique_ptr<std::uint32_t[], Free> flows_;
  std::uint32_t oldest_ = SnatRests::kNone, newest_ = SnatRests::kNone;
};

// How many ports each client prefix (/24, or /64 of IPv6) holds: a count-min sketch of two keyed rows. It
// never counts too few; too many only where a prefix meets heavy ones in both rows (2^16 wide).
class ClientShare {
 public:
  explicit ClientShare(const HashSeed& seed);
  void set_limit(std::uint32_t flows) { limit_ = flows; }
  [[nodiscard]] bool at_limit(const std::array<std::uint64_t, 2>& client) const;
  void add(const std::array<std::uint64_t, 2>& client);
  void remove(const std::array<std::uint64_t, 2>& client);

 private:
  static constexpr std::uint32_t kWidth = 1U << 16U;
  [[nodiscard]] std::array<std::uint32_t, 2> cells(const std::array<std::uint64_t, 2>& client) const;

  HashSeed seed_;
  std::uint32_t limit_ = 0;
  std::vector<std::uint32_t> counts_;
};

}  // namespace perigee
