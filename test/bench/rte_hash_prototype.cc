#include "test/bench/rte_hash_prototype.h"

#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_jhash.h>
#include <rte_malloc.h>
#include <rte_prefetch.h>

#include <stdexcept>
#include <vector>

#include "dataplane/checksum.h"
#include "dataplane/octets.h"
#include "test/bench/fastpath_frames.h"

namespace perigee::bench {

struct RteHashPrototype::Tables {
  rte_hash* clients = nullptr;
  rte_hash* replies = nullptr;
  Flow* flows = nullptr;                  // by position in `clients`
  std::vector<std::uint32_t> reply_flow;  // position in `replies` -> position in `clients`
  std::vector<std::uint64_t> free_ports;  // (endpoint index << 16 | port)
};

namespace {

rte_hash* make_hash(const char* name, std::uint32_t capacity, std::uint32_t key_size) {
  rte_hash_parameters parameters{};
  parameters.name = name;
  parameters.entries = capacity;
  parameters.key_len = key_size;
  parameters.hash_func = rte_hash_crc;
  parameters.extra_flag =
      RTE_HASH_EXTRA_FLAGS_EXT_TABLE;  // without it an add fails at half the capacity here
  rte_hash* hash = rte_hash_create(&parameters);
  if (hash == nullptr) throw std::runtime_error("rte_hash_create failed");
  return hash;
}

}  // namespace

RteHashPrototype::RteHashPrototype(std::uint32_t capacity, std::uint32_t vip, std::uint32_t snat,
                                   std::array<std::uint32_t, 3> endpoints)
    : vip_(vip), snat_(snat), endpoints_(endpoints), tables_(std::make_unique<Tables>()) {
  tables_->clients = make_hash("clients", capacity, sizeof(Key));
  tables_->replies = make_hash("replies", capacity, sizeof(Key));
  tables_->flows = static_cast<Flow*>(rte_zmalloc("flows", sizeof(Flow) * (std::size_t{capacity} + 8), 64));
  if (tables_->flows == nullptr) throw std::runtime_error("no memory for flows");
  tables_->reply_flow.resize(std::size_t{capacity} + 8);
}

RteHashPrototype::~RteHashPrototype() {
  rte_hash_free(tables_->clients);
  rte_hash_free(tables_->replies);
  rte_free(tables_->flows);
}

RteHashPrototype::Flow* RteHashPrototype::create(const Packet& packet, const Key& key) {
  const std::int32_t at = rte_hash_add_key(tables_->clients, &key);
  if (at < 0) return nullptr;
  Flow& flow = tables_->flows[at];
  const std::uint32_t hash = rte_hash_crc(&key, sizeof(key), 1);
  flow = Flow{};
  flow.client = key;
  flow.endpoint = endpoints_[hash % endpoints_.size()];
  flow.endpoint_port = packet.destination_port;
  // A SNAT port is looked for until its reply key is free, as a first version would.
  for (std::uint32_t tries = 0; tries < 16; ++tries) {
    const std::uint32_t pick = rte_jhash(&key, sizeof(key), 2 + tries);
    flow.snat = snat_ + (pick >> 16U) % kSnatAddresses;
    flow.snat_port = static_cast<std::uint16_t>(1024 + (pick & 0xffffU) % 64512);
    const Key reply{flow.endpoint, flow.snat, flow.endpoint_port, flow.snat_port, kTcp};
    if (rte_hash_lookup(tables_->replies, &reply) >= 0) continue;
    const std::int32_t reply_at = rte_hash_add_key(tables_->replies, &reply);
    if (reply_at < 0) return nullptr;
    tables_->reply_flow[static_cast<std::size_t>(reply_at)] = static_cast<std::uint32_t>(at);
    return &flow;
  }
  return nullptr;
}

void RteHashPrototype::rewrite(Packet& packet, Flow& flow, bool reply, std::int64_t now_ns) {
  const std::uint32_t source = reply ? vip_ : flow.snat;
  const std::uint32_t destination = reply ? flow.client.source : flow.endpoint;
  const std::uint16_t source_port = reply ? flow.client.destination_port : flow.snat_port;
  const std::uint16_t destination_port = reply ? flow.client.source_port : flow.endpoint_port;
  std::uint8_t* ip = packet.ip();
  std::uint8_t* tcp = packet.transport();

  ChecksumDelta addresses;
  addresses.address(packet.source, source);
  addresses.address(packet.destination, destination);
  ChecksumDelta l4 = addresses;
  l4.word(packet.source_port, source_port);
  l4.word(packet.destination_port, destination_port);
  addresses.word(static_cast<std::uint16_t>(packet.ttl << 8U | packet.protocol),
                 static_cast<std::uint16_t>((packet.ttl - 1) << 8U | packet.protocol));
  store_be32(ip + 12, source);
  store_be32(ip + 16, destination);
  ip[8] = static_cast<std::uint8_t>(packet.ttl - 1);
  store_be16(ip + 10, addresses.apply(load_be16(ip + 10)));
  store_be16(tcp, source_port);
  store_be16(tcp + 2, destination_port);
  store_be16(tcp + 16, l4.apply(load_be16(tcp + 16)));

  (reply ? flow.reply_sequence : flow.sequence) = load_be32(tcp + 4);
  flow.last_ns = now_ns;
  flow.packets += 1;
  flow.octets += packet.ip_total_length;
}

std::size_t RteHashPrototype::process(std::span<Packet> burst, bool reply, std::int64_t now_ns) {
  std::array<Key, kBurst> keys;
  std::array<const void*, kBurst> pointers;
  std::array<std::int32_t, kBurst> positions;
  for (std::size_t i = 0; i < burst.size(); ++i) {
    const Packet& packet = burst[i];
    keys[i] = {packet.source, packet.destination, packet.source_port, packet.destination_port,
               packet.protocol};
    pointers[i] = &keys[i];
  }
  rte_hash_lookup_bulk(reply ? tables_->replies : tables_->clients, pointers.data(),
                       static_cast<std::uint32_t>(burst.size()), positions.data());
  for (std::size_t i = 0; i < burst.size(); ++i) {
    if (positions[i] < 0) continue;
    if (reply)
      positions[i] = static_cast<std::int32_t>(tables_->reply_flow[static_cast<std::size_t>(positions[i])]);
    rte_prefetch0(&tables_->flows[positions[i]]);
  }
  std::size_t sent = 0;
  for (std::size_t i = 0; i < burst.size(); ++i) {
    Flow* flow = positions[i] >= 0 ? &tables_->flows[positions[i]] : nullptr;
    if (flow == nullptr && !reply && (burst[i].tcp_flags & kSyn) != 0) flow = create(burst[i], keys[i]);
    if (flow == nullptr) continue;
    rewrite(burst[i], *flow, reply, now_ns);
    ++sent;
  }
  return sent;
}

}  // namespace perigee::bench
