// The way back: from what a reply says (SNAT address, endpoint's address and port, protocol) to the line of
// ports, which knows the flow of each port. A handful of lines, so a reply touches one word by its port and
// its flow.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/flow_reset.h"
#include "dataplane/flow_table.h"
#include "dataplane/snat.h"

namespace perigee {

class ReplyLines {
 public:
  static constexpr std::uint32_t kNone = 0xffffffffU;

  explicit ReplyLines(const SnatPorts& ports) : ports_(ports) {}  // of the lines

  // `path`: as we send to the endpoint; its source port does not matter here.
  void add(const TcpPath& path, std::uint8_t protocol, const SnatLine& line) {
    if (2 * (count_ + 1) > cells_.size()) {
      std::vector<Cell> old(2 * cells_.size());
      old.swap(cells_);
      count_ = 0;
      for (const Cell& cell : old) {
        if (cell.flows != nullptr) put(cell);
      }
    }
    put(of(path, protocol, line.flows()));
  }
  void clear() {
    cells_.assign(cells_.size(), {});
    count_ = 0;
  }

  // Where the line of a reply is, until the next add() or clear(); kNone. Two endpoints may have one address
  // and port: then it is one of theirs.
  [[nodiscard]] std::uint32_t find_line(const TcpPath& path, std::uint8_t protocol) const {
    const Cell wanted = of(path, protocol, nullptr);
    for (std::uint32_t at = start(wanted);; at = next(at)) {
      if (cells_[at].flows == nullptr) return kNone;
      if (cells_[at].is(wanted)) return at;
    }
  }
  [[gnu::always_inline]] void prefetch(std::uint32_t at, std::uint16_t port) const {
    __builtin_prefetch(&cells_[at].flows[port - ports_.first()]);
  }
  // The flow of a port of a line, or kNoSlot.
  [[nodiscard]] std::uint32_t flow(std::uint32_t at, std::uint16_t port) const {
    return ports_.contains(port) ? cells_[at].flows[port - ports_.first()] - 1 : kNoSlot;
  }
  // The flow of a reply, or kNoSlot.
  [[nodiscard]] std::uint32_t find_flow(const TcpPath& path, std::uint8_t protocol) const {
    const Cell wanted = of(path, protocol, nullptr);
    for (std::uint32_t at = start(wanted); cells_[at].flows != nullptr; at = next(at)) {
      if (!cells_[at].is(wanted)) continue;
      const std::uint32_t slot = flow(at, path.source_port);
      if (slot != kNoSlot) return slot;
    }
    return kNoSlot;
  }

 private:
  struct Cell {
    std::uint64_t addresses = 0;
    std::uint32_t rest = 0;
    const std::uint32_t* flows = nullptr;  // SnatLine::flows(); null: free
    [[nodiscard]] bool is(const Cell& other) const {
      return addresses == other.addresses && rest == other.rest;
    }
  };
  static Cell of(const TcpPath& path, std::uint8_t protocol, const std::uint32_t* flows) {
    return {static_cast<std::uint64_t>(path.source) << 32U | path.destination,
            static_cast<std::uint32_t>(path.destination_port) << 8U | protocol, flows};
  }
  [[nodiscard]] std::uint32_t start(const Cell& cell) const {
    const std::uint64_t hash =
        fold_multiply(cell.addresses ^ 0x9e3779b97f4a7c15U, cell.rest ^ 0xd6e8feb86659fd93U);
    return static_cast<std::uint32_t>(hash & (cells_.size() - 1));
  }
  [[nodiscard]] std::uint32_t next(std::uint32_t at) const {
    return static_cast<std::uint32_t>((at + 1) & (cells_.size() - 1));
  }
  void put(const Cell& cell) {
    std::uint32_t at = start(cell);
    while (cells_[at].flows != nullptr) at = next(at);
    cells_[at] = cell;
    ++count_;
  }

  SnatPorts ports_;
  std::vector<Cell> cells_ = std::vector<Cell>(64);  // a power of two, at most half full
  std::size_t count_ = 0;
};

}  // namespace perigee
