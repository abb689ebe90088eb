// What ends at our own addresses: ARP, echo, STAMP; and the packets we make ourselves.
#include <algorithm>
#include <cstring>

#include "dataplane/arp.h"
#include "dataplane/icmp.h"
#include "dataplane/udp_frame.h"
#include "dataplane/worker.h"

namespace perigee {

void Worker::answer_arp(Item& item) {
  Packet& packet = item.packet;
  if (packet.in.none()) return drop(item, DropReason::unknown_vlan);
  const std::optional<ArpMessage> message = parse_arp(packet);
  if (!message) return drop(item, DropReason::arp_malformed);
  const NeighborKey key{packet.port, packet.vlan, message->sender};
  switch (judge_arp(*message, *table_, packet.in)) {
    case ArpAction::answer:
      make_arp_reply(packet, *message, wiring_.ports[packet.port].mac());
      sender_.send_arp({packet.ip(), kArpSize}, packet.port, packet.vlan, message->sender_mac);
      break;
    case ArpAction::learn:
      if (!sender_.on_arp_reply(key, message->sender_mac, packet.received)) {
        return drop(item, DropReason::arp_not_ours);
      }
      break;
    case ArpAction::hint:
      sender_.neighbors().on_hint(key, message->sender_mac, packet.received);
      break;
    case ArpAction::conflict:
      if (conflicts_.take(packet.received)) {
        Event event;
        event.kind = Event::Kind::address_conflict;
        event.subject = table::Name::of(wiring_.ports[packet.port].name());
        event.address = message->sender;
        event.mac = message->sender_mac;
        report(event);
      }
      return drop(item, DropReason::arp_not_ours);
    case ArpAction::ignore:
      return drop(item, DropReason::arp_not_ours);
  }
  tally_.count(telemetry::Verdict::local);
  rte_pktmbuf_free(item.buffer);
}

void Worker::answer_echo(Item& item) {
  const std::optional<Egress> back = table_->back_over(item.packet.in, item.packet.source);
  if (!back) return drop(item, DropReason::no_route);
  make_echo_reply(item.packet);
  leave(item, telemetry::Verdict::local, *back);
}

// The Session-Reflector (RFC 8762 section 4.3): the reply is built in the test packet's own buffer.
void Worker::answer_test(Item& item) {
  Packet& packet = item.packet;
  if (!udp_checksum_ok(packet)) return drop(item, DropReason::bad_l4_checksum);
  const std::optional<Egress> back = table_->back_over(packet.in, packet.source);
  if (!back) return drop(item, DropReason::no_route);

  // Room for the base where the test packet is shorter (TWAMP-Light).
  const std::size_t room = std::max<std::size_t>(packet.payload_length(), stamp::kBaseSize);
  rte_mbuf* const buffer = item.buffer;
  const std::size_t wanted = packet.payload + room;
  if (wanted > buffer->pkt_len &&
      rte_pktmbuf_append(buffer, static_cast<std::uint16_t>(wanted - buffer->pkt_len)) == nullptr) {
    return drop(item, DropReason::no_buffer);
  }
  std::uint8_t* const payload = packet.frame + packet.payload;
  const stamp::Datagram test{
      packet.in.index, IpAddress::v4(packet.source),       packet.source_port, packet.destination_port,
      packet.ttl,      {payload, packet.payload_length()}, packet.received};
  const Reflector::Reflection reply = reflector_.reflect(test, wiring_.clock(), {payload, room});
  if (reply.size == 0) return drop(item, reply.dropped);

  // Headers without options, right before the payload; options of the test packet, if any, are left behind.
  const std::size_t start = packet.payload - kUdpOverhead;
  const UdpHeader header{packet.destination, packet.source, packet.destination_port, packet.source_port};
  const std::size_t size =
      build_udp({packet.frame + start, kUdpOverhead + reply.size}, header, {payload, reply.size});
  rte_pktmbuf_adj(buffer, static_cast<std::uint16_t>(start));
  rte_pktmbuf_trim(buffer, static_cast<std::uint16_t>(buffer->pkt_len - size));
  tally_.count(telemetry::Verdict::local);
  // T3 is in it: nothing may delay it now but the packets of its burst.
  sender_.send_stamped(buffer, *back, packet.received);
}

void Worker::take_reply(Item& item) {
  const Packet& packet = item.packet;
  if (!udp_checksum_ok(packet)) return drop(item, DropReason::bad_l4_checksum);
  const stamp::Datagram reply{packet.in.index,    IpAddress::v4(packet.source),
                              packet.source_port, packet.destination_port,
                              packet.ttl,         {packet.frame + packet.payload, packet.payload_length()},
                              packet.received};
  if (prober_.on_reply(reply) == Prober::Verdict::invalid) return drop(item, DropReason::stamp_reply_invalid);
  tally_.count(telemetry::Verdict::local);
  rte_pktmbuf_free(item.buffer);
}

void Worker::refuse(Item& item, const ForwardResult& result) {
  if (result.verdict == ForwardResult::Verdict::refuse) {
    std::array<std::uint8_t, kMaxRefusal> answer;
    const std::size_t size = build_refusal(item.packet, result.answer, answer);
    const std::optional<Egress> back = table_->back_over(item.packet.in, item.packet.source);
    if (size != 0 && back) sender_.send({answer.data(), size}, *back, item.packet.received);
  }
  drop(item, result.reason);
}

void Worker::answer_error(const Packet& packet, const IcmpError& error) {
  if (!may_answer_with_error(packet)) return;
  const std::optional<Egress> back = table_->back_over(packet.in, packet.source);
  if (!back || !errors_.take(packet.received)) return;
  std::array<std::uint8_t, kMaxIcmpError> answer;
  const std::size_t size = build_icmp_error(packet, error, table_->address_of(packet.in), answer);
  if (size != 0) sender_.send({answer.data(), size}, *back, packet.received);
}

// The Session-Sender's test packet. Nothing: it could not leave, and the prober takes it as never made.
std::optional<Instant> Worker::send_probe(const Probe& probe) {
  const LinkInfo& link = table_->link(static_cast<std::uint32_t>(probe.link));
  rte_mbuf* const buffer = sender_.allocate(kUdpOverhead + probe.payload.size());
  if (buffer == nullptr) return std::nullopt;
  const UdpHeader header{link.local, link.peer, probe.source_port, link.probe_port};
  build_udp({rte_pktmbuf_mtod(buffer, std::uint8_t*), buffer->pkt_len}, header, probe.payload);
  const Instant left = wiring_.clock();
  if (!sender_.send_stamped(buffer, table_->over_link(static_cast<std::uint32_t>(probe.link)), left)) {
    return std::nullopt;
  }
  return left;
}

}  // namespace perigee
