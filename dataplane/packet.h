// One received frame as the packet path sees it, and the parser that fills it in. Every length the frame
// claims is checked here once; what comes after may rely on the offsets.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "contract/address.h"
#include "contract/drop_reason.h"
#include "contract/units.h"
#include "dataplane/egress.h"

namespace perigee {

inline constexpr std::uint8_t kIcmp = 1, kTcp = 6, kUdp = 17;  // IP protocol numbers
inline constexpr std::uint16_t kEtherIpv4 = 0x0800, kEtherArp = 0x0806, kEtherVlan = 0x8100;

enum TcpFlag : std::uint8_t { kFin = 0x01, kSyn = 0x02, kRst = 0x04, kPsh = 0x08, kAck = 0x10 };

// Offsets are in octets from `frame`. Addresses and ports are in host order. Integers of IPv4 fields are
// meaningful only for FrameKind::ipv4; ports only for TCP and UDP that is not a fragment.
struct Packet {
  std::uint8_t* frame = nullptr;  // first octet of the Ethernet header; one contiguous piece
  std::uint32_t length = 0;       // octets of the frame, Ethernet padding after the IP packet cut off
  std::uint16_t port = 0;         // index on the data plane's command line
  std::uint16_t vlan = 0;         // VID, 0: untagged or priority-tagged
  Instant received;
  Segment in;  // set by whoever looked it up: ServingTable::segment(port, vlan)

  std::uint16_t l3 = 0;       // ARP message or IPv4 header
  std::uint16_t l4 = 0;       // after the IPv4 header and its options
  std::uint16_t payload = 0;  // after the TCP, UDP or ICMP header (8 octets); = l4 where not parsed
  std::uint16_t ip_total_length = 0;
  std::uint32_t source = 0;
  std::uint32_t destination = 0;
  std::uint8_t protocol = 0;
  std::uint8_t ttl = 0;
  std::uint8_t tcp_flags = 0;  // FIN SYN RST PSH ACK URG
  bool fragment = false;       // MF set or offset not 0: nothing after the IPv4 header was parsed
  bool dont_fragment = false;  // DF
  std::uint8_t icmp_type = 0;
  std::uint8_t icmp_code = 0;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;

  [[nodiscard]] std::uint8_t* ip() const { return frame + l3; }
  [[nodiscard]] std::uint8_t* transport() const { return frame + l4; }
  [[nodiscard]] std::uint32_t payload_length() const { return length - payload; }
};

enum class FrameKind : std::uint8_t { arp, ipv4, dropped };

struct Parsed {
  FrameKind kind = FrameKind::dropped;
  DropReason reason = DropReason::too_short;  // only when dropped

  friend bool operator==(const Parsed&, const Parsed&) = default;
};

struct Arrival {
  std::uint16_t port = 0;          // index
  std::uint16_t stripped_tag = 0;  // TCI of a VLAN tag that the device took off, 0: none
  Instant received;
};

// Ethernet, at most one 802.1Q tag, then ARP (length only; see arp.h) or IPv4: version, header length, total
// length, header checksum, then TCP data offset, UDP length, ICMP length and checksum. Sources that are no
// host's (multicast, broadcast, loopback, 0.0.0.0/8, 240.0.0.0/4) are dropped as martian_source. Other IP
// protocols pass; only transit carries them.
Parsed parse(std::span<std::uint8_t> frame, const Arrival& arrival, Packet& packet);

// The frame was sent to us: to `own`, or, for ARP only, to the broadcast address (RFC 1812 section 5.3.4:
// what came as a link-layer broadcast is not forwarded). Otherwise: wrong_mac.
[[nodiscard]] bool addressed_to(const Packet& packet, FrameKind kind, const MacAddress& own);

// Not the address of one host: multicast, limited broadcast, loopback, 0.0.0.0/8, 240.0.0.0/4 (RFC 1812
// section 5.3.7, RFC 6890).
[[nodiscard]] bool is_martian(std::uint32_t address);

[[nodiscard]] MacAddress source_mac(const Packet& packet);

// The Ethernet header for `ether_type`, tagged unless `vlan` is 0. Returns its size: 14 or 18 octets of
// `out`.
inline constexpr std::size_t kMaxEthernetHeader = 18;
std::size_t write_ethernet(std::span<std::uint8_t, kMaxEthernetHeader> out, const MacAddress& destination,
                           const MacAddress& source, std::uint16_t vlan, std::uint16_t ether_type);

}  // namespace perigee
