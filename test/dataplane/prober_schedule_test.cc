// When tests leave, from which ports, and what a new table changes.
#include <gtest/gtest.h>

#include "test/dataplane/probe_network.h"

namespace perigee {
namespace {

using namespace std::chrono_literals;
using test::make_link;
using test::Network;

std::vector<Instant> ticks(const Network& network, std::size_t link, std::uint16_t port) {
  std::vector<Instant> times;
  for (const auto& sent : network.sent) {
    if (sent.link == link && sent.port == port) times.push_back(sent.at);
  }
  return times;
}

std::set<std::uint16_t> ports(const Network& network, std::size_t link) {
  std::set<std::uint16_t> used;
  for (const auto& sent : network.sent) {
    if (sent.link == link) used.insert(sent.port);
  }
  return used;
}

TEST(ProberSchedule, NothingIsDueWithoutLinks) {
  Network network{{}};
  EXPECT_EQ(network.prober.next_due(), Prober::kNever);
  network.step();
  EXPECT_TRUE(network.sent.empty());
  EXPECT_EQ(network.prober.view(), LinkView{});
}

TEST(ProberSchedule, IntervalIsPerSourcePortWithTenPercentOfJitter) {
  Network network;
  network.run_for(20s);
  const auto used = ports(network, 0);
  ASSERT_EQ(used.size(), 4U);
  std::set<std::int64_t> gaps;
  for (const std::uint16_t port : used) {
    EXPECT_GE(port, 49152);
    const auto times = ticks(network, 0, port);
    EXPECT_NEAR(static_cast<double>(times.size()), 1000, 2);
    for (std::size_t i = 1; i < times.size(); ++i) {
      const Nanos gap = times[i] - times[i - 1];
      EXPECT_GE(gap, 18ms);
      EXPECT_LE(gap, 22ms);
      gaps.insert(gap.count());
    }
  }
  EXPECT_GT(gaps.size(), 100U);
}

TEST(ProberSchedule, ATickIsOneBurstOfAllPorts) {
  Network network;
  network.run_for(1s);
  for (std::size_t i = 0; i + 3 < network.sent.size(); i += 4) {
    for (std::size_t k = 1; k < 4; ++k) EXPECT_EQ(network.sent[i].at, network.sent[i + k].at);
  }
}

TEST(ProberSchedule, LinksAreStaggered) {
  std::vector<table::Link> links;
  for (std::uint32_t i = 0; i < 4; ++i) links.push_back(make_link(20 + i));
  Network network(links);
  network.run_for(30ms);
  for (std::size_t i = 0; i < 4; ++i) {
    const auto times = ticks(network, i, *ports(network, i).begin());
    const Nanos phase = times.front() - Network::kStart;
    EXPECT_GE(phase, 5ms * static_cast<int>(i));
    EXPECT_LE(phase, 5ms * static_cast<int>(i + 1));
  }
}

TEST(ProberSchedule, SequencesOfAPortGoUpByOne) {
  Network network;
  network.run_for(1s);
  std::map<std::uint16_t, std::uint32_t> next;
  for (const auto& sent : network.sent) {
    const auto known = next.find(sent.port);
    if (known != next.end()) {
      EXPECT_EQ(sent.packet.sequence, known->second);
    }
    next[sent.port] = sent.packet.sequence + 1;
  }
}

TEST(ProberSchedule, PortsAndFirstSequencesAreRandomPerIncarnation) {
  std::set<std::uint16_t> seen_ports;
  std::set<std::uint32_t> sequences;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Network network({make_link(11)}, seed);
    network.run_for(20ms);
    for (std::size_t i = 0; i < 4; ++i) {
      seen_ports.insert(network.sent[i].port);
      sequences.insert(network.sent[i].packet.sequence);
    }
  }
  EXPECT_GT(seen_ports.size(), 70U);
  EXPECT_GT(sequences.size(), 78U);
}

TEST(ProberSchedule, PortsAreDistinctOverAllSessions) {
  std::vector<table::Link> links;
  for (std::uint32_t i = 0; i < table::kMaxLinks; ++i) {
    links.push_back(make_link(100 + i));
    links.back().probe_ports = table::kMaxProbePorts;
  }
  Network network(links);
  network.run_for(25ms);
  std::map<std::uint16_t, std::size_t> owner;
  for (const auto& sent : network.sent) {
    const auto [at, fresh] = owner.emplace(sent.port, sent.link);
    EXPECT_TRUE(fresh || at->second == sent.link);
    EXPECT_TRUE(network.prober.owns(sent.link, sent.port));
  }
  EXPECT_EQ(owner.size(), 1024U);
  EXPECT_FALSE(network.prober.owns(0, 862));
  EXPECT_FALSE(network.prober.owns(64, owner.begin()->first));
}

TEST(ProberSchedule, MissedTicksAreNotMadeUpFor) {
  Network network;
  network.run_for(1s);
  const std::size_t before = network.sent.size();
  network.stall(10s);
  network.run_for(1s);
  EXPECT_LE(network.sent.size() - before, 4U * 52);
  EXPECT_GE(network.sent.size() - before, 4U * 49);
}

TEST(ProberSchedule, TheTimeTheSenderTellsIsT1) {
  Network network;
  while (network.prober.next_due() > network.now) network.now = network.prober.next_due(), network.step();
  std::vector<Network::Sent> sent;
  network.now = network.now + 20ms;
  network.prober.run(network.now, [&](const Probe& probe) -> std::optional<Instant> {
    const Instant left = network.now + 300us;
    sent.push_back({probe.link, probe.source_port, stamp::decode_test(probe.payload).value(), left});
    return left;
  });
  ASSERT_EQ(sent.size(), 4U);
  network.deliver(network.answer(sent[0], 5ms).finish());
  EXPECT_EQ(network.slot().rtt_sum_ns.load(), 5'000'000U);
}

TEST(ProberSchedule, WhatCouldNotBeSentWasNeverMade) {
  Network network;
  network.now = network.now + 1s;
  std::vector<std::uint32_t> sequences;
  const auto fail = [&](const Probe& probe) -> std::optional<Instant> {
    sequences.push_back(stamp::decode_test(probe.payload)->sequence);
    return std::nullopt;
  };
  network.prober.run(network.now, fail);
  network.now = network.now + 1s;
  network.prober.run(network.now, fail);
  ASSERT_EQ(sequences.size(), 8U);
  EXPECT_EQ(sequences[0], sequences[4]);
  network.now = network.now + 5s;
  network.prober.judge(network.now, std::array{network.now});
  EXPECT_EQ(network.slot().sent.load(), 0U);
  EXPECT_EQ(network.slot().lost.load(), 0U);
}

TEST(ProberTable, UnchangedLinksKeepTheirSessionsChangedOnesDoNot) {
  Network network({make_link(11), make_link(12, 3)});
  network.run_for(2s);
  const auto ports_a = ports(network, 0);
  const auto ports_b = ports(network, 1);
  const std::uint64_t sent_b = network.slot(1).sent.load();
  const std::uint64_t lost_before = network.slot(1).lost.load();
  ASSERT_EQ(network.state(1), telemetry::LinkState::up);

  table::Link changed = make_link(11);
  changed.rtt_floor_ns = 5;
  network.sent.clear();
  network.lost = [](const Network::Sent&) { return true; };
  network.swap({make_link(12, 3), changed, make_link(13, 4)});
  EXPECT_EQ(network.state(0), telemetry::LinkState::up);
  EXPECT_EQ(network.state(1), telemetry::LinkState::unknown);
  EXPECT_EQ(network.prober.view(), (LinkView{.up = 1, .unknown = 6}));
  network.run_for(25ms);
  EXPECT_EQ(ports(network, 0), ports_b);
  EXPECT_NE(ports(network, 1), ports_a);
  EXPECT_GT(network.slot(0).sent.load(), sent_b);
  EXPECT_LE(network.slot(1).sent.load(), 8U);
  EXPECT_EQ(network.slot(0).lost.load(), lost_before);
  std::set<std::uint16_t> all;
  for (std::size_t i = 0; i < 3; ++i) all.merge(ports(network, i));
  EXPECT_EQ(all.size(), 12U);
}

TEST(ProberTable, ASwapAloneIsNoStallAndNoEvent) {
  Network network;
  network.run_for(2s);
  const std::uint64_t transitions = network.slot().transitions.load();
  for (int i = 0; i < 100; ++i) {
    network.swap({make_link(11)});
    network.run_for(30ms);
  }
  EXPECT_EQ(network.slot().transitions.load(), transitions);
  EXPECT_EQ(network.slot().lost.load(), 0U);
  EXPECT_NEAR(static_cast<double>(network.slot().sent.load()), 4 * 250, 8);
}

TEST(ProberTable, AllLinksMayGo) {
  Network network;
  network.run_for(1s);
  telemetry::LinkSlot& slot = network.slot();
  network.swap({});
  EXPECT_EQ(slot.id.load(), 0U);
  EXPECT_EQ(network.prober.next_due(), Prober::kNever);
  EXPECT_EQ(network.prober.view().usable(), 0U);
}

}  // namespace
}  // namespace perigee
