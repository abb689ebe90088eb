// Frames for tests, built and checked with arithmetic of their own, so that a fault in the code under test
// does not hide itself.
#pragma once

#include <arpa/inet.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "contract/address.h"
#include "dataplane/packet.h"

namespace perigee::test {

using Octets = std::vector<std::uint8_t>;

// "0a 00 01" -> octets; blanks and newlines are skipped.
inline Octets hex(std::string_view text) {
  Octets out;
  int high = -1;
  for (const char c : text) {
    if (c == ' ' || c == '\n') continue;
    const auto digit = std::string_view("0123456789abcdef").find(c);
    if (digit == std::string_view::npos) throw std::invalid_argument("not hex");
    if (high >= 0) out.push_back(static_cast<std::uint8_t>(high * 16 + static_cast<int>(digit)));
    high = high >= 0 ? -1 : static_cast<int>(digit);
  }
  if (high >= 0) throw std::invalid_argument("odd number of hex digits");
  return out;
}

inline std::string to_hex(std::span<const std::uint8_t> octets) {
  std::string out;
  for (const std::uint8_t octet : octets) {
    out += "0123456789abcdef"[octet >> 4U];
    out += "0123456789abcdef"[octet & 15U];
  }
  return out;
}

// "10.0.0.1" in host order.
inline std::uint32_t ip4(const char* text) {
  in_addr address{};
  if (inet_pton(AF_INET, text, &address) != 1) throw std::invalid_argument(text);
  return ntohl(address.s_addr);
}

inline IpAddress ip(const char* text) {
  return IpAddress{[&] {
    std::array<std::uint8_t, 16> octets{};
    const std::uint32_t value = ip4(text);
    octets[10] = octets[11] = 0xff;
    for (unsigned i = 0; i < 4; ++i) octets[12 + i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
    return octets;
  }()};
}

// 02:00:00:00:00:nn
inline MacAddress mac(std::uint8_t last) { return MacAddress{{0x02, 0, 0, 0, 0, last}}; }

inline void put16(Octets& out, std::uint32_t value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8U));
  out.push_back(static_cast<std::uint8_t>(value));
}
inline void put32(Octets& out, std::uint32_t value) {
  put16(out, value >> 16U);
  put16(out, value & 0xffffU);
}
inline void append(Octets& out, std::span<const std::uint8_t> more) {
  out.insert(out.end(), more.begin(), more.end());
}
inline void set16(Octets& out, std::size_t at, std::uint32_t value) {
  out.at(at) = static_cast<std::uint8_t>(value >> 8U);
  out.at(at + 1) = static_cast<std::uint8_t>(value);
}

// RFC 1071 the slow way: 0 over octets that include a right checksum.
inline std::uint16_t plain_checksum(std::span<const std::uint8_t> octets) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < octets.size(); ++i) {
    sum += static_cast<std::uint32_t>(octets[i]) << (i % 2 == 0 ? 8U : 0U);
    if (sum > 0xffff) sum = (sum & 0xffffU) + 1;
  }
  return static_cast<std::uint16_t>(~sum);
}

// Checksum of TCP or UDP with its pseudo header; `ip_packet` starts at the IPv4 header.
inline std::uint16_t l4_checksum(std::span<const std::uint8_t> ip_packet) {
  const std::size_t header = (ip_packet[0] & 15U) * 4U;
  Octets all(ip_packet.begin() + 12, ip_packet.begin() + 20);
  put16(all, ip_packet[9]);
  put16(all, static_cast<std::uint32_t>(ip_packet.size() - header));
  append(all, ip_packet.subspan(header));
  return plain_checksum(all);
}

// Everything in one IPv4 packet that has a checksum has a right one (a UDP checksum of 0 counts as right).
inline bool checksums_ok(std::span<const std::uint8_t> ip_packet) {
  const std::size_t header = (ip_packet[0] & 15U) * 4U;
  if (plain_checksum(ip_packet.first(header)) != 0) return false;
  if (ip_packet[9] == kIcmp) return plain_checksum(ip_packet.subspan(header)) == 0;
  if (ip_packet[9] == kUdp && ip_packet[header + 6] == 0 && ip_packet[header + 7] == 0) return true;
  return l4_checksum(ip_packet) == 0;
}

// A frame as a value; build() gives it right lengths and checksums, spoiling it is the test's business.
struct FrameSpec {
  MacAddress to = mac(1);
  MacAddress from = mac(2);
  std::optional<std::uint16_t> tag{};      // TCI of an 802.1Q tag
  std::uint32_t source = 0xc6336414;       // 198.51.100.20
  std::uint32_t destination = 0xcb00710a;  // 203.0.113.10
  std::uint8_t protocol = kTcp;
  std::uint8_t ttl = 64;
  std::uint16_t fragment = 0x4000;  // flags and offset: DF
  Octets ip_options{};              // a multiple of 4 octets
  std::uint16_t source_port = 40000;
  std::uint16_t destination_port = 8000;
  std::uint8_t tcp_flags = kSyn;
  std::uint32_t sequence = 1000;
  std::uint32_t acknowledgement = 0;
  Octets tcp_options{};  // a multiple of 4 octets
  std::uint8_t icmp_type = 8;
  std::uint8_t icmp_code = 0;
  std::uint32_t icmp_rest = 0x00010001;  // identifier and sequence, or what the error carries
  Octets payload{};
  std::size_t padding = 0;  // octets after the IP packet
};

