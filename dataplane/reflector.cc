#include "dataplane/reflector.h"

#include <algorithm>
#include <cstring>

namespace perigee {

namespace {

// A tick of the peer comes as a burst of all its source ports, and two ticks may meet after a stall.
constexpr std::uint32_t kLeastBurst = 2 * table::kMaxProbePorts;

// A test packet may come from the reflectors' own port (twampy does that), and a forged one would make two
// reflectors answer each other for ever. Where a reply has its receive timestamp, octets of a test packet
// must be zero (RFC 8762 figure 2).
bool is_reply(const stamp::Datagram& datagram, std::uint16_t reflector_port) {
  if (datagram.source_port != reflector_port) return false;
  const std::optional<stamp::Reply> reply = stamp::decode_reply(datagram.payload);
  return reply && reply->received != Timestamp{};
}

}  // namespace

void Reflector::adopt(const table::Table& table, std::span<const std::uint32_t> origin) {
  const std::uint32_t rate = table.settings.reflect_per_second;
  std::vector<Peer> peers;
  peers.reserve(table.links.size());
  for (std::size_t index = 0; index < table.links.size(); ++index) {
    const table::Link& link = table.links[index];
    const bool kept = origin[index] != table::kNone && rate == rate_;
    peers.push_back({link.peer, link.probe_port,
                     kept ? peers_[origin[index]].limit : RateLimit(rate, std::max(rate / 10, kLeastBurst))});
  }
  rate_ = rate;
  peers_ = std::move(peers);
}

Reflector::Reflection Reflector::reflect(const stamp::Datagram& test, Instant now,
                                         std::span<std::uint8_t> out) {
  if (test.link >= peers_.size()) return {.dropped = DropReason::stamp_not_configured};
  Peer& peer = peers_[test.link];
  if (test.source != peer.address || test.destination_port != peer.port) {
    return {.dropped = DropReason::stamp_not_configured};
  }
  const std::optional<stamp::TestPacket> packet = stamp::decode_test(test.payload);
  if (!packet || is_reply(test, peer.port)) return {.dropped = DropReason::stamp_malformed};
  if (out.size() < stamp::kBaseSize) return {.dropped = DropReason::no_buffer};
  if (!peer.limit.take(now)) return {.dropped = DropReason::stamp_rate_limited};

  const std::size_t size = std::min(std::max(test.payload.size(), stamp::kBaseSize), out.size());
  if (size > stamp::kBaseSize && out.data() != test.payload.data()) {
    std::memmove(out.data() + stamp::kBaseSize, test.payload.data() + stamp::kBaseSize,
                 size - stamp::kBaseSize);
  }
  encode(stamp::Reply{.sequence = packet->sequence,
                      .sent = clock_.at(now),
                      .error = NtpClock::error_estimate(),
                      .ssid = packet->ssid,
                      .received = clock_.at(test.received),
                      .sender_sequence = packet->sequence,
                      .sender_sent = packet->sent,
                      .sender_error = packet->error,
                      .sender_ttl = test.ttl},
         out.first<stamp::kBaseSize>());
  slots_.at(test.link).reflected.fetch_add(1, std::memory_order_relaxed);
  return {.size = size};
}

}  // namespace perigee
