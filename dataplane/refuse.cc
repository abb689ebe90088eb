#include "dataplane/refuse.h"

#include <algorithm>

#include "dataplane/flow_reset.h"

namespace perigee {

namespace {

constexpr std::uint8_t kAdminProhibited = 13;

}  // namespace

std::size_t build_refusal(const Packet& packet, Answer answer, std::span<std::uint8_t, kMaxRefusal> out) {
  switch (answer) {
    case Answer::none:
      return 0;
    case Answer::tcp_reset: {
      // RFC 9293 section 3.10.7.1: a RST is never answered.
      if (packet.protocol != kTcp || (packet.tcp_flags & kRst) != 0) return 0;
      const std::array<std::uint8_t, kResetSize> reset = reset_for_segment(packet);
      std::copy(reset.begin(), reset.end(), out.begin());
      return reset.size();
    }
    case Answer::icmp_port_unreachable:
      return build_icmp_error(packet, {kUnreachable, kPortUnreachable, 0}, packet.destination, out);
    case Answer::icmp_admin_prohibited:
      return build_icmp_error(packet, {kUnreachable, kAdminProhibited, 0}, packet.destination, out);
  }
  return 0;
}

}  // namespace perigee
