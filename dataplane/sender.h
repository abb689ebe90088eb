// The way out: neighbour, Ethernet header, VLAN tag, transmit queue. One worker's.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/egress.h"
#include "dataplane/neighbor.h"
#include "dataplane/port.h"
#include "dataplane/serving_table.h"
#include "dataplane/tally.h"

namespace perigee {

class Sender {
 public:
  // All outlive this; `tally` is the worker's.
  // `alone`: stamped packets leave one by one.
  Sender(std::span<Port> ports, rte_mempool& pool, Tally& tally, bool alone);
  ~Sender();
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  // Serves `table` from now on.
  void adopt(const ServingTable& table, Instant now);

  // A buffer for a packet of our own with `size` octets; null (and counted): none is left.
  rte_mbuf* allocate(std::size_t size);

  // `packet` begins with its IP header and is ours from now on. It waits for its neighbour, goes to the
  // port's queue, or ends as a counted drop.
  void send(rte_mbuf* packet, const Egress& egress, Instant now);
  // A whole IPv4 packet of our own, copied.
  void send(std::span<const std::uint8_t> ip_packet, const Egress& egress, Instant now);
  // A packet with the time of its departure in it, so it waits for nothing but the next flush(); false: its
  // neighbour is not known, or the device did not take it, as is counted. A sender with `alone` calls the
  // device for each, and its time is exact; otherwise the packets of a burst share the call, which for a
  // software port is most of their cost, and each leaves after the one before: by microseconds there.
  bool send_stamped(rte_mbuf* packet, const Egress& egress, Instant now);
  // An ARP message to `destination` on a segment; `message` is what arp.h built.
  void send_arp(std::span<const std::uint8_t> message, std::uint16_t port, std::uint16_t vlan,
                const MacAddress& destination);

  // Hands the ports what is queued.
  void flush();
  void flush(std::uint16_t port);

  // A neighbour answered; what waited for it leaves. False: it was not asked.
  bool on_arp_reply(const NeighborKey& key, const MacAddress& mac, Instant now);
  // ARP requests that are due, packets that waited too long. Call when next_due() is past.
  void run(Instant now);
  [[nodiscard]] Instant next_due() const { return neighbors_.next_due(); }
  [[nodiscard]] NeighborTable& neighbors() { return neighbors_; }

  // A gratuitous ARP for every address announced on `port`, or on all ports.
  void announce(std::optional<std::uint16_t> port);

 private:
  struct Queue {
    std::array<rte_mbuf*, kBurst> packets{};
    std::uint16_t count = 0;
  };

  bool add_ethernet(rte_mbuf* packet, std::uint16_t port, std::uint16_t vlan, const MacAddress& destination,
                    std::uint16_t ether_type);
  void enqueue(rte_mbuf* packet, Segment segment, std::uint16_t port);
  void count_sent(const rte_mbuf* packet, Segment segment);
  void drop(rte_mbuf* packet, DropReason reason);
  void request(const NeighborKey& key);

  std::span<Port> ports_;
  rte_mempool& pool_;
  Tally& tally_;
  const ServingTable* table_ = nullptr;
  NeighborTable neighbors_;
  NeighborTable::Drop give_up_;  // a packet's neighbour did not answer
  NeighborTable::SendRequest ask_;
  std::vector<Queue> queues_;
  bool alone_;
};

}  // namespace perigee
