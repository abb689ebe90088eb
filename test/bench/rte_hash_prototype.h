// The peer of the fast path bench: the same forwarding as a good engineer would write it on DPDK's own hash
// table. Per direction one rte_hash of 5-tuples, asked in bulk with its prefetches; flows of one cache line;
// per-flow time and highest sequences; the endpoint's first live link; ports in FIFO order per (SNAT address,
// endpoint); weighted rendezvous. Parser, rewrite, rendezvous hash, checksum and RST are ours, so that the
// difference is how a packet finds its flow and how a flow is kept. It knows no drain, reset, failed SYN,
// IPv6, client share, change of table, or restart: it does less than we do, never more.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/packet.h"

struct rte_hash;

namespace perigee::bench {

class RteHashPrototype {
 public:
  static constexpr std::size_t kBurst = 32;

  struct Network {
    std::uint32_t vip = 0;
    std::uint16_t service_port = 0;
    std::array<std::uint32_t, 3> endpoints{};
    std::array<std::uint32_t, 2> next_hops{};  // of the endpoints' links, in order
    std::uint32_t first_snat = 0, snat_addresses = 0;
    std::uint32_t edge_address = 0, edge_mask = 0;
  };
  // `socket`: of the DPDK heap that everything comes from. Throws when it has too little.
  RteHashPrototype(std::uint32_t capacity, const Network& network, int socket);
  ~RteHashPrototype();
  RteHashPrototype(const RteHashPrototype&) = delete;
  RteHashPrototype& operator=(const RteHashPrototype&) = delete;

  enum class Verdict : std::uint8_t { send, refuse, drop };
  struct Out {
    Verdict verdict = Verdict::drop;
    std::uint32_t next_hop = 0;
  };
  // A burst of parsed packets from the edge (reply: from a link); `live`: mask of the links that are up.
  void process(std::span<Packet> burst, std::span<Out> out, bool reply, std::uint32_t live,
               std::int64_t now_ns);

 private:
  struct Key {
    std::uint32_t source, destination;
    std::uint16_t source_port, destination_port;
    std::uint32_t protocol;
  };
  static_assert(sizeof(Key) == 16);
  struct alignas(64) Flow {
    std::uint32_t client, snat;
    std::uint16_t client_port, snat_port;
    std::uint8_t endpoint, flags;
    std::uint32_t next_to_endpoint, next_to_client;
    std::int64_t last_ns;
  };
  static_assert(sizeof(Flow) == 64);
  struct Endpoint {
    std::uint32_t address = 0, next_hop = 0;
    bool reachable = false;
  };
  struct Ports {  // FIFO of the free ports of one (endpoint, SNAT address)
    std::vector<std::uint16_t> ring;
    std::uint32_t head = 0, free = 0;
  };

  void look(std::uint32_t live);
  [[nodiscard]] bool is_service(const Packet& packet) const;
  Out create(Packet& packet, const Key& key, std::int64_t now_ns);
  Out forward(Packet& packet, Flow& flow, std::int64_t now_ns);
  Out back(Packet& packet, Flow& flow, std::int64_t now_ns);

  Network network_;
  rte_hash *clients_, *replies_, *services_;
  Flow* flows_;  // by position in clients_
  std::array<Endpoint, 3> endpoints_{};
  std::vector<Ports> ports_;  // by endpoint * addresses + address
  std::uint32_t live_ = 0;
};

}  // namespace perigee::bench
