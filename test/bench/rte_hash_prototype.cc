#include "test/bench/rte_hash_prototype.h"

#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_malloc.h>
#include <rte_prefetch.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "contract/rendezvous.h"
#include "dataplane/flow_tcp.h"
#include "dataplane/rewrite.h"

namespace perigee::bench {

namespace {

constexpr std::uint32_t kFirstPort = 1024, kPorts = 65536 - kFirstPort;
constexpr std::uint32_t kWeight = 100;

rte_hash* make_hash(const char* name, std::uint32_t capacity, std::uint32_t key_size, int socket) {
  rte_hash_parameters parameters{};
  parameters.name = name;
  parameters.entries = capacity;
  parameters.key_len = key_size;
  parameters.hash_func = rte_hash_crc;
  parameters.socket_id = socket;
  rte_hash* hash = rte_hash_create(&parameters);
  if (hash == nullptr) throw std::runtime_error("rte_hash_create failed");
  return hash;
}

}  // namespace

RteHashPrototype::RteHashPrototype(std::uint32_t capacity, const Network& network, int socket)
    : network_(network),
      clients_(make_hash("clients", capacity, sizeof(Key), socket)),
      replies_(make_hash("replies", capacity, sizeof(Key), socket)),
      services_(make_hash("services", 64, sizeof(std::uint64_t), socket)),
      flows_(static_cast<Flow*>(
          rte_zmalloc_socket("flows", sizeof(Flow) * (std::size_t{capacity} + 8), 64, socket))),
      ports_(network.endpoints.size() * network.snat_addresses) {
  if (flows_ == nullptr) throw std::runtime_error("no memory for flows");
  const std::uint64_t service = static_cast<std::uint64_t>(network.vip) << 32U |
                                static_cast<std::uint32_t>(network.service_port) << 8U | kTcp;
  if (rte_hash_add_key(services_, &service) < 0) throw std::runtime_error("no room for the service");
  for (std::size_t i = 0; i < endpoints_.size(); ++i) endpoints_[i].address = network.endpoints[i];
  for (Ports& ports : ports_) {
    ports.ring.resize(kPorts);
    std::iota(ports.ring.begin(), ports.ring.end(), static_cast<std::uint16_t>(kFirstPort));
    ports.free = kPorts;
  }
}

RteHashPrototype::~RteHashPrototype() {
  rte_hash_free(clients_);
  rte_hash_free(replies_);
  rte_hash_free(services_);
  rte_free(flows_);
}

// The links changed: each endpoint's first live one (all have the same two, in the same order).
void RteHashPrototype::look(std::uint32_t live) {
  live_ = live;
  for (Endpoint& endpoint : endpoints_) {
    endpoint.reachable = live != 0;
    if (live != 0) endpoint.next_hop = network_.next_hops[static_cast<std::size_t>(__builtin_ctz(live))];
  }
}

bool RteHashPrototype::is_service(const Packet& packet) const {
  const std::uint64_t key = static_cast<std::uint64_t>(packet.destination) << 32U |
                            static_cast<std::uint32_t>(packet.destination_port) << 8U | packet.protocol;
  return rte_hash_lookup(services_, &key) >= 0;
}

RteHashPrototype::Out RteHashPrototype::create(Packet& packet, const Key& key, std::int64_t now_ns) {
  if (!l4_checksum_right(packet)) return {};
  const std::uint64_t order = rendezvous_key(IpAddress::v4(key.source), key.source_port, ServiceId{1});
  std::size_t best = 0;
  RendezvousRank best_rank;
  for (std::uint32_t i = 0; i < endpoints_.size(); ++i) {
    const RendezvousRank rank = rendezvous_rank(order, EndpointId{i + 1}, kWeight);
    if (i == 0 || rank < best_rank) {
      best = i;
      best_rank = rank;
    }
  }
  const Endpoint& endpoint = endpoints_[best];
  if (!endpoint.reachable) return {Verdict::refuse, 0};
  const auto address = static_cast<std::uint32_t>((order >> 32U) * network_.snat_addresses >> 32U);
  Ports& ports = ports_[best * network_.snat_addresses + address];
  if (ports.free == 0) return {Verdict::refuse, 0};

  const std::int32_t at = rte_hash_add_key(clients_, &key);
  if (at < 0) return {Verdict::refuse, 0};
  Flow& flow = flows_[at];
  flow = Flow{key.source,
              network_.first_snat + address,
              key.source_port,
              0,
              static_cast<std::uint8_t>(best),
              0,
              tcp_sequence(packet) + packet.payload_length() + 1,
              0,
              now_ns};
  flow.snat_port = ports.ring[ports.head];
  const Key reply{endpoint.address, flow.snat, network_.service_port, flow.snat_port, kTcp};
  if (rte_hash_add_key_data(replies_, &reply, &flow) < 0) {
    rte_hash_del_key(clients_, &key);
    return {Verdict::refuse, 0};
  }
  ports.head = ports.head + 1 == kPorts ? 0 : ports.head + 1;
  --ports.free;
  rewrite(packet, {flow.snat, endpoint.address, flow.snat_port, network_.service_port});
  return {Verdict::send, endpoint.next_hop};
}

RteHashPrototype::Out RteHashPrototype::forward(Packet& packet, Flow& flow, std::int64_t now_ns) {
  const Endpoint& endpoint = endpoints_[flow.endpoint];
  if (packet.ttl <= 1 || !endpoint.reachable) return {};
  const std::uint32_t end = tcp_sequence(packet) + packet.payload_length();
  if (sequence_after(end, flow.next_to_endpoint)) flow.next_to_endpoint = end;
  if ((packet.tcp_flags & (kSyn | kFin | kRst)) != 0) flow.flags |= packet.tcp_flags;
  flow.last_ns = now_ns;
  rewrite(packet, {flow.snat, endpoint.address, flow.snat_port, network_.service_port});
  return {Verdict::send, endpoint.next_hop};
}

RteHashPrototype::Out RteHashPrototype::back(Packet& packet, Flow& flow, std::int64_t now_ns) {
  if (packet.ttl <= 1) return {};
  const std::uint32_t end = tcp_sequence(packet) + packet.payload_length();
  if (sequence_after(end, flow.next_to_client)) flow.next_to_client = end;
  if ((packet.tcp_flags & (kSyn | kFin | kRst)) != 0) flow.flags |= packet.tcp_flags;
  flow.last_ns = now_ns;
  const std::uint32_t client = flow.client;
  const bool on_link = ((client ^ network_.edge_address) & network_.edge_mask) == 0;
  rewrite(packet, {network_.vip, client, network_.service_port, flow.client_port});
  return {on_link ? Verdict::send : Verdict::drop, client};
}

void RteHashPrototype::process(std::span<Packet> burst, std::span<Out> out, bool reply, std::uint32_t live,
                               std::int64_t now_ns) {
  if (live != live_) look(live);
  std::array<Key, kBurst> keys;
  std::array<const void*, kBurst> pointers;
  std::array<Flow*, kBurst> flows{};
  for (std::size_t i = 0; i < burst.size(); ++i) {
    const Packet& packet = burst[i];
    keys[i] = {packet.source, packet.destination, packet.source_port, packet.destination_port,
               packet.protocol};
    pointers[i] = &keys[i];
  }
  const auto count = static_cast<std::uint32_t>(burst.size());
  if (reply) {
    std::uint64_t hits = 0;
    std::array<void*, kBurst> data;
    rte_hash_lookup_bulk_data(replies_, pointers.data(), count, &hits, data.data());
    for (std::size_t i = 0; i < count; ++i) {
      if ((hits >> i & 1U) != 0) flows[i] = static_cast<Flow*>(data[i]);
    }
  } else {
    std::array<std::int32_t, kBurst> positions;
    rte_hash_lookup_bulk(clients_, pointers.data(), count, positions.data());
    for (std::size_t i = 0; i < count; ++i) {
      if (positions[i] >= 0) flows[i] = &flows_[positions[i]];
    }
  }
  for (std::size_t i = 0; i < count; ++i) rte_prefetch0(flows[i]);
  for (std::size_t i = 0; i < count; ++i) {
    Packet& packet = burst[i];
    if (flows[i] != nullptr) {
      out[i] = reply ? back(packet, *flows[i], now_ns) : forward(packet, *flows[i], now_ns);
    } else if (!reply && !is_service(packet)) {
      out[i] = {};  // not for us: the rest of a router's work
    } else if (!reply && is_first_syn(packet)) {
      out[i] = create(packet, keys[i], now_ns);
    } else {
      out[i] = {Verdict::refuse, 0};
    }
  }
}

}  // namespace perigee::bench
