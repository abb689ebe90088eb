#include "dataplane/worker.h"

#include <rte_prefetch.h>

#include "dataplane/icmp.h"
#include "dataplane/mss.h"
#include "dataplane/transit.h"

namespace perigee {
namespace {

bool is_forwarded(Journey journey) { return journey == Journey::nat || journey == Journey::snat_return; }

}  // namespace

// THE PACKET'S JOURNEY. A burst from one port: what is each packet, what becomes of those that are forwarded,
// and then each leaves or ends as a counted drop, in the order they came.
void Worker::handle(std::uint16_t port, std::span<rte_mbuf* const> buffers, Instant received) {
  for (rte_mbuf* buffer : buffers) rte_prefetch0(rte_pktmbuf_mtod(buffer, void*));

  std::size_t count = 0, forwarded = 0;
  for (rte_mbuf* buffer : buffers) {
    Item& item = burst_[count];
    item.buffer = buffer;
    if (!examine(item, port, received)) continue;
    ++count;
    if (is_forwarded(item.what.journey)) {
      Forwarding& next = forwardings_[forwarded++];
      next.packet = &item.packet;
      next.service = item.what.service;
    }
  }
  wiring_.forwarder.process(std::span(forwardings_).first(forwarded), links_, received);

  std::size_t next = 0;
  for (Item& item : std::span(burst_).first(count)) {
    if (is_forwarded(item.what.journey)) {
      forward(item, forwardings_[next++].result);
    } else {
      decide(item);
    }
  }
}

// What is it? False: its journey ended here (ARP, or a drop).
bool Worker::examine(Item& item, std::uint16_t port, Instant received) {
  Packet& packet = item.packet;
  rte_mbuf* const buffer = item.buffer;
  if (table_ == nullptr) return drop(item, DropReason::no_table), false;
  // Larger than one buffer is larger than any MTU we serve.
  if (buffer->nb_segs != 1) return drop(item, DropReason::mtu_exceeded), false;

  const bool stripped = (buffer->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0;
  const Arrival arrival{port, stripped ? buffer->vlan_tci : std::uint16_t{0}, received};
  const Parsed parsed =
      parse({rte_pktmbuf_mtod(buffer, std::uint8_t*), rte_pktmbuf_data_len(buffer)}, arrival, packet);
  if (parsed.kind == FrameKind::dropped) return drop(item, parsed.reason), false;

  packet.in = table_->segment(port, packet.vlan);
  if (packet.in.is_link()) {
    LinkTraffic& traffic = tally_.links[packet.in.index];
    ++traffic.rx_packets;
    traffic.rx_octets += buffer->pkt_len;
  }
  if (!addressed_to(packet, parsed.kind, wiring_.ports[port].mac())) {
    return drop(item, DropReason::wrong_mac), false;
  }
  if (parsed.kind == FrameKind::arp) return answer_arp(item), false;
  item.what = classify(packet, *table_);
  return keep(item);
}

// A flow is known to one worker. False: the packet belongs to another one and is on its way there.
bool Worker::keep(Item& item) {
  if (wiring_.outbound.empty() || !is_forwarded(item.what.journey)) return true;
  const auto workers = static_cast<std::uint32_t>(wiring_.outbound.size());
  const std::uint32_t owner = Forwarder::owner_of(item.packet, item.what.service, workers);
  if (owner == wiring_.index) return true;
  if (!wiring_.outbound[owner]->push({item.buffer, item.packet.port, item.packet.received})) {
    drop(item, DropReason::not_owner_queue_full);
  }
  return false;
}

void Worker::decide(Item& item) {
  switch (item.what.journey) {
    case Journey::echo:
      return answer_echo(item);
    case Journey::stamp_test:
      return answer_test(item);
    case Journey::stamp_reply:
      return take_reply(item);
    case Journey::nat:
    case Journey::snat_return:
      return;  // handle() saw to it
    case Journey::host:
      return route(item, telemetry::Verdict::host, deliver_to_host(item.packet, *table_, item.what.service));
    case Journey::transit:
      return route(item, telemetry::Verdict::transit, forward_transit(item.packet, *table_, links_));
    case Journey::refuse:
      return refuse(
          item, wiring_.forwarder.refuse(item.packet, DropReason::port_unsupported, item.packet.received));
    case Journey::drop:
      return drop(item, item.what.reason);
  }
}

// Client to VIP, or endpoint to SNAT address.
void Worker::forward(Item& item, const ForwardResult& result) {
  const Packet& packet = item.packet;
  switch (result.verdict) {
    case ForwardResult::Verdict::send:
      return leave(item, telemetry::Verdict::nat, result.egress);
    case ForwardResult::Verdict::refuse:
      return refuse(item, result);
    case ForwardResult::Verdict::drop:
      break;
  }
  if (result.reason == DropReason::ttl_exceeded) answer_error(packet, IcmpError{kTimeExceeded, 0, 0});
  if (result.reason == DropReason::mtu_exceeded && packet.dont_fragment) {
    const std::uint16_t mtu = table_->mtu_of(result.egress.segment);
    answer_error(packet, IcmpError{kUnreachable, kFragmentationNeeded, mtu});
  }
  drop(item, result.reason);
}

// Another PoP's packet, an endpoint's, or the host's.
void Worker::route(Item& item, telemetry::Verdict verdict, const TransitResult& result) {
  if (result.send) return leave(item, verdict, result.egress);
  if (result.error) answer_error(item.packet, *result.error);
  drop(item, result.reason);
}

void Worker::leave(Item& item, telemetry::Verdict verdict, const Egress& egress) {
  Packet& packet = item.packet;
  if (packet.protocol == kTcp && (packet.tcp_flags & kSyn) != 0) {
    clamp_mss(packet, table_->path_mtu(packet.in, egress.segment));
  }
  tally_.count(verdict);
  found_ = Found::traffic;
  // What is before and after the IP packet goes.
  rte_mbuf* const buffer = item.buffer;
  rte_pktmbuf_adj(buffer, packet.l3);
  rte_pktmbuf_trim(buffer, static_cast<std::uint16_t>(buffer->pkt_len - packet.ip_total_length));
  sender_.send(buffer, egress, packet.received);
}

void Worker::drop(Item& item, DropReason reason) {
  tally_.count(telemetry::Verdict::dropped);
  tally_.drop(reason);
  rte_pktmbuf_free(item.buffer);
}

}  // namespace perigee
