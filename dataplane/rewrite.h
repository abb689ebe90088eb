// New addresses and ports for a packet of TCP or UDP, in place: the part of NAT that every packet pays for.
#pragma once

#include <cstdint>

#include "dataplane/checksum.h"
#include "dataplane/flow_reset.h"
#include "dataplane/octets.h"
#include "dataplane/packet.h"

namespace perigee {

// New addresses and ports of a packet, TTL one less, checksums of IPv4 and TCP or UDP kept right as they were
// (a fault in the payload stays visible to the receiver). The packet's fields follow.
[[gnu::always_inline]] inline void rewrite(Packet& packet, const TcpPath& path) {
  std::uint8_t* ip = packet.ip();
  std::uint8_t* l4 = packet.transport();
  ChecksumDelta delta;
  delta.address(packet.source, path.source);
  delta.address(packet.destination, path.destination);
  ChecksumDelta l4_delta = delta;
  l4_delta.word(packet.source_port, path.source_port);
  l4_delta.word(packet.destination_port, path.destination_port);

  const std::uint16_t ttl_word = load_be16(ip + 8);
  delta.word(ttl_word, static_cast<std::uint16_t>(ttl_word - 0x100U));
  ip[8] = packet.ttl = static_cast<std::uint8_t>(packet.ttl - 1);
  store_be16(ip + 10, delta.apply(load_be16(ip + 10)));
  store_be32(ip + 12, packet.source = path.source);
  store_be32(ip + 16, packet.destination = path.destination);
  store_be16(l4, packet.source_port = path.source_port);
  store_be16(l4 + 2, packet.destination_port = path.destination_port);

  if (packet.protocol == kTcp) {
    store_be16(l4 + 16, l4_delta.apply(load_be16(l4 + 16)));
    return;
  }
  const std::uint16_t before = load_be16(l4 + 6);
  if (before == 0) return;  // RFC 768: none was computed
  const std::uint16_t after = l4_delta.apply(before);
  store_be16(l4 + 6, after == 0 ? 0xffff : after);
}

// The checksum of a TCP or UDP packet as it came. 0 means that UDP carries none (RFC 768, over IPv4).
inline bool l4_checksum_right(const Packet& packet) {
  const std::uint8_t* l4 = packet.transport();
  if (packet.protocol == kUdp && load_be16(l4 + 6) == 0) return true;
  const std::uint32_t length = packet.length - packet.l4;  // parse() found the length of UDP to be this
  const std::uint64_t sum = pseudo_header_sum(packet.source, packet.destination, packet.protocol,
                                              static_cast<std::uint16_t>(length));
  return checksum_finish(checksum_add({l4, length}, sum)) == 0;
}

}  // namespace perigee
