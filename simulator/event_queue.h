// What is going to happen, the soonest first; what is at the same time in the order in which it was added.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "contract/units.h"

namespace perigee::simulator {

struct Event {
  enum class Kind : std::uint8_t { at_engine, first_event, ended, poll, poll_answer, tick };
  Instant at;
  std::uint32_t order = 0;  // set by the queue
  std::uint32_t request = 0;
  std::uint16_t gateway = 0, endpoint = 0;
  Kind kind = Kind::tick;
};

class EventQueue {
 public:
  void add(Event event) {
    event.order = order_++;
    heap_.push_back(event);
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  [[nodiscard]] Instant next() const {
    return heap_.empty() ? Instant{std::numeric_limits<std::int64_t>::max()} : heap_.front().at;
  }
  Event take() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const Event event = heap_.back();
    heap_.pop_back();
    return event;
  }

 private:
  // The difference wraps as the counter does; events of one moment are never 2^31 apart.
  static bool later(const Event& a, const Event& b) {
    return a.at != b.at ? a.at > b.at : static_cast<std::int32_t>(a.order - b.order) > 0;
  }
  std::vector<Event> heap_;
  std::uint32_t order_ = 0;
};

}  // namespace perigee::simulator
