#include "dataplane/mss.h"

#include <optional>

#include "dataplane/checksum.h"
#include "dataplane/octets.h"

namespace perigee {

namespace {

constexpr std::size_t kFixedHeader = 20;
constexpr std::uint8_t kEnd = 0, kNoOperation = 1, kMss = 2, kMssLength = 4;  // RFC 9293 section 3.1

// Offset of the MSS value from the TCP header.
std::optional<std::size_t> find_mss(const std::uint8_t* tcp, std::size_t header) {
  for (std::size_t at = kFixedHeader; at < header;) {
    if (tcp[at] == kEnd) return std::nullopt;
    if (tcp[at] == kNoOperation) {
      ++at;
      continue;
    }
    // RFC 9293 section 3.1: the length counts kind and length octets too.
    if (at + 1 >= header || tcp[at + 1] < 2 || at + tcp[at + 1] > header) return std::nullopt;
    if (tcp[at] == kMss) return tcp[at + 1] == kMssLength ? std::optional(at + 2) : std::nullopt;
    at += tcp[at + 1];
  }
  return std::nullopt;
}

std::uint16_t swapped(std::uint16_t value) { return static_cast<std::uint16_t>(value << 8U | value >> 8U); }

}  // namespace

bool clamp_mss(Packet& packet, std::uint16_t mtu) {
  if (packet.protocol != kTcp || packet.fragment || (packet.tcp_flags & kSyn) == 0) return false;
  constexpr std::uint16_t kHeaders = 40;
  if (mtu <= kHeaders) return false;
  const std::uint16_t limit = mtu - kHeaders;
  std::uint8_t* tcp = packet.transport();
  const std::optional<std::size_t> at = find_mss(tcp, packet.payload - packet.l4);
  if (!at) return false;
  const std::uint16_t before = load_be16(tcp + *at);
  if (before <= limit) return false;
  store_be16(tcp + *at, limit);
  ChecksumDelta delta;
  // After an odd number of NOPs the value lies across two words; the sum sees its octets swapped.
  const bool odd = *at % 2 != 0;
  delta.word(odd ? swapped(before) : before, odd ? swapped(limit) : limit);
  store_be16(tcp + 16, delta.apply(load_be16(tcp + 16)));
  return true;
}

}  // namespace perigee
