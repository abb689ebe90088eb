// What a worker counts: plain integers of its own, stored to the telemetry now and then, so that no packet
// pays for an atomic.
#pragma once

#include <array>
#include <cstdint>

#include "contract/drop_reason.h"
#include "contract/table.h"
#include "contract/telemetry.h"

namespace perigee {

struct LinkTraffic {
  std::uint64_t tx_packets = 0, tx_octets = 0, rx_packets = 0, rx_octets = 0;
};

struct Tally {
  // Each received packet once, by what was decided about it.
  std::array<std::uint64_t, static_cast<std::size_t>(telemetry::Verdict::count_)> packets{};
  // Each packet that ended here, also our own and those that were accepted and could not leave.
  std::array<std::uint64_t, kDropReasonCount> drops{};
  std::array<LinkTraffic, table::kMaxLinks> links{};  // by index in the table in force
  std::uint64_t sleeps = 0;

  void count(telemetry::Verdict verdict) { ++packets[static_cast<std::size_t>(verdict)]; }
  void drop(DropReason reason, std::uint64_t packets_lost = 1) {
    drops[static_cast<std::size_t>(reason)] += packets_lost;
  }
};

}  // namespace perigee
