#include "dataplane/icmp.h"

#include <algorithm>

#include "dataplane/checksum.h"
#include "dataplane/octets.h"

namespace perigee {

namespace {

constexpr std::size_t kIpHeader = 20, kIcmpHeader = 8;
constexpr std::uint8_t kInternetControl = 0xc0;  // precedence 6 (RFC 1812 section 4.3.2.5)
constexpr std::uint16_t kDontFragment = 0x4000;
constexpr std::uint16_t kOffsetMask = 0x1fff;

}  // namespace

bool is_icmp_error(const Packet& packet) {
  if (packet.protocol != kIcmp || packet.fragment) return false;
  switch (packet.icmp_type) {
    case kUnreachable:
    case kSourceQuench:
    case kRedirect:
    case kTimeExceeded:
    case kParameterProblem:
      return true;
    default:
      return false;
  }
}

bool may_answer_with_error(const Packet& packet) {
  // RFC 1812 section 4.3.2.7, in its order. A fragment of ICMP may hide an error.
  if (is_icmp_error(packet) || (packet.protocol == kIcmp && packet.fragment)) return false;
  if (is_martian(packet.destination) || is_martian(packet.source)) return false;
  return (load_be16(packet.ip() + 6) & kOffsetMask) == 0;
}

std::size_t build_icmp_error(const Packet& packet, const IcmpError& error, std::uint32_t from,
                             std::span<std::uint8_t> out) {
  const std::size_t quotable = packet.length - packet.l3;
  const std::size_t room = std::min(out.size(), kMaxIcmpError);
  if (room < kIpHeader + kIcmpHeader + std::min<std::size_t>(quotable, packet.l4 - packet.l3 + 8U)) return 0;
  if (!may_answer_with_error(packet)) return 0;
  const std::size_t quote = std::min(quotable, room - kIpHeader - kIcmpHeader);
  const std::size_t size = kIpHeader + kIcmpHeader + quote;

  std::uint8_t* ip = out.data();
  ip[0] = 0x45;
  ip[1] = kInternetControl;
  store_be16(ip + 2, static_cast<std::uint16_t>(size));
  store_be16(ip + 4, 0);  // never fragmented, so no identification (RFC 6864 section 4.1)
  store_be16(ip + 6, kDontFragment);
  ip[8] = kOwnTtl;
  ip[9] = kIcmp;
  store_be16(ip + 10, 0);
  store_be32(ip + 12, from);
  store_be32(ip + 16, packet.source);
  store_be16(ip + 10, ipv4_header_checksum({ip, kIpHeader}));

  std::uint8_t* icmp = ip + kIpHeader;
  icmp[0] = error.type;
  icmp[1] = error.code;
  store_be16(icmp + 2, 0);
  store_be16(icmp + 4, 0);
  store_be16(icmp + 6, error.mtu);
  std::copy_n(packet.ip(), quote, icmp + kIcmpHeader);
  store_be16(icmp + 2, checksum_finish(checksum_add({icmp, kIcmpHeader + quote})));
  return size;
}

void make_echo_reply(Packet& packet) {
  std::uint8_t* ip = packet.ip();
  std::swap(packet.source, packet.destination);  // the sum over both stays
  store_be32(ip + 12, packet.source);
  store_be32(ip + 16, packet.destination);
  ChecksumDelta header;
  header.word(load_be16(ip + 8), static_cast<std::uint16_t>(kOwnTtl << 8U | packet.protocol));
  ip[8] = packet.ttl = kOwnTtl;
  store_be16(ip + 10, header.apply(load_be16(ip + 10)));

  std::uint8_t* icmp = packet.transport();
  ChecksumDelta type;
  type.word(load_be16(icmp), static_cast<std::uint16_t>(kEchoReply << 8U | icmp[1]));
  icmp[0] = packet.icmp_type = kEchoReply;
  // An echo of nothing but zeros: its checksum is 0xffff, and 0, which the update gives, is wrong for it
  // alone. For all others both are right (RFC 1624 section 3).
  const std::uint16_t sum = type.apply(load_be16(icmp + 2));
  store_be16(icmp + 2, sum == 0 ? 0xffff : sum);
}

std::optional<Quoted> parse_quoted(const Packet& packet) {
  const std::size_t available = packet.payload_length();
  if (available < kIpHeader) return std::nullopt;
  const std::uint8_t* ip = packet.frame + packet.payload;
  const std::size_t header = (std::size_t{ip[0]} & 0x0fU) * 4U;
  if (ip[0] >> 4U != 4 || header < kIpHeader || available < header + 8) return std::nullopt;
  if ((load_be16(ip + 6) & kOffsetMask) != 0) return std::nullopt;  // no ports in it
  Quoted quoted;
  quoted.l3 = packet.payload;
  quoted.l4 = static_cast<std::uint16_t>(packet.payload + header);
  quoted.protocol = ip[9];
  quoted.source = load_be32(ip + 12);
  quoted.destination = load_be32(ip + 16);
  if (quoted.protocol == kTcp || quoted.protocol == kUdp) {
    quoted.source_port = load_be16(ip + header);
    quoted.destination_port = load_be16(ip + header + 2);
  }
  return quoted;
}

}  // namespace perigee
