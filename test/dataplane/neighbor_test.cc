#include "dataplane/neighbor.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "test/dataplane/lab_table.h"

namespace perigee::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Kind = NeighborEvent::Kind;

class Neighbor : public testing::Test {
 protected:
  void apply(const table::Table& records) {
    serving_table = serving(records);
    neighbors.apply(*serving_table, now, drop);
  }
  // Lets `span` pass as the worker does: run() whenever it is due.
  void pass(Nanos span) {
    const Instant until = now + span;
    while (!neighbors.next_due().never() && neighbors.next_due() <= until) {
      now = std::max(now, neighbors.next_due());
      neighbors.run(now, send, drop);
    }
    now = until;
  }
  bool reply(const NeighborKey& key, const MacAddress& from) {
    return neighbors.on_reply(key, from, now, release);
  }
  std::vector<NeighborEvent> events() {
    std::vector<NeighborEvent> all;
    while (const auto event = neighbors.take_event()) all.push_back(*event);
    return all;
  }
  std::size_t asked(const NeighborKey& key) const {
    return static_cast<std::size_t>(std::count(requests.begin(), requests.end(), key));
  }
  static NeighborKey client(std::uint32_t last) { return {kEdgePort, 0, ip4("198.51.100.0") + last}; }

  Instant now{1'000'000'000'000};
  std::vector<NeighborKey> requests;
  std::vector<std::pair<NeighborTable::Handle, MacAddress>> released;
  std::vector<NeighborTable::Handle> dropped;
  const NeighborTable::SendRequest send = [this](const NeighborKey& key) { requests.push_back(key); };
  const NeighborTable::Release release = [this](NeighborTable::Handle handle, const MacAddress& to) {
    released.emplace_back(handle, to);
  };
  const NeighborTable::Drop drop = [this](NeighborTable::Handle handle) { dropped.push_back(handle); };
  std::unique_ptr<const ServingTable> serving_table;
  NeighborTable neighbors{{.entries = 64,
                           .clients_per_segment = 16,
                           .pending = 24,
                           .parked = 10,
                           .parked_per_entry = 4,
                           .requests_per_run = 8,
                           .events = 8}};
  const NeighborKey mel_a{kLink0Port, 0, ip4("172.31.1.2")}, mel_b{kLink1Port, 20, ip4("172.31.2.2")},
      per{kLink1Port, 30, ip4("172.31.3.2")};
};

TEST_F(Neighbor, AsksForEveryNextHopAtOnceAndBacksOff) {
  apply(lab_table());
  pass(Nanos(0));
  EXPECT_EQ(requests.size(), 3U);
  pass(milliseconds(99));
  EXPECT_EQ(asked(per), 1U);
  pass(milliseconds(1));  // 100 ms
  EXPECT_EQ(asked(per), 2U);
  pass(milliseconds(200));
  EXPECT_EQ(asked(per), 3U);
  pass(milliseconds(2800));  // 400, 800, 1600
  EXPECT_EQ(asked(per), 6U);
  EXPECT_EQ(neighbors.find(per, now), nullptr);
  requests.clear();
  pass(seconds(30));  // a next hop is asked for on and on
  EXPECT_EQ(asked(per), 10U);
}

TEST_F(Neighbor, LearnsOnlyFromAnswersToItsQuestions) {
  apply(lab_table());
  EXPECT_FALSE(reply(mel_a, mac(9)));  // not asked yet
  pass(Nanos(0));
  EXPECT_FALSE(reply(client(10), mac(9)));  // never asked for
  EXPECT_FALSE(reply({kLink0Port, 0, ip4("172.31.1.3")}, mac(9)));
  EXPECT_TRUE(reply(mel_a, mac(7)));
  ASSERT_NE(neighbors.find(mel_a, now), nullptr);
  EXPECT_EQ(*neighbors.find(mel_a, now), mac(7));
  EXPECT_FALSE(reply(mel_a, mac(8)));  // the question is closed
  EXPECT_EQ(*neighbors.find(mel_a, now), mac(7));
  const auto told = events();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].kind, Kind::learned);
  EXPECT_EQ(told[0].key, mel_a);
  EXPECT_EQ(told[0].now, mac(7));
}

TEST_F(Neighbor, ParksPacketsUntilTheAnswer) {
  apply(lab_table());
  EXPECT_EQ(neighbors.find(client(10), now), nullptr);
  EXPECT_TRUE(neighbors.park(client(10), 101, now));
  EXPECT_TRUE(neighbors.park(client(10), 102, now));
  pass(milliseconds(5));
  EXPECT_EQ(asked(client(10)), 1U);
  EXPECT_TRUE(reply(client(10), mac(5)));
  const std::vector<std::pair<NeighborTable::Handle, MacAddress>> expected = {{101, mac(5)}, {102, mac(5)}};
  EXPECT_EQ(released, expected);  // in order
  EXPECT_EQ(*neighbors.find(client(10), now), mac(5));
  EXPECT_TRUE(dropped.empty());
  EXPECT_TRUE(events().empty());  // clients come and go
}

