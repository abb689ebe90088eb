// Which telemetry slot belongs to which link of the table in force. A link whose record did not change keeps
// its slot and its counts; one that changed keeps the slot and gets a new incarnation; one that is gone frees
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "contract/table.h"
#include "contract/telemetry.h"

namespace perigee {

bool same_record(const table::Link& a, const table::Link& b);

class LinkSlots {
 public:
  // `layout` outlives this; incarnations are drawn from `random` during adopt().
  LinkSlots(telemetry::Layout& layout, std::mt19937_64& random) : layout_(layout), random_(random) {}

  // The links of a table that passed validate(). By link index: where the same record stood before, or
  // table::kNone for a link that is new or changed.
  std::vector<std::uint32_t> adopt(const std::vector<table::Link>& links, Instant now);

  // By index in the table in force.
  [[nodiscard]] telemetry::LinkSlot& at(std::size_t link) const { return layout_.links[slots_[link]]; }
  [[nodiscard]] std::size_t size() const { return slots_.size(); }

 private:
  void give_out(std::uint32_t slot, std::uint32_t id, Instant now);

  telemetry::Layout& layout_;
  std::mt19937_64& random_;
  std::vector<table::Link> links_;
  std::vector<std::uint32_t> slots_;  // by link index
};

}  // namespace perigee
