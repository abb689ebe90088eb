// The flows of one worker: a flat table of 64-octet entries that can lie in a file, so that the flows outlive
// the process. Entries hold stable ids and never move; an entry exists from one release store of its control
// word to the next. What makes lookups fast (a tag octet per entry, overflow counts) is private to the
// process and is made anew by a scan.
//
// Sixteen entries make a group. A key lives in its home group or, when that was full, in one of the next
// groups; each group counts how many keys went past it, so a lookup stops where none did and nothing like a
// tombstone is left behind by erase().
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "contract/address.h"
#include "contract/units.h"
#include "dataplane/huge_page_allocator.h"

namespace perigee {

// Time in flows: units of 2^20 ns (about 1.05 ms), modulo 2^32 (52 days). Only differences mean anything.
using FlowTick = std::uint32_t;
[[nodiscard]] inline FlowTick flow_tick(Instant now) {
  return static_cast<FlowTick>(static_cast<std::uint64_t>(now.ns) >> 20U);
}
// A duration in ticks, at most half the range.
[[nodiscard]] inline FlowTick flow_ticks(std::uint64_t ns) {
  const std::uint64_t ticks = ns >> 20U;
  return ticks > 0x7fffffffU ? 0x7fffffffU : static_cast<FlowTick>(ticks);
}

enum class FlowPhase : std::uint8_t {
  free,         // no flow
  opening,      // TCP: SYN forwarded
  answered,     // TCP: SYN-ACK forwarded
  established,  // TCP: the client acknowledged, and what is timed of it (PathTimes) is over
  closing,      // TCP: one side sent FIN, or a RST that is not certain
  closed,       // TCP: both sent FIN, or one an exact RST
  reset,        // TCP: we reset it; its segments are answered by RST
  datagrams,    // UDP
  connected,    // TCP: as established, before the client's first data
  asked,        // TCP: as established, before the endpoint's first data
  count_
};

enum FlowFlag : std::uint8_t { kClientFin = 1, kEndpointFin = 2, kEndpointSeen = 4, kEndpointSpoke = 8 };
inline constexpr std::uint8_t kNotTimed = 0xff;  // FlowEntry::timed_link

struct alignas(64) FlowEntry {
  std::atomic<FlowPhase> phase;  // the control word: stored release when the rest is whole
  std::uint8_t protocol;
  std::uint8_t flags;         // FlowFlag
  std::uint8_t snat_address;  // index into the state file's SNAT addresses
  FlowTick last_seen;
  std::array<std::uint64_t, 2> client;  // octets of an IpAddress as they lie in memory
  std::uint32_t service;                // ServiceId
  std::uint32_t endpoint;               // EndpointId
  std::uint16_t client_port;
  std::uint16_t snat_port;
  std::uint16_t service_hint;  // place in this process's FlowEnds; made anew after a restart
  std::uint16_t endpoint_hint;
  std::uint32_t next_to_endpoint;  // TCP: sequence after the last octet forwarded to the endpoint
  std::uint32_t next_to_client;    // and to the client (once kEndpointSeen)
  FlowTick since;                  // when it was opened, the client's first data, or FlowPhase::reset began
  std::uint8_t repeats;            // SYN retransmissions to this endpoint, or RSTs pushed
  std::uint8_t timed_link;         // over which that left (see PathTimes), or kNotTimed
  std::uint16_t since_fraction;    // of the tick of `since`, in 16 ns
};
static_assert(sizeof(FlowEntry) == 64, "one cache line a flow");
static_assert(std::atomic<FlowPhase>::is_always_lock_free && sizeof(std::atomic<FlowPhase>) == 1);

struct HashSeed {  // secret and random, so that clients cannot choose colliding ports
  std::uint64_t a = 0, b = 0;
  friend bool operator==(const HashSeed&, const HashSeed&) = default;
};

[[nodiscard]] inline std::uint64_t fold_multiply(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
}

[[nodiscard]] inline std::array<std::uint64_t, 2> client_words(const IpAddress& address) {
  return std::bit_cast<std::array<std::uint64_t, 2>>(address.octets);
}
[[nodiscard]] inline std::array<std::uint64_t, 2> client_words(std::uint32_t v4_host_order) {
  return {0, 0xffff0000U | static_cast<std::uint64_t>(__builtin_bswap32(v4_host_order)) << 32U};
}
[[nodiscard]] inline std::uint32_t client_v4(const FlowEntry& entry) {
  return __builtin_bswap32(static_cast<std::uint32_t>(entry.client[1] >> 32U));
}

struct FlowKey {
  std::array<std::uint64_t, 2> client{};  // client_words()
  std::uint32_t service = 0;              // ServiceId: stands for VIP, port and protocol
  std::uint16_t client_port = 0;

  [[nodiscard]] bool of(const FlowEntry& entry) const {
    return entry.client[1] == client[1] && entry.client[0] == client[0] && entry.service == service &&
           entry.client_port == client_port;
  }
  [[nodiscard]] std::uint64_t hash(const HashSeed& seed) const {
    const std::uint64_t address = fold_multiply(client[0] ^ seed.a, client[1] ^ seed.b);
    const std::uint64_t rest = static_cast<std::uint64_t>(service) << 32U | client_port;
    return fold_multiply(address ^ rest, seed.a ^ 0x9e3779b97f4a7c15U);
  }
  static FlowKey of_entry(const FlowEntry& entry) { return {entry.client, entry.service, entry.client_port}; }
};

inline constexpr std::uint32_t kNoSlot = 0xffffffffU;

class FlowTable {
 public:
  static constexpr std::uint32_t kGroup = 16;
  static constexpr std::uint32_t kMaxCapacity = 1U << 26U;  // 4 GiB of entries

