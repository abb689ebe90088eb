#include "dataplane/udp_frame.h"

#include <cstring>

#include "dataplane/checksum.h"
#include "dataplane/octets.h"

namespace perigee {

namespace {

constexpr std::size_t kIpHeader = 20, kUdpHeaderSize = 8;
constexpr std::uint16_t kDontFragment = 0x4000;

}  // namespace

std::size_t build_udp(std::span<std::uint8_t> out, const UdpHeader& header,
                      std::span<const std::uint8_t> payload) {
  const std::size_t size = kUdpOverhead + payload.size();
  if (size > out.size() || size > 0xffff) return 0;
  std::uint8_t* ip = out.data();
  if (payload.data() != ip + kUdpOverhead && !payload.empty()) {
    std::memmove(ip + kUdpOverhead, payload.data(), payload.size());
  }
  ip[0] = 0x45;
  ip[1] = header.tos;
  store_be16(ip + 2, static_cast<std::uint16_t>(size));
  store_be16(ip + 4, 0);  // never fragmented, so no identification (RFC 6864 section 4.1)
  store_be16(ip + 6, kDontFragment);
  ip[8] = header.ttl;
  ip[9] = kUdp;
  store_be16(ip + 10, 0);
  store_be32(ip + 12, header.source);
  store_be32(ip + 16, header.destination);
  store_be16(ip + 10, ipv4_header_checksum({ip, kIpHeader}));

  const auto length = static_cast<std::uint16_t>(kUdpHeaderSize + payload.size());
  std::uint8_t* udp = ip + kIpHeader;
  store_be16(udp, header.source_port);
  store_be16(udp + 2, header.destination_port);
  store_be16(udp + 4, length);
  store_be16(udp + 6, 0);
  const std::uint16_t checksum = checksum_finish(
      checksum_add({udp, length}, pseudo_header_sum(header.source, header.destination, kUdp, length)));
  store_be16(udp + 6, checksum == 0 ? 0xffff : checksum);  // RFC 768: 0 would mean none
  return size;
}

bool udp_checksum_ok(const Packet& packet) {
  const std::uint8_t* udp = packet.transport();
  if (load_be16(udp + 6) == 0) return true;
  const auto length = static_cast<std::uint16_t>(packet.length - packet.l4);
  return checksum_finish(checksum_add(
             {udp, length}, pseudo_header_sum(packet.source, packet.destination, kUdp, length))) == 0;
}

}  // namespace perigee