TEST_F(Neighbor, ParkedPacketsWaitNoLongerThanTheirTime) {
  apply(lab_table());
  EXPECT_TRUE(neighbors.park(client(10), 101, now));
  pass(milliseconds(999));
  EXPECT_TRUE(dropped.empty());
  pass(milliseconds(1));
  EXPECT_EQ(dropped, std::vector<NeighborTable::Handle>{101});
  pass(seconds(3));
  EXPECT_EQ(asked(client(10)), 5U);
  EXPECT_EQ(neighbors.size(), 3U);  // the client is forgotten
}

TEST_F(Neighbor, ParkingIsBounded) {
  apply(lab_table());
  for (NeighborTable::Handle i = 0; i < 4; ++i) EXPECT_TRUE(neighbors.park(client(10), i, now));
  EXPECT_FALSE(neighbors.park(client(10), 4, now));  // per entry
  for (NeighborTable::Handle i = 0; i < 4; ++i) EXPECT_TRUE(neighbors.park(client(11), i, now));
  EXPECT_TRUE(neighbors.park(client(12), 8, now));
  EXPECT_TRUE(neighbors.park(client(12), 9, now));
  EXPECT_FALSE(neighbors.park(client(13), 10, now));  // in all
  pass(Nanos(0));
  EXPECT_TRUE(reply(client(11), mac(5)));
  EXPECT_TRUE(neighbors.park(client(13), 10, now));  // room again
  neighbors.drop_all(drop);
  EXPECT_EQ(dropped.size(), 7U);
}

TEST_F(Neighbor, QuestionsAreBounded) {
  apply(lab_table());
  for (std::uint32_t i = 0; i < 8; ++i) EXPECT_TRUE(neighbors.park(client(10 + i), i, now));
  neighbors.run(now, send, drop);
  EXPECT_EQ(requests.size(), 8U);        // in one go
  EXPECT_LE(neighbors.next_due(), now);  // and on at once
  neighbors.run(now, send, drop);
  EXPECT_EQ(requests.size(), 11U);
  EXPECT_GT(neighbors.next_due(), now);
  NeighborTable small({.entries = 64, .pending = 3});
  small.apply(*serving_table, now, drop);  // three next hops
  EXPECT_FALSE(small.park(client(10), 1, now));
}

TEST_F(Neighbor, RefreshesWhileInUseAndSendsToTheOldAddressMeanwhile) {
  apply(lab_table());
  pass(Nanos(0));
  EXPECT_TRUE(reply(mel_a, mac(7)));
  requests.clear();
  now = now + seconds(29);
  EXPECT_NE(neighbors.find(mel_a, now), nullptr);
  pass(Nanos(0));
  EXPECT_EQ(asked(mel_a), 0U);
  now = now + seconds(2);
  EXPECT_EQ(*neighbors.find(mel_a, now), mac(7));
  pass(Nanos(0));
  EXPECT_EQ(asked(mel_a), 1U);
  EXPECT_EQ(*neighbors.find(mel_a, now), mac(7));
  EXPECT_TRUE(reply(mel_a, mac(8)));
  EXPECT_EQ(*neighbors.find(mel_a, now), mac(8));
  const auto told = events();
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[1].kind, Kind::changed);
  EXPECT_EQ(told[1].before, mac(7));
  EXPECT_EQ(told[1].now, mac(8));
}

TEST_F(Neighbor, ANextHopThatFallsSilentIsReportedOnceAndStillUsed) {
  apply(lab_table());
  pass(Nanos(0));
  EXPECT_TRUE(reply(mel_a, mac(7)));
  EXPECT_TRUE(reply(mel_b, mac(7)));
  EXPECT_TRUE(reply(per, mac(7)));
  events();
  now = now + seconds(31);
  EXPECT_NE(neighbors.find(mel_a, now), nullptr);
  pass(seconds(20));
  EXPECT_EQ(*neighbors.find(mel_a, now), mac(7));
  auto told = events();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].kind, Kind::unreachable);
  EXPECT_TRUE(reply(mel_a, mac(7)));
  told = events();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].kind, Kind::learned);
}

TEST_F(Neighbor, AClientThatFallsSilentIsForgotten) {
  apply(lab_table());
  EXPECT_TRUE(neighbors.park(client(10), 1, now));
  pass(Nanos(0));
  EXPECT_TRUE(reply(client(10), mac(5)));
  now = now + seconds(31);
  EXPECT_NE(neighbors.find(client(10), now), nullptr);
  pass(seconds(4));
  EXPECT_EQ(neighbors.find(client(10), now), nullptr);
}

TEST_F(Neighbor, ALongUnusedEntryIsNotBelieved) {
  apply(lab_table());
  EXPECT_TRUE(neighbors.park(client(10), 1, now));
  pass(Nanos(0));
  EXPECT_TRUE(reply(client(10), mac(5)));
  now = now + seconds(601);
  EXPECT_EQ(neighbors.find(client(10), now), nullptr);
  EXPECT_TRUE(neighbors.park(client(10), 2, now));
}