  // Entries needed for `capacity` flows: at most 7/8 of them are used, so that runs stay short.
  static std::uint32_t slots_for(std::uint32_t capacity);

  // Takes over what is in `entries` (slots_for(capacity) of them): an entry that cannot be a flow is freed.
  FlowTable(std::span<FlowEntry> entries, std::uint32_t capacity, const HashSeed& seed);

  [[nodiscard]] std::uint64_t hash(const FlowKey& key) const { return key.hash(seed_); }
  [[nodiscard]] std::uint32_t size() const { return size_; }
  [[nodiscard]] bool full() const { return size_ >= capacity_; }
  [[nodiscard]] bool crowded() const { return size_ >= capacity_ / 4 * 3; }
  [[nodiscard]] std::uint32_t groups() const { return groups_; }
  [[nodiscard]] FlowEntry& entry(std::uint32_t slot) { return entries_[slot]; }
  [[nodiscard]] const FlowEntry& entry(std::uint32_t slot) const { return entries_[slot]; }

  [[gnu::always_inline]] void prefetch_group(std::uint64_t hash) const {
    __builtin_prefetch(&tags_[std::size_t{home(hash)} * kGroup]);
  }
  // The first entry of the home group that may be the key's, being fetched; kNoSlot.
  [[nodiscard]] std::uint32_t prefetch_entry(std::uint64_t hash) const {
    return prefetch_first(home(hash), tag_of(hash));
  }
  // For a key that is not there: what find() reads to be sure; with `reserve` the entry it is likely to get.
  [[gnu::always_inline]] void prefetch_absent(std::uint64_t hash, bool reserve) const {
    __builtin_prefetch(&went_past_[home(hash)]);
    if (reserve) (void)prefetch_first(home(hash), 0);
  }

  // Slot of the key's flow or kNoSlot; `hash` is hash(key).
  [[nodiscard]] std::uint32_t find(std::uint64_t hash, const FlowKey& key) const;

  // A slot for a key that is not in the table, or kNoSlot when full. The caller fills the entry in and then
  // calls publish(); no other call in between.
  std::uint32_t reserve(std::uint64_t hash);
  void publish(std::uint32_t slot, FlowPhase phase) {
    entries_[slot].phase.store(phase, std::memory_order_release);
  }
  // Takes the entry out of sight while several of its fields change (never its key); publish() follows.
  void unpublish(std::uint32_t slot) {
    entries_[slot].phase.store(FlowPhase::free, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);  // what a killed process leaves is in program order
  }
  void erase(std::uint32_t slot);

  // Bit i: entry i of the group is in use.
  [[nodiscard]] std::uint32_t used(std::uint32_t group) const;

 private:
  [[nodiscard]] std::uint32_t home(std::uint64_t hash) const {
    return static_cast<std::uint32_t>((hash >> 32U) * groups_ >> 32U);
  }
  [[nodiscard]] std::uint32_t after(std::uint32_t group) const {
    return group + 1 == groups_ ? 0 : group + 1;
  }
  static std::uint8_t tag_of(std::uint64_t hash) { return static_cast<std::uint8_t>(0x80U | (hash & 0x7fU)); }
  // Bit i: entry i of the group has this tag.
  [[nodiscard]] std::uint32_t match(std::uint32_t group, std::uint8_t tag) const {
    const std::uint8_t* tags = &tags_[std::size_t{group} * kGroup];
#if defined(__SSE2__)
    __m128i octets;
    std::memcpy(&octets, tags, sizeof octets);
    const __m128i equal = _mm_cmpeq_epi8(octets, _mm_set1_epi8(static_cast<char>(tag)));
    return static_cast<std::uint32_t>(_mm_movemask_epi8(equal));
#else
    std::uint32_t mask = 0;
    for (std::uint32_t i = 0; i < kGroup; ++i) mask |= static_cast<std::uint32_t>(tags[i] == tag) << i;
    return mask;
#endif
  }
  // Always inlined: g++ 12 takes a function that only prefetches for pure and drops calls whose result is
  // unused.
  [[nodiscard, gnu::always_inline]] std::uint32_t prefetch_first(std::uint32_t group,
                                                                 std::uint8_t tag) const {
    const std::uint32_t mask = match(group, tag);
    if (mask == 0) return kNoSlot;
    const std::uint32_t slot = group * kGroup + static_cast<std::uint32_t>(std::countr_zero(mask));
    __builtin_prefetch(&entries_[slot], 1);
    return slot;
  }
  void rebuild();

  std::span<FlowEntry> entries_;
  std::uint32_t capacity_;
  std::uint32_t groups_;
  HashSeed seed_;
  std::uint32_t size_ = 0;
  // Per entry: 0 free, else 0x80 and 7 bits of the hash.
  std::vector<std::uint8_t, HugePageAllocator<std::uint8_t>> tags_;
  std::vector<std::uint32_t> went_past_;  // per group: keys whose home is before it and whose place is after
};

}  // namespace perigee
