// Neighbours: the MAC address of every next hop and on-link client, per (port, VLAN). An entry comes only
// from a reply to a request of ours. One worker owns the table; it never allocates after construction.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "contract/address.h"
#include "contract/units.h"
#include "dataplane/egress.h"
#include "dataplane/serving_table.h"

namespace perigee {

// Where a neighbour is: by port and VLAN, not by table index, so that a table swap keeps what is known.
struct NeighborKey {
  std::uint16_t port = 0;
  std::uint16_t vlan = 0;
  std::uint32_t address = 0;  // host order

  static NeighborKey of(const ServingTable& table, const Egress& egress) {
    return {table.port_of(egress.segment), table.vlan_of(egress.segment), egress.next_hop};
  }
  friend bool operator==(const NeighborKey&, const NeighborKey&) = default;
};

struct NeighborEvent {
  enum class Kind : std::uint8_t {
    learned,      // a next hop answered for the first time, or again; for clients this is not an event
    changed,      // another MAC address than before answered
    unreachable,  // a next hop stopped answering; for clients this is not an event
    pin_differs   // someone announces a pinned address with another MAC address; ignored
  };
  Kind kind = Kind::learned;
  NeighborKey key;
  MacAddress before, now;  // none where there is none
};

struct NeighborLimits {
  std::uint32_t entries = 16384;  // four full interfaces; 1 MiB
  std::uint32_t clients_per_segment = 4096;
  std::uint32_t pending = 1024;         // entries being asked for: each costs a broadcast
  std::uint32_t parked = 512;           // packets in all awaiting a reply: buffers taken from the ports
  std::uint32_t parked_per_entry = 8;   // a few segments of one connection's start
  std::uint32_t requests_per_run = 32;  // broadcasts in one go
  std::uint32_t events = 64;            // not yet taken; more are counted and lost
};

class NeighborTable {
 public:
  using Handle = std::uintptr_t;  // a parked packet; the worker's own, only handed back
  // Sends an ARP request for key.address out of key.port, key.vlan.
  using SendRequest = std::function<void(const NeighborKey&)>;
  // The packet can go now, to this MAC address.
  using Release = std::function<void(Handle, const MacAddress&)>;
  // The packet is given back to be dropped as neighbor_unresolved.
  using Drop = std::function<void(Handle)>;

  static constexpr Nanos kFirstRetry = std::chrono::milliseconds(100);  // doubles up to kLastRetry
  static constexpr Nanos kLastRetry = std::chrono::seconds(3);
  // 3.1 s of asking. Then a client is forgotten; a next hop is asked for on and on, and what it last answered
  // stays in use: whether a link works is for its probes to say.
  static constexpr std::uint8_t kTries = 5;
  static constexpr Nanos kParkedFor = std::chrono::seconds(1);      // a packet waits no longer
  static constexpr Nanos kRefreshAfter = std::chrono::seconds(30);  // asked for again while in use
  static constexpr Nanos kForgetAfter = std::chrono::minutes(10);   // not used: resolved anew, not believed

  explicit NeighborTable(const NeighborLimits& limits = {});

  // A table came into force: next hops of links and gateways of interfaces are kept resolved, pins set, and
  // entries of segments or addresses that are no longer ours forgotten (their packets go to `drop`).
  void apply(const ServingTable& table, Instant now, const Drop& drop);

  // The MAC address to send to, or null: park the packet. Marks the entry as used; an old entry is still
  // answered while it is asked for again. The pointer is good until the next call.
  [[nodiscard]] const MacAddress* find(const NeighborKey& key, Instant now);

  // Keeps a packet until its neighbour answers, and starts asking. False: no room, drop it as
  // neighbor_unresolved.
  [[nodiscard]] bool park(const NeighborKey& key, Handle packet, Instant now);

  // A reply to us that judge_arp() called `learn`. False: we did not ask (arp_not_ours).
  bool on_reply(const NeighborKey& key, const MacAddress& mac, Instant now, const Release& release);
  // An unasked announcement (judge_arp() called it `hint`). Nothing is learned; a known entry with another
  // MAC address is asked for again at once.
  void on_hint(const NeighborKey& key, const MacAddress& mac, Instant now);

  // Sends the requests that are due and gives back packets that waited too long. Call when next_due() is
  // past.
  void run(Instant now, const SendRequest& send, const Drop& drop);
  // The earliest time run() has something to do; never() when it has not.
  [[nodiscard]] Instant next_due() const { return next_due_; }

  // Gives every parked packet back; for shutdown.
  void drop_all(const Drop& drop);

  [[nodiscard]] std::optional<NeighborEvent> take_event();
  [[nodiscard]] std::uint64_t events_lost() const { return events_lost_; }
  [[nodiscard]] std::uint32_t size() const { return used_; }

 private:
  // Fixed-size records linked by index.
  struct Entry {
    NeighborKey key;
    std::uint32_t next = table::kNone;  // in its hash chain, or in the free list
    std::uint32_t parked_first = table::kNone, parked_last = table::kNone;
    std::uint32_t pending_at = table::kNone;  // place in pending_ while being asked for
    std::uint16_t parked = 0;
    MacAddress mac;
    std::uint8_t tries = 0;  // requests since the last answer
    bool in_use = false;
    bool permanent = false;  // a next hop of the table
    bool pinned = false;
    bool referenced = false;  // found since the eviction hand last passed
    bool reported = false;    // unreachable, or pin_differs, was reported
    Instant confirmed;        // last answer
    Instant used;
    Instant asked;       // last request
    Instant ask_at;      // of the next request, while pending
    Instant give_up_at;  // for parked packets

    [[nodiscard]] bool pending() const { return pending_at != table::kNone; }
  };
  struct Parked {
    Handle handle = 0;
    std::uint32_t next = table::kNone;
  };
  struct SegmentCount {
    std::uint16_t port = 0, vlan = 0;
    std::uint32_t entries = 0;
  };

  [[nodiscard]] std::uint32_t& bucket(const NeighborKey& key);
  [[nodiscard]] std::uint32_t lookup(const NeighborKey& key);
  [[nodiscard]] SegmentCount& count_of(const NeighborKey& key);
  std::uint32_t add(const NeighborKey& key, bool permanent);
  bool evict(const NeighborKey& key, bool same_segment);
  void remove(std::uint32_t index, const Drop& drop);
  void keep_resolved(const NeighborKey& key, const MacAddress& pin, Instant now, const Drop& drop);
  bool ask(std::uint32_t index, Instant now);
  void settle(Entry& entry);
  // True: the request was sent, or must wait; false: the entry was given up.
  bool try_again(std::uint32_t index, Instant now, std::uint32_t& budget, const SendRequest& send,
                 const Drop& drop);
  void due(Instant at);
  Handle unpark(Entry& entry);
  void drop_parked(Entry& entry, const Drop& drop);
  void report(NeighborEvent::Kind kind, const Entry& entry, const MacAddress& before, const MacAddress& now);

  NeighborLimits limits_;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> buckets_;
  std::vector<Parked> parked_;
  std::vector<std::uint32_t> pending_;  // indexes of entries
  std::vector<SegmentCount> counts_;
  std::vector<NeighborEvent> events_;  // a ring
  std::uint32_t free_entry_ = 0, free_parked_ = 0;
  std::uint32_t used_ = 0, hand_ = 0, events_first_ = 0, events_count_ = 0;
  std::uint64_t events_lost_ = 0;
  Instant next_due_;
};

}  // namespace perigee