TEST_F(Neighbor, HintsOnlyMakeItAsk) {
  apply(lab_table());
  pass(Nanos(0));
  EXPECT_TRUE(reply(mel_a, mac(7)));
  requests.clear();
  now = now + seconds(1);
  neighbors.on_hint(mel_a, mac(7), now);  // nothing new
  pass(Nanos(0));
  EXPECT_EQ(asked(mel_a), 0U);
  neighbors.on_hint(mel_a, mac(8), now);
  EXPECT_EQ(*neighbors.find(mel_a, now), mac(7));
  pass(Nanos(0));
  EXPECT_EQ(asked(mel_a), 1U);
  for (int i = 0; i < 100; ++i) neighbors.on_hint(mel_a, mac(8), now);  // no lever to make us broadcast
  pass(Nanos(0));
  EXPECT_EQ(asked(mel_a), 1U);
  neighbors.on_hint(client(10), mac(8), now);  // unknown: nothing
  EXPECT_EQ(neighbors.size(), 3U);
  EXPECT_TRUE(reply(mel_a, mac(8)));
  EXPECT_EQ(*neighbors.find(mel_a, now), mac(8));
}

TEST_F(Neighbor, PinsAreNeitherAskedForNorChanged) {
  table::Table records = lab_table();
  records.links[kSydMelA].next_hop_mac = mac(0x55);
  apply(records);
  pass(seconds(60));
  EXPECT_EQ(asked(mel_a), 0U);
  EXPECT_EQ(*neighbors.find(mel_a, now), mac(0x55));
  EXPECT_FALSE(reply(mel_a, mac(8)));
  events();
  neighbors.on_hint(mel_a, mac(8), now);
  neighbors.on_hint(mel_a, mac(9), now);
  EXPECT_EQ(*neighbors.find(mel_a, now), mac(0x55));
  const auto told = events();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].kind, Kind::pin_differs);
  EXPECT_EQ(told[0].now, mac(8));
  apply(lab_table());  // no pin any more: what was told is not kept as learned
  EXPECT_EQ(neighbors.find(mel_a, now), nullptr);
  pass(Nanos(0));
  EXPECT_EQ(asked(mel_a), 1U);
}

TEST_F(Neighbor, ATableSwapKeepsWhatIsStillOurs) {
  apply(lab_table());
  EXPECT_TRUE(neighbors.park(client(10), 1, now));
  pass(Nanos(0));
  EXPECT_TRUE(reply(mel_a, mac(7)));
  EXPECT_TRUE(reply(mel_b, mac(8)));
  EXPECT_TRUE(reply(client(10), mac(5)));
  EXPECT_TRUE(neighbors.park(client(11), 2, now));
  table::Table records = lab_table();
  std::swap(records.links[0], records.links[1]);  // indexes move, neighbours do not
  records.interfaces[kEdge].local = ip("192.0.2.1");
  apply(records);
  EXPECT_EQ(*neighbors.find(mel_a, now), mac(7));
  EXPECT_EQ(*neighbors.find(mel_b, now), mac(8));
  EXPECT_EQ(neighbors.find(client(10), now), nullptr);
  EXPECT_EQ(dropped, std::vector<NeighborTable::Handle>{2});
  EXPECT_EQ(neighbors.size(), 3U);
}

TEST_F(Neighbor, ClientsOfASegmentAreBoundedAndTheUnusedGoFirst) {
  apply(lab_table());
  const auto learn = [&](std::uint32_t last) {
    ASSERT_TRUE(neighbors.park(client(last), last, now)) << last;
    pass(Nanos(0));
    ASSERT_TRUE(reply(client(last), mac(5))) << last;
  };
  for (std::uint32_t i = 1; i <= 16; ++i) learn(10 + i);
  EXPECT_EQ(neighbors.size(), 19U);
  for (std::uint32_t round = 0; round < 40; ++round) {
    for (std::uint32_t i = 1; i <= 8; ++i) ASSERT_NE(neighbors.find(client(10 + i), now), nullptr) << round;
    learn(100 + round);
    EXPECT_EQ(neighbors.size(), 19U);
  }
  EXPECT_EQ(neighbors.find(client(12 + 14), now), nullptr);
}

TEST_F(Neighbor, EventsAreBounded) {
  apply(lab_table());
  pass(Nanos(0));
  EXPECT_TRUE(reply(mel_a, mac(1)));
  for (std::uint8_t i = 2; i < 20; ++i) {
    now = now + seconds(31);
    EXPECT_NE(neighbors.find(mel_a, now), nullptr);
    pass(Nanos(0));
    EXPECT_TRUE(reply(mel_a, mac(i)));
  }
  EXPECT_EQ(events().size(), 8U);
  EXPECT_GT(neighbors.events_lost(), 0U);
}

}  // namespace
}  // namespace perigee::test
