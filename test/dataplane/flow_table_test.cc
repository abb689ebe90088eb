#include "dataplane/flow_table.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <tuple>
#include <vector>

namespace perigee {
namespace {

constexpr HashSeed kSeed = {0x0123456789abcdefU, 0xfedcba9876543210U};

struct Memory {
  explicit Memory(std::uint32_t capacity)
      : count(FlowTable::slots_for(capacity)), entries(new FlowEntry[count]()) {}
  std::span<FlowEntry> span() { return {entries.get(), count}; }
  std::uint32_t count;
  std::unique_ptr<FlowEntry[]> entries;
};

FlowKey key_of(std::uint32_t client, std::uint16_t port = 80, std::uint32_t service = 7) {
  return {client_words(client), service, port};
}

std::uint32_t add(FlowTable& table, const FlowKey& key, std::uint32_t mark = 0) {
  const std::uint32_t slot = table.reserve(table.hash(key));
  if (slot == kNoSlot) return slot;
  FlowEntry& entry = table.entry(slot);
  entry.client = key.client;
  entry.client_port = key.client_port;
  entry.service = key.service;
  entry.endpoint = 1;
  entry.next_to_client = mark;
  table.publish(slot, FlowPhase::established);
  return slot;
}

TEST(FlowTable, FindsWhatIsThereAndNothingElse) {
  Memory memory(100);
  FlowTable table(memory.span(), 100, kSeed);
  const FlowKey key = key_of(0x0a000001);
  EXPECT_EQ(table.find(table.hash(key), key), kNoSlot);
  const std::uint32_t slot = add(table, key);
  EXPECT_EQ(table.find(table.hash(key), key), slot);
  for (const FlowKey& other : {key_of(0x0a000002), key_of(0x0a000001, 81), key_of(0x0a000001, 80, 8)}) {
    EXPECT_EQ(table.find(table.hash(other), other), kNoSlot);
  }
  table.erase(slot);
  EXPECT_EQ(table.find(table.hash(key), key), kNoSlot);
  EXPECT_EQ(table.size(), 0U);
}

TEST(FlowTable, Ipv6ClientsHaveAllTheirBits) {
  Memory memory(100);
  FlowTable table(memory.span(), 100, kSeed);
  const FlowKey one = {client_words(*IpAddress::parse("2001:db8::1")), 7, 80};
  const FlowKey two = {client_words(*IpAddress::parse("2001:db8:1::1")), 7, 80};
  add(table, one);
  EXPECT_EQ(table.find(table.hash(two), two), kNoSlot);
  EXPECT_EQ(client_words(*IpAddress::parse("10.1.2.3")), client_words(0x0a010203U));
}

TEST(FlowTable, TakesItsCapacityAndNoMore) {
  for (const std::uint32_t capacity : {1U, 15U, 16U, 100U, 5000U}) {
    Memory memory(capacity);
    FlowTable table(memory.span(), capacity, kSeed);
    for (std::uint32_t i = 0; i < capacity; ++i) ASSERT_NE(add(table, key_of(i)), kNoSlot);
    EXPECT_TRUE(table.full());
    EXPECT_EQ(add(table, key_of(capacity)), kNoSlot);
    for (std::uint32_t i = 0; i < capacity; ++i) {
      ASSERT_NE(table.find(table.hash(key_of(i)), key_of(i)), kNoSlot);
    }
  }
}

// Random operations beside a std::map; small, so that groups overflow all the time.
TEST(FlowTable, BehavesAsAMap) {
  constexpr std::uint32_t kCapacity = 300;
  Memory memory(kCapacity);
  FlowTable table(memory.span(), kCapacity, kSeed);
  std::map<std::pair<std::uint32_t, std::uint16_t>, std::uint32_t> oracle;
  std::mt19937 random(3);
  for (std::uint32_t round = 0; round < 100'000; ++round) {
    const auto client = static_cast<std::uint32_t>(random() % 400);
    const std::uint16_t port = static_cast<std::uint16_t>(random() % 2);
    const FlowKey key = key_of(client, port);
    const std::uint32_t slot = table.find(table.hash(key), key);
    const auto known = oracle.find({client, port});
    ASSERT_EQ(slot != kNoSlot, known != oracle.end()) << round;
    if (slot != kNoSlot) {
      ASSERT_EQ(table.entry(slot).next_to_client, known->second);
      if (random() % 2 == 0) {
        table.erase(slot);
        oracle.erase(known);
      }
    } else if (add(table, key, round) != kNoSlot) {
      oracle[{client, port}] = round;
    } else {
      ASSERT_EQ(oracle.size(), kCapacity);
    }
    ASSERT_EQ(table.size(), oracle.size());
  }
}

TEST(FlowTable, AnotherProcessFindsTheSame) {
  constexpr std::uint32_t kCapacity = 500;
  Memory memory(kCapacity);
  {
    FlowTable table(memory.span(), kCapacity, kSeed);
    for (std::uint32_t i = 0; i < kCapacity; ++i) add(table, key_of(i), i);
    for (std::uint32_t i = 0; i < kCapacity; i += 3)
      table.erase(table.find(table.hash(key_of(i)), key_of(i)));
  }
  FlowTable next(memory.span(), kCapacity, kSeed);
  std::uint32_t there = 0;
  for (std::uint32_t i = 0; i < kCapacity; ++i) {
    const std::uint32_t slot = next.find(next.hash(key_of(i)), key_of(i));
    ASSERT_EQ(slot == kNoSlot, i % 3 == 0) << i;
    if (slot == kNoSlot) continue;
    ASSERT_EQ(next.entry(slot).next_to_client, i);
    ++there;
    next.erase(slot);  // the counts of what went past must be right, too
  }
  EXPECT_EQ(there, kCapacity - (kCapacity + 2) / 3);
  for (std::uint32_t i = 0; i < kCapacity; ++i) ASSERT_NE(add(next, key_of(i)), kNoSlot);
}

TEST(FlowTable, FreesWhatCannotBeAFlow) {
  Memory memory(10);
  {
    FlowTable table(memory.span(), 10, kSeed);
    table.entry(add(table, key_of(1))).phase.store(static_cast<FlowPhase>(200));
    table.entry(add(table, key_of(2))).endpoint = 0;
    add(table, key_of(3));
    table.unpublish(add(table, key_of(4)));  // killed in the middle of a change
  }
  FlowTable next(memory.span(), 10, kSeed);
  EXPECT_EQ(next.size(), 1U);
  EXPECT_NE(next.find(next.hash(key_of(3)), key_of(3)), kNoSlot);
}

TEST(FlowTable, UsedNamesTheEntries) {
  Memory memory(40);
  FlowTable table(memory.span(), 40, kSeed);
  const std::uint32_t slot = add(table, key_of(9));
  for (std::uint32_t group = 0; group < table.groups(); ++group) {
    const bool here = group == slot / FlowTable::kGroup;
    EXPECT_EQ(table.used(group), here ? 1U << slot % FlowTable::kGroup : 0U);
  }
}

TEST(FlowTable, PrefetchGuessesTheEntry) {
  Memory memory(40);
  FlowTable table(memory.span(), 40, kSeed);
  const FlowKey key = key_of(9);
  EXPECT_EQ(table.prefetch_entry(table.hash(key)), kNoSlot);
  const std::uint32_t slot = add(table, key);
  EXPECT_EQ(table.prefetch_entry(table.hash(key)), slot);
}

TEST(FlowTable, TicksWrap) {
  EXPECT_EQ(flow_ticks(1U << 20U), 1U);
  EXPECT_EQ(flow_ticks(~std::uint64_t{0}), 0x7fffffffU);
  const Instant before{(std::int64_t{1} << 52) - 1};
  EXPECT_EQ(flow_tick(before + Nanos(1)) - flow_tick(before), 1U);
}

}  // namespace
}  // namespace perigee
