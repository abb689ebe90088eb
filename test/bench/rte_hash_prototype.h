// The peer of the fast path bench: what one would write first, with DPDK's own hash table. It parses with our
// parser and does the same rewrite; it checks less and knows no failover, drain, reset or restart.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/packet.h"

namespace perigee::bench {

class RteHashPrototype {
 public:
  RteHashPrototype(std::uint32_t capacity, std::uint32_t vip, std::uint32_t snat,
                   std::array<std::uint32_t, 3> endpoints);
  ~RteHashPrototype();

  static constexpr std::size_t kBurst = 32;
  // Rewrites a burst of parsed packets of one direction; returns how many were sent on. A packet of no flow
  // makes one when it is a SYN.
  std::size_t process(std::span<Packet> burst, bool reply, std::int64_t now_ns);

 private:
  struct Key {
    std::uint32_t source, destination;
    std::uint16_t source_port, destination_port;
    std::uint32_t protocol;
  };
  static_assert(sizeof(Key) == 16);
  struct alignas(64) Flow {
    Key client;
    std::uint32_t endpoint = 0;
    std::uint16_t endpoint_port = 0, snat_port = 0;
    std::int64_t last_ns = 0;
    std::uint64_t packets = 0, octets = 0;
    std::uint32_t sequence = 0, reply_sequence = 0;
    std::uint32_t snat = 0;
  };
  static_assert(sizeof(Flow) == 64);
  struct Tables;

  Flow* create(const Packet& packet, const Key& key);
  void rewrite(Packet& packet, Flow& flow, bool reply, std::int64_t now_ns);

  std::uint32_t vip_, snat_;
  std::array<std::uint32_t, 3> endpoints_;
  std::unique_ptr<Tables> tables_;
};

}  // namespace perigee::bench
