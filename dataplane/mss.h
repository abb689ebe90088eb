// Clamping the TCP MSS option to what the path carries (RFC 6691: MTU minus 40, options not counted).
#pragma once

#include <cstdint>

#include "dataplane/packet.h"

namespace perigee {

// On a SYN or SYN-ACK: lowers the MSS option to `mtu` - 40 in place, with an incremental checksum. Give the
// smaller MTU of the two segments (ServingTable::path_mtu), since the option limits the other direction. A
// segment without the option, or with options that do not parse, is left as it is. Returns whether it
// changed.
bool clamp_mss(Packet& packet, std::uint16_t mtu);

}  // namespace perigee
