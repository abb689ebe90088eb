#include "dataplane/flow_reset.h"

#include "dataplane/checksum.h"
#include "dataplane/icmp.h"
#include "dataplane/octets.h"
#include "dataplane/packet.h"

namespace perigee {

std::array<std::uint8_t, kResetSize> build_reset(const TcpPath& path, std::uint32_t sequence,
                                                 std::uint32_t acknowledgement, bool with_ack) {
  std::array<std::uint8_t, kResetSize> out{};
  std::uint8_t* ip = out.data();
  ip[0] = 0x45;
  store_be16(ip + 2, kResetSize);
  store_be16(ip + 6, 0x4000);  // DF, and so no identification (RFC 6864 section 4.1)
  ip[8] = kOwnTtl;
  ip[9] = kTcp;
  store_be32(ip + 12, path.source);
  store_be32(ip + 16, path.destination);
  store_be16(ip + 10, ipv4_header_checksum({ip, 20}));

  std::uint8_t* tcp = ip + 20;
  store_be16(tcp, path.source_port);
  store_be16(tcp + 2, path.destination_port);
  store_be32(tcp + 4, sequence);
  store_be32(tcp + 8, with_ack ? acknowledgement : 0);
  tcp[12] = 5U << 4U;
  tcp[13] = static_cast<std::uint8_t>(with_ack ? kRst | kAck : kRst);
  const std::uint64_t sum = pseudo_header_sum(path.source, path.destination, kTcp, 20);
  store_be16(tcp + 16, checksum_finish(checksum_add({tcp, 20}, sum)));
  return out;
}

std::array<std::uint8_t, kResetSize> reset_for_segment(const Packet& segment) {
  const std::uint8_t* tcp = segment.transport();
  const TcpPath back = {segment.destination, segment.source, segment.destination_port, segment.source_port};
  if ((segment.tcp_flags & kAck) != 0) return build_reset(back, load_be32(tcp + 8), 0, false);
  std::uint32_t length = segment.payload_length();
  if ((segment.tcp_flags & kSyn) != 0) ++length;
  if ((segment.tcp_flags & kFin) != 0) ++length;
  return build_reset(back, 0, load_be32(tcp + 4) + length, true);
}

}  // namespace perigee
