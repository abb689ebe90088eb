// What the operator is told: one JSON line per change of state. The worker only fills in a value; the control
// thread writes the line, for a worker neither formats nor logs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "contract/address.h"
#include "contract/table.h"
#include "contract/telemetry.h"
#include "contract/units.h"

namespace perigee {

struct Event {
  enum class Kind : std::uint8_t {
    link_state,            // subject: link; from, to
    port_up,               // subject: port
    port_down,             // subject: port
    neighbor_moved,        // subject: port; address; mac_before, mac
    neighbor_unreachable,  // subject: port; address
    neighbor_pin_differs,  // subject: port; address; mac_before is pinned, mac was announced
    address_conflict       // subject: port; address of ours; mac claims it (RFC 5227 section 2.4)
  };
  Kind kind = Kind::link_state;
  table::Name subject;
  telemetry::LinkState from = telemetry::LinkState::unknown, to = telemetry::LinkState::unknown;
  std::uint32_t address = 0;  // IPv4 in host order
  MacAddress mac_before, mac;
};

using LogField = std::pair<std::string_view, std::string>;

// {"time":"2026-11-30T00:00:00.000Z","event":EVENT,FIELDS...} and a newline; every value is a JSON string.
// `unix_time` is since 1970.
[[nodiscard]] std::string log_line(std::string_view event, const std::vector<LogField>& fields,
                                   Nanos unix_time);
[[nodiscard]] std::string log_line(const Event& event, Nanos unix_time);

// Writes the line to standard error in one piece, with the wall clock's time. One that finds no room is lost;
// the next one that does is preceded by a line that says how many were: "lines_lost".
void write_log(std::string_view event, const std::vector<LogField>& fields);
void write_log(const Event& event);
// Another line is lost: its event never came to be written.
void count_lost_line();

}  // namespace perigee
