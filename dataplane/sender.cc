#include "dataplane/sender.h"

#include <bit>
#include <cstring>

#include "dataplane/arp.h"
#include "dataplane/packet.h"

namespace perigee {
namespace {

// A parked buffer as the neighbour table holds it, and back.
NeighborTable::Handle handle_of(rte_mbuf* packet) { return std::bit_cast<NeighborTable::Handle>(packet); }
rte_mbuf* packet_of(NeighborTable::Handle handle) { return std::bit_cast<rte_mbuf*>(handle); }

}  // namespace

Sender::Sender(std::span<Port> ports, rte_mempool& pool, Tally& tally, bool alone)
    : ports_(ports), pool_(pool), tally_(tally), queues_(ports.size()), alone_(alone) {
  give_up_ = [this](NeighborTable::Handle handle) {
    drop(packet_of(handle), DropReason::neighbor_unresolved);
  };
  ask_ = [this](const NeighborKey& key) { request(key); };
}

Sender::~Sender() {
  neighbors_.drop_all(give_up_);
  for (Queue& queue : queues_) {
    for (rte_mbuf* packet : std::span(queue.packets).first(queue.count)) rte_pktmbuf_free(packet);
  }
}

void Sender::adopt(const ServingTable& table, Instant now) {
  table_ = &table;
  neighbors_.apply(table, now, give_up_);
}

rte_mbuf* Sender::allocate(std::size_t size) {
  rte_mbuf* packet = rte_pktmbuf_alloc(&pool_);
  if (packet != nullptr && rte_pktmbuf_append(packet, static_cast<std::uint16_t>(size)) != nullptr) {
    return packet;
  }
  rte_pktmbuf_free(packet);
  tally_.drop(DropReason::no_buffer);
  return nullptr;
}

void Sender::send(rte_mbuf* packet, const Egress& egress, Instant now) {
  const NeighborKey key = NeighborKey::of(*table_, egress);
  const MacAddress* mac = neighbors_.find(key, now);
  if (mac == nullptr) {
    if (!neighbors_.park(key, handle_of(packet), now)) drop(packet, DropReason::neighbor_unresolved);
    return;
  }
  if (add_ethernet(packet, key.port, key.vlan, *mac, kEtherIpv4)) enqueue(packet, egress.segment, key.port);
}

void Sender::send(std::span<const std::uint8_t> ip_packet, const Egress& egress, Instant now) {
  rte_mbuf* packet = allocate(ip_packet.size());
  if (packet == nullptr) return;
  std::memcpy(rte_pktmbuf_mtod(packet, std::uint8_t*), ip_packet.data(), ip_packet.size());
  send(packet, egress, now);
}

bool Sender::send_stamped(rte_mbuf* packet, const Egress& egress, Instant now) {
  const NeighborKey key = NeighborKey::of(*table_, egress);
  const MacAddress* mac = neighbors_.find(key, now);
  if (mac == nullptr) {
    drop(packet, DropReason::neighbor_unresolved);
    return false;
  }
  if (!add_ethernet(packet, key.port, key.vlan, *mac, kEtherIpv4)) return false;
  if (!alone_) return enqueue(packet, egress.segment, key.port), true;
  count_sent(packet, egress.segment);
  if (ports_[key.port].transmit({&packet, 1}) == 1) return true;
  tally_.drop(DropReason::tx_failed);
  return false;
}

void Sender::send_arp(std::span<const std::uint8_t> message, std::uint16_t port, std::uint16_t vlan,
                      const MacAddress& destination) {
  rte_mbuf* packet = allocate(message.size());
  if (packet == nullptr) return;
  std::memcpy(rte_pktmbuf_mtod(packet, std::uint8_t*), message.data(), message.size());
  if (add_ethernet(packet, port, vlan, destination, kEtherArp)) {
    enqueue(packet, table_->segment(port, vlan), port);
  }
}

bool Sender::add_ethernet(rte_mbuf* packet, std::uint16_t port, std::uint16_t vlan,
                          const MacAddress& destination, std::uint16_t ether_type) {
  std::array<std::uint8_t, kMaxEthernetHeader> header;
  const std::size_t size = write_ethernet(header, destination, ports_[port].mac(), vlan, ether_type);
  char* start = rte_pktmbuf_prepend(packet, static_cast<std::uint16_t>(size));
  if (start == nullptr) {
    drop(packet, DropReason::no_buffer);
    return false;
  }
  std::memcpy(start, header.data(), size);
  return true;
}

void Sender::enqueue(rte_mbuf* packet, Segment segment, std::uint16_t port) {
  count_sent(packet, segment);
  Queue& queue = queues_[port];
  queue.packets[queue.count++] = packet;
  if (queue.count == kBurst) flush(port);
}

void Sender::count_sent(const rte_mbuf* packet, Segment segment) {
  if (!segment.is_link()) return;
  LinkTraffic& traffic = tally_.links[segment.index];
  ++traffic.tx_packets;
  traffic.tx_octets += packet->pkt_len;
}

void Sender::flush() {
  for (std::size_t port = 0; port < queues_.size(); ++port) {
    if (queues_[port].count != 0) flush(static_cast<std::uint16_t>(port));
  }
}

void Sender::flush(std::uint16_t port) {
  Queue& queue = queues_[port];
  const std::uint16_t sent = ports_[port].transmit(std::span(queue.packets).first(queue.count));
  tally_.drop(DropReason::tx_failed, static_cast<std::uint64_t>(queue.count - sent));
  queue.count = 0;
}

bool Sender::on_arp_reply(const NeighborKey& key, const MacAddress& mac, Instant now) {
  const Segment segment = table_->segment(key.port, key.vlan);
  return neighbors_.on_reply(key, mac, now, [&](NeighborTable::Handle handle, const MacAddress& destination) {
    rte_mbuf* packet = packet_of(handle);
    if (add_ethernet(packet, key.port, key.vlan, destination, kEtherIpv4)) enqueue(packet, segment, key.port);
  });
}

void Sender::run(Instant now) { neighbors_.run(now, ask_, give_up_); }

void Sender::request(const NeighborKey& key) {
  const Segment segment = table_->segment(key.port, key.vlan);
  if (segment.none()) return;
  std::array<std::uint8_t, kArpSize> message;
  build_arp_request(message, ports_[key.port].mac(), table_->address_of(segment), key.address);
  send_arp(message, key.port, key.vlan, kBroadcastMac);
}

void Sender::announce(std::optional<std::uint16_t> port) {
  if (table_ == nullptr) return;
  for (const Announcement& announcement : table_->announcements()) {
    const std::uint16_t out = table_->port_of(announcement.segment);
    if (port && out != *port) continue;
    std::array<std::uint8_t, kArpSize> message;
    build_arp_announcement(message, ports_[out].mac(), announcement.address);
    send_arp(message, out, table_->vlan_of(announcement.segment), kBroadcastMac);
  }
}

void Sender::drop(rte_mbuf* packet, DropReason reason) {
  rte_pktmbuf_free(packet);
  tally_.drop(reason);
}

}  // namespace perigee
