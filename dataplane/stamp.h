// STAMP (RFC 8762), unauthenticated mode: the octets of test packets and replies. Pure; what a reply must
// fulfil to count is in prober.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "contract/address.h"
#include "contract/units.h"
#include "dataplane/ntp_clock.h"

namespace perigee::stamp {

inline constexpr std::size_t kBaseSize = 44;  // of both packets (RFC 8762 sections 4.2.1 and 4.3.1)
inline constexpr std::size_t kMinTestSize =
    14;  // a TWAMP-Light sender without padding (RFC 5357 section 4.1.2)
inline constexpr std::size_t kMinReplySize =
    38;  // to the end of the echoed error estimate; twampy stops there

struct TestPacket {
  std::uint32_t sequence = 0;
  Timestamp sent;  // T1
  ErrorEstimate error;
  std::uint16_t ssid = 0;  // RFC 8972 section 3; 0 in plain RFC 8762
  friend bool operator==(const TestPacket&, const TestPacket&) = default;
};

struct Reply {
  std::uint32_t sequence = 0;  // the reflector's: a copy (stateless) or its own count
  Timestamp sent;              // T3
  ErrorEstimate error;         // of T2 and T3
  std::uint16_t ssid = 0;
  Timestamp received;  // T2
  std::uint32_t sender_sequence = 0;
  Timestamp sender_sent;  // T1, echoed
  ErrorEstimate sender_error;
  std::uint8_t sender_ttl = 0;  // of the test packet where it was received; 0 in replies shorter than 41
  friend bool operator==(const Reply&, const Reply&) = default;
};

// MBZ octets are written 0 and ignored on receipt. Decoding fails only on length.
void encode(const TestPacket& packet, std::span<std::uint8_t, kBaseSize> out);
void encode(const Reply& reply, std::span<std::uint8_t, kBaseSize> out);
std::optional<TestPacket> decode_test(std::span<const std::uint8_t> payload);
std::optional<Reply> decode_reply(std::span<const std::uint8_t> payload);

// A UDP datagram that came in on a link, already known to be for the link's own address.
struct Datagram {
  std::size_t link = 0;  // index in the table in force, by the port and VLAN it came in on
  IpAddress source;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint8_t ttl = 0;  // as received
  std::span<const std::uint8_t> payload;
  Instant received;  // when the frame was taken from the device: T2 or T4
};

}  // namespace perigee::stamp