inline Octets build_l4(const FrameSpec& spec) {
  Octets out;
  if (spec.protocol == kTcp) {
    put16(out, spec.source_port);
    put16(out, spec.destination_port);
    put32(out, spec.sequence);
    put32(out, spec.acknowledgement);
    out.push_back(static_cast<std::uint8_t>((5 + spec.tcp_options.size() / 4) << 4U));
    out.push_back(spec.tcp_flags);
    put32(out, 0xffff0000);  // window, checksum
    put16(out, 0);           // urgent
    append(out, spec.tcp_options);
  } else if (spec.protocol == kUdp) {
    put16(out, spec.source_port);
    put16(out, spec.destination_port);
    put16(out, static_cast<std::uint32_t>(8 + spec.payload.size()));
    put16(out, 0);
  } else if (spec.protocol == kIcmp) {
    out = {spec.icmp_type, spec.icmp_code, 0, 0};
    put32(out, spec.icmp_rest);
  }
  append(out, spec.payload);
  return out;
}

// The IPv4 packet of a spec, without Ethernet.
inline Octets build_ip(const FrameSpec& spec) {
  const Octets l4 = build_l4(spec);
  const std::size_t header = 20 + spec.ip_options.size();
  Octets out = {static_cast<std::uint8_t>(0x40 | header / 4), 0};
  put16(out, static_cast<std::uint32_t>(header + l4.size()));
  put16(out, 0x1234);
  put16(out, spec.fragment);
  out.push_back(spec.ttl);
  out.push_back(spec.protocol);
  put16(out, 0);
  put32(out, spec.source);
  put32(out, spec.destination);
  append(out, spec.ip_options);
  set16(out, 10, plain_checksum(out));
  append(out, l4);
  if (spec.protocol == kTcp) set16(out, header + 16, l4_checksum(out));
  if (spec.protocol == kUdp) set16(out, header + 6, l4_checksum(out) == 0 ? 0xffff : l4_checksum(out));
  if (spec.protocol == kIcmp) set16(out, header + 2, plain_checksum(std::span(out).subspan(header)));
  return out;
}

inline Octets ethernet(const MacAddress& to, const MacAddress& from, std::optional<std::uint16_t> tag,
                       std::uint16_t ether_type, std::span<const std::uint8_t> content) {
  Octets out(to.octets.begin(), to.octets.end());
  append(out, from.octets);
  if (tag) {
    put16(out, kEtherVlan);
    put16(out, *tag);
  }
  put16(out, ether_type);
  append(out, content);
  return out;
}

inline Octets build(const FrameSpec& spec) {
  Octets out = ethernet(spec.to, spec.from, spec.tag, kEtherIpv4, build_ip(spec));
  out.resize(out.size() + spec.padding, 0xee);
  return out;
}

// Makes the IPv4 header checksum of an untagged frame right again after it was edited.
inline void fix_ip_checksum(Octets& frame) {
  set16(frame, 24, 0);
  const std::size_t header = std::min<std::size_t>((frame.at(14) & 15U) * 4U, frame.size() - 14);
  set16(frame, 24, plain_checksum(std::span(frame).subspan(14, header)));
}

struct ArpSpec {
  MacAddress to = mac(1);
  MacAddress from = mac(2);
  std::optional<std::uint16_t> tag{};
  std::uint16_t operation = 1;  // request
  MacAddress sender_mac = mac(2);
  std::uint32_t sender = 0;
  MacAddress target_mac{};
  std::uint32_t target = 0;
};

inline Octets build(const ArpSpec& spec) {
  Octets arp = {0, 1, 8, 0, 6, 4};
  put16(arp, spec.operation);
  append(arp, spec.sender_mac.octets);
  put32(arp, spec.sender);
  append(arp, spec.target_mac.octets);
  put32(arp, spec.target);
  return ethernet(spec.to, spec.from, spec.tag, kEtherArp, arp);
}

// A frame in its own exact-size buffer, parsed. Not copyable: `packet` points into `octets`.
struct Received {
  explicit Received(Octets frame, Arrival arrival = {})
      : octets(std::move(frame)), parsed(parse(octets, arrival, packet)) {}
  Received(const Received&) = delete;
  Received& operator=(const Received&) = delete;

  // The IPv4 packet as it stands in the frame now.
  [[nodiscard]] std::span<std::uint8_t> ip_packet() {
    return std::span(octets).subspan(packet.l3, packet.length - packet.l3);
  }

  Octets octets;
  Packet packet;
  Parsed parsed;
};

}  // namespace perigee::test
