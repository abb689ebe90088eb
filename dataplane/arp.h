// ARP over Ethernet for IPv4 (RFC 826): what a message means to us, and the messages we send. All builders
// write the 28 octets of the message; the Ethernet header is the worker's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "contract/address.h"
#include "contract/drop_reason.h"
#include "dataplane/egress.h"
#include "dataplane/packet.h"
#include "dataplane/serving_table.h"

namespace perigee {

inline constexpr std::size_t kArpSize = 28;
inline constexpr MacAddress kBroadcastMac = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

struct ArpMessage {
  bool request = false;  // else a reply
  MacAddress sender_mac;
  std::uint32_t sender = 0;  // host order; 0 in a probe (RFC 5227 section 1.1)
  std::uint32_t target = 0;
  MacAddress target_mac;  // meaningless in a request
};

// Of a packet that parse() called FrameKind::arp. Nothing: arp_malformed (hardware or protocol type, sizes,
// operation, or a sender MAC address that is no single host's or is not the frame's).
[[nodiscard]] std::optional<ArpMessage> parse_arp(const Packet& packet);

enum class ArpAction : std::uint8_t {
  answer,    // a request for an address of ours: make_arp_reply()
  learn,     // a reply from a next hop or on-link client: NeighborTable::on_reply()
  hint,      // it announces itself, unasked: NeighborTable::on_hint(), which believes nothing but may ask
  conflict,  // someone else claims an address of ours (RFC 5227 section 2.4): count arp_not_ours, and say so
  ignore     // not ours: arp_not_ours
};

// Who may talk ARP to us: on a link its next hop and its peer; on an interface the gateway and on-link
// clients.
[[nodiscard]] ArpAction judge_arp(const ArpMessage& message, const ServingTable& table, Segment in);

// Our addresses answered for on this segment: its own, on interfaces SNAT addresses inside the on-link
// prefix, and on interfaces toward clients (not the host's, not links) all VIPs.
[[nodiscard]] bool answers_for(const ServingTable& table, Segment in, std::uint32_t address);

// Rewrites the request in `packet` in place into the reply; it goes back to `message.sender_mac`.
void make_arp_reply(Packet& packet, const ArpMessage& message, const MacAddress& own);

// "Who has `target`?" of `sender` at `own`. Returns kArpSize.
std::size_t build_arp_request(std::span<std::uint8_t, kArpSize> out, const MacAddress& own,
                              std::uint32_t sender, std::uint32_t target);

// Gratuitous ARP: an ARP Announcement (RFC 5227 section 3), sent to kBroadcastMac.
std::size_t build_arp_announcement(std::span<std::uint8_t, kArpSize> out, const MacAddress& own,
                                   std::uint32_t address);

}  // namespace perigee
