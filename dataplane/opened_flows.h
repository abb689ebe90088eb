// The TCP flows in the order they were opened, so that the one that waits for an answer longest is found
// without a search when a flood of SYNs has left no room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dataplane/flow_table.h"

namespace perigee {

class OpenedFlows {
 public:
  struct Opened {
    std::uint32_t slot = kNoSlot;
    FlowTick at = 0;  // tells the flow from one that has its slot later
  };

  // `capacity` > 0: when more are remembered the oldest is forgotten.
  explicit OpenedFlows(std::uint32_t capacity) : ring_(capacity) {}

  void push(const Opened& opened) {
    ring_[next_] = opened;
    next_ = next_ + 1 == ring_.size() ? 0 : next_ + 1;
    if (count_ < ring_.size()) ++count_;
  }
  [[nodiscard]] std::size_t size() const { return count_; }
  // Of those remembered, from the one opened longest ago on (0); index < size(). Its flow may be over by now.
  [[nodiscard]] const Opened& at(std::size_t index) const {
    const std::size_t place = next_ + ring_.size() - count_ + index;
    return ring_[place < ring_.size() ? place : place - ring_.size()];
  }
  // Forgets the one opened longest ago.
  void pop() { --count_; }

 private:
  std::vector<Opened> ring_;
  std::size_t next_ = 0, count_ = 0;
};

}  // namespace perigee
