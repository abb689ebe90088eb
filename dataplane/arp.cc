#include "dataplane/arp.h"

#include <algorithm>

#include "dataplane/octets.h"

namespace perigee {

namespace {

constexpr std::uint16_t kHardwareEthernet = 1, kRequest = 1, kReply = 2;

MacAddress load_mac(const std::uint8_t* at) {
  MacAddress mac;
  std::copy_n(at, mac.octets.size(), mac.octets.begin());
  return mac;
}

void store_mac(std::uint8_t* at, const MacAddress& mac) {
  std::copy(mac.octets.begin(), mac.octets.end(), at);
}

void write_message(std::uint8_t* out, std::uint16_t operation, const ArpMessage& message) {
  store_be16(out, kHardwareEthernet);
  store_be16(out + 2, kEtherIpv4);
  out[4] = 6;
  out[5] = 4;
  store_be16(out + 6, operation);
  store_mac(out + 8, message.sender_mac);
  store_be32(out + 14, message.sender);
  store_mac(out + 18, message.target_mac);
  store_be32(out + 24, message.target);
}

// Who may talk ARP to us on this segment.
bool is_neighbor(const ServingTable& table, Segment in, std::uint32_t address) {
  if (in.is_link()) {
    const LinkInfo& link = table.link(in.index);
    return address == link.next_hop || address == link.peer;
  }
  const InterfaceInfo& interface = table.interface(in.index);
  if (interface.on_link(address)) return !interface.is_broadcast(address);
  // The kernel asks and answers with the VIPs it serves (Linux: arp_ignore and arp_announce 0).
  return interface.is_host && table.is_vip(address);
}

}  // namespace

std::optional<ArpMessage> parse_arp(const Packet& packet) {
  const std::uint8_t* arp = packet.ip();
  // RFC 826: Ethernet and IPv4, with their address sizes.
  if (load_be16(arp) != kHardwareEthernet || load_be16(arp + 2) != kEtherIpv4) return std::nullopt;
  if (arp[4] != 6 || arp[5] != 4) return std::nullopt;
  const std::uint16_t operation = load_be16(arp + 6);
  if (operation != kRequest && operation != kReply) return std::nullopt;
  ArpMessage message;
  message.request = operation == kRequest;
  message.sender_mac = load_mac(arp + 8);
  message.sender = load_be32(arp + 14);
  message.target_mac = load_mac(arp + 18);
  message.target = load_be32(arp + 24);
  // The sender speaks for itself: one host's address, the one the frame came from.
  if (message.sender_mac.none() || (message.sender_mac.octets[0] & 1U) != 0) return std::nullopt;
  if (message.sender_mac != source_mac(packet)) return std::nullopt;
  // 0.0.0.0 asks whether an address is taken (RFC 5227 section 1.1); nobody answers with it.
  const bool probe = message.request && message.sender == 0;
  if (!probe && is_martian(message.sender)) return std::nullopt;
  return message;
}

bool answers_for(const ServingTable& table, Segment in, std::uint32_t address) {
  if (in.none()) return false;
  if (address == table.address_of(in)) return true;
  if (in.is_link()) return false;
  const InterfaceInfo& interface = table.interface(in.index);
  switch (table.role(address)) {
    case ServingTable::AddressRole::vip:
      return !interface.is_host;
    case ServingTable::AddressRole::snat:
      return interface.on_link(address);
    default:
      return false;
  }
}

ArpAction judge_arp(const ArpMessage& message, const ServingTable& table, Segment in) {
  if (in.none()) return ArpAction::ignore;
  if (answers_for(table, in, message.sender)) return ArpAction::conflict;
  const bool probe = message.sender == 0;
  if (!probe && !is_neighbor(table, in, message.sender)) return ArpAction::ignore;
  if (message.sender == message.target) return ArpAction::hint;
  if (!answers_for(table, in, message.target)) return ArpAction::ignore;
  return message.request ? ArpAction::answer : ArpAction::learn;
}

void make_arp_reply(Packet& packet, const ArpMessage& message, const MacAddress& own) {
  write_message(packet.ip(), kReply, {false, own, message.target, message.sender, message.sender_mac});
}

std::size_t build_arp_request(std::span<std::uint8_t, kArpSize> out, const MacAddress& own,
                              std::uint32_t sender, std::uint32_t target) {
  write_message(out.data(), kRequest, {true, own, sender, target, {}});
  return kArpSize;
}

std::size_t build_arp_announcement(std::span<std::uint8_t, kArpSize> out, const MacAddress& own,
                                   std::uint32_t address) {
  return build_arp_request(out, own, address, address);
}

}  // namespace perigee
