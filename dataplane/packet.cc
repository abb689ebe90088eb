#include "dataplane/packet.h"

#include <algorithm>

#include "dataplane/checksum.h"
#include "dataplane/octets.h"

namespace perigee {

namespace {

constexpr std::size_t kEthernetHeader = 14, kVlanTag = 4, kArpMessage = 28;
constexpr std::size_t kMinIpHeader = 20, kTcpHeader = 20, kUdpHeader = 8, kIcmpHeader = 8;
constexpr std::uint16_t kVidMask = 0x0fff;
constexpr std::uint16_t kReservedVid = 0x0fff;  // IEEE 802.1Q table 9-2
constexpr std::uint16_t kDontFragment = 0x4000, kFragmentBits = 0x3fff;

Parsed dropped(DropReason reason) { return {FrameKind::dropped, reason}; }

Parsed parse_tcp(Packet& packet, std::size_t l4, std::size_t size) {
  if (size < kTcpHeader) return dropped(DropReason::bad_l4_header);
  const std::uint8_t* tcp = packet.frame + l4;
  const std::size_t header = (std::size_t{tcp[12]} >> 4U) * 4U;
  // RFC 9293 section 3.1: data offset counts 32-bit words of the header, at least 5.
  if (header < kTcpHeader || header > size) return dropped(DropReason::bad_l4_header);
  packet.source_port = load_be16(tcp);
  packet.destination_port = load_be16(tcp + 2);
  packet.tcp_flags = tcp[13] & 0x3fU;
  packet.payload = static_cast<std::uint16_t>(l4 + header);
  return {FrameKind::ipv4, {}};
}

Parsed parse_udp(Packet& packet, std::size_t size) {
  if (size < kUdpHeader) return dropped(DropReason::bad_l4_header);
  const std::uint8_t* udp = packet.transport();
  // RFC 768: the length counts header and data. Shorter than the IP payload would smuggle octets that no
  // checksum covers, so only the exact length passes.
  if (load_be16(udp + 4) != size) return dropped(DropReason::bad_l4_header);
  packet.source_port = load_be16(udp);
  packet.destination_port = load_be16(udp + 2);
  packet.payload = static_cast<std::uint16_t>(packet.l4 + kUdpHeader);
  return {FrameKind::ipv4, {}};
}

Parsed parse_icmp(Packet& packet, std::size_t size) {
  if (size < kIcmpHeader) return dropped(DropReason::icmp_malformed);
  const std::uint8_t* icmp = packet.transport();
  // RFC 1122 section 3.2.2 leaves no use for a message with a wrong checksum.
  if (checksum_finish(checksum_add({icmp, size})) != 0) return dropped(DropReason::icmp_malformed);
  packet.icmp_type = icmp[0];
  packet.icmp_code = icmp[1];
  packet.payload = static_cast<std::uint16_t>(packet.l4 + kIcmpHeader);
  return {FrameKind::ipv4, {}};
}

// Not TCP, or a fragment.
Parsed parse_transport(Packet& packet) {
  packet.payload = packet.l4;
  if (packet.fragment) return {FrameKind::ipv4, {}};
  const std::size_t size = packet.length - packet.l4;
  switch (packet.protocol) {
    case kUdp:
      return parse_udp(packet, size);
    case kIcmp:
      return parse_icmp(packet, size);
    default:
      return {FrameKind::ipv4, {}};
  }
}

Parsed parse_ipv4(Packet& packet, std::size_t l3, std::size_t length) {
  const std::size_t available = length - l3;
  if (available < kMinIpHeader) return dropped(DropReason::too_short);
  const std::uint8_t* ip = packet.frame + l3;
  // RFC 1812 section 5.2.2: the five checks before any other field is believed.
  const std::size_t header = (std::size_t{ip[0]} & 0x0fU) * 4U;
  const std::size_t total = load_be16(ip + 2);
  if (ip[0] >> 4U != 4 || header < kMinIpHeader || total < header) return dropped(DropReason::bad_ip_header);
  if (total > available) return dropped(DropReason::too_short);
  // Nearly always without options.
  const bool right = header == kMinIpHeader
                         ? ipv4_header_right(std::span<const std::uint8_t, kMinIpHeader>(ip, kMinIpHeader))
                         : ipv4_header_checksum({ip, header}) == 0;
  if (!right) return dropped(DropReason::bad_ip_checksum);

  const std::size_t l4 = l3 + header;
  packet.l4 = static_cast<std::uint16_t>(l4);
  packet.length = static_cast<std::uint32_t>(l3 + total);  // Ethernet pads to 46 octets
  packet.ip_total_length = static_cast<std::uint16_t>(total);
  const std::uint16_t fragment = load_be16(ip + 6);
  packet.fragment = (fragment & kFragmentBits) != 0;
  packet.dont_fragment = (fragment & kDontFragment) != 0;
  packet.ttl = ip[8];
  const std::uint8_t protocol = packet.protocol = ip[9];
  packet.source = load_be32(ip + 12);
  packet.destination = load_be32(ip + 16);
  if (is_martian(packet.source)) return dropped(DropReason::martian_source);
  if (protocol == kTcp && !packet.fragment) [[likely]]
    return parse_tcp(packet, l4, total - header);
  return parse_transport(packet);
}

}  // namespace

Parsed parse(std::span<std::uint8_t> frame, const Arrival& arrival, Packet& packet) {
  packet = Packet{};
  packet.frame = frame.data();
  packet.port = arrival.port;
  packet.received = arrival.received;
  // Offsets are 16 bits wide; no device of ours takes frames of 64 KiB.
  if (frame.size() < kEthernetHeader || frame.size() > 0xffff) return dropped(DropReason::too_short);
  packet.length = static_cast<std::uint32_t>(frame.size());
  packet.l3 = kEthernetHeader;
  std::uint16_t type = load_be16(packet.frame + 12);
  std::uint16_t tag = arrival.stripped_tag;
  if (type == kEtherVlan && tag == 0) {
    if (frame.size() < kEthernetHeader + kVlanTag) return dropped(DropReason::too_short);
    tag = load_be16(packet.frame + 14);
    type = load_be16(packet.frame + 16);
    packet.l3 = kEthernetHeader + kVlanTag;
  }
  packet.vlan = tag & kVidMask;  // VID 0 only carries a priority: untagged
  if (packet.vlan == kReservedVid) return dropped(DropReason::unknown_vlan);
  if (type == kEtherIpv4) return parse_ipv4(packet, packet.l3, frame.size());
  if (type != kEtherArp) return dropped(DropReason::not_ipv4);
  if (packet.length < packet.l3 + kArpMessage) return dropped(DropReason::arp_malformed);
  return {FrameKind::arp, {}};
}

bool addressed_to(const Packet& packet, FrameKind kind, const MacAddress& own) {
  if (std::equal(own.octets.begin(), own.octets.end(), packet.frame)) return true;
  return kind == FrameKind::arp &&
         std::all_of(packet.frame, packet.frame + 6, [](std::uint8_t octet) { return octet == 0xff; });
}

bool is_martian(std::uint32_t address) {
  const std::uint32_t first = address >> 24U;
  return first == 0 || first == 127 || first >= 224;
}

MacAddress source_mac(const Packet& packet) {
  MacAddress mac;
  std::copy_n(packet.frame + 6, mac.octets.size(), mac.octets.begin());
  return mac;
}

std::size_t write_ethernet(std::span<std::uint8_t, kMaxEthernetHeader> out, const MacAddress& destination,
                           const MacAddress& source, std::uint16_t vlan, std::uint16_t ether_type) {
  std::copy(destination.octets.begin(), destination.octets.end(), out.begin());
  std::copy(source.octets.begin(), source.octets.end(), out.begin() + 6);
  if (vlan == 0) {
    store_be16(&out[12], ether_type);
    return kEthernetHeader;
  }
  store_be16(&out[12], kEtherVlan);
  store_be16(&out[14], vlan);
  store_be16(&out[16], ether_type);
  return kMaxEthernetHeader;
}

}  // namespace perigee
