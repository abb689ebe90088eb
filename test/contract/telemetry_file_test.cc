#include "contract/telemetry_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <thread>

#include "test/contract/run_directory.h"

namespace perigee::telemetry {
namespace {

// Both programs must agree on every offset; a change here is a change of kVersion.
TEST(TelemetryLayout, SizesAndOffsets) {
  EXPECT_EQ(sizeof(Layout), 136640U + 64 + 4096 * 576);
  EXPECT_EQ(offsetof(Layout, workers), 448U);
  EXPECT_EQ(sizeof(WorkerSlot), 448U);
  EXPECT_EQ(offsetof(Layout, ports), 448U + 16 * 448);
  EXPECT_EQ(sizeof(PortSlot), 128U);
  EXPECT_EQ(offsetof(Layout, links), 9664U);
  EXPECT_EQ(sizeof(LinkSlot), 448U);
  EXPECT_EQ(offsetof(LinkSlot, incarnation), 8U);
  EXPECT_EQ(offsetof(LinkSlot, sent), 32U);
  EXPECT_EQ(offsetof(LinkSlot, invalid), 96U);
  EXPECT_EQ(offsetof(LinkSlot, rtt_buckets), 152U);
  EXPECT_EQ(offsetof(LinkSlot, rtt_sum_ns), 320U);
  EXPECT_EQ(offsetof(LinkSlot, window), 360U);
  EXPECT_EQ(offsetof(Layout, endpoints), 9664U + 64 * 448);
  EXPECT_EQ(sizeof(EndpointSlot), 24U);
  EXPECT_EQ(offsetof(Layout, paths), 136640U);
  EXPECT_EQ(offsetof(Paths, slots), 64U);
  EXPECT_EQ(sizeof(PathSlot), 576U);
  EXPECT_EQ(offsetof(PathSlot, link), 4U);
  EXPECT_EQ(offsetof(PathSlot, incarnation), 8U);
  EXPECT_EQ(offsetof(PathSlot, times), 16U);
  EXPECT_EQ(sizeof(FlowTimes), 272U);
  EXPECT_EQ(offsetof(FlowTimes, recent), 16U);
  EXPECT_EQ(offsetof(Header, incarnation), 16U);
  EXPECT_EQ(offsetof(Header, heartbeat_ns), 48U);
  EXPECT_EQ(offsetof(Header, in_force), 56U);
  EXPECT_EQ(offsetof(Header, refused), 96U);
}

class Telemetry : public testing::Test {
 protected:
  Writer create() {
    return std::move(Writer::create(directory_.path(), {2, 4096, {"edge0", "link0"}}).value());
  }
  [[nodiscard]] std::string file() const { return directory_.path() + "/" + kFileName; }

  RunDirectory directory_;
};

TEST_F(Telemetry, GoldenOctetsOfTheHeader) {
  Writer writer = create();
  std::ifstream in(file(), std::ios::binary);
  std::array<char, 24> head{};
  in.read(head.data(), head.size());
  EXPECT_EQ(std::string(head.data(), 8), "PRGTELEM");
  EXPECT_EQ(std::string(head.data() + 8, 4), std::string("\x02\0\0\0", 4));
  EXPECT_EQ(std::string(head.data() + 12, 4), std::string("\x00\x16\x26\0", 4));
  EXPECT_EQ(std::filesystem::file_size(file()), sizeof(Layout));
}

TEST_F(Telemetry, ReadsWhatWasWritten) {
  Writer writer = create();
  Layout& layout = writer.layout();
  layout.header.heartbeat_ns = 5'000'000'000;
  layout.workers[0].flows = 3;
  layout.workers[1].flows = 4;
  layout.workers[2].flows = 99;  // beyond the worker count
  layout.workers[0].poll_gap_max_ns = 70;
  layout.workers[1].poll_gap_max_ns = 60;
  layout.workers[1].drops[static_cast<std::size_t>(DropReason::no_flow)] = 8;
  layout.ports[1].rx_packets = 12;
  layout.ports[1].link_up = 1;
  layout.endpoints[7].id = 77;
  layout.endpoints[7].flows = 5;
  give_out(layout.links[9], LinkId{42}, 1);
  layout.links[9].state = static_cast<std::uint32_t>(LinkState::degraded);
  layout.links[9].rtt_buckets[20] = 6;
  store_window(layout.links[9], {Instant{10}, Nanos(1), Nanos(2), Nanos(3), 4, 5, 6});
  writer.set_in_force({1, 2, 3}, Instant{4});

  Reader reader(directory_.path());
  const auto snapshot = reader.read();
  ASSERT_TRUE(snapshot) << snapshot.error().text();
  EXPECT_EQ(snapshot->pid, static_cast<std::uint32_t>(getpid()));
  EXPECT_EQ(snapshot->flow_capacity, 4096U);
  EXPECT_EQ(snapshot->workers.flows, 7U);
  EXPECT_EQ(snapshot->workers.poll_gap_max_ns, 70U);
  EXPECT_EQ(snapshot->workers.drops[static_cast<std::size_t>(DropReason::no_flow)], 8U);
  ASSERT_EQ(snapshot->ports.size(), 2U);
  EXPECT_EQ(snapshot->ports[1].name, "link0");
  EXPECT_EQ(snapshot->ports[1].rx_packets, 12U);
  EXPECT_TRUE(snapshot->ports[1].link_up);
  ASSERT_EQ(snapshot->endpoints.size(), 1U);
  EXPECT_EQ(snapshot->endpoints[0].id.value, 77U);
  ASSERT_EQ(snapshot->links.size(), 1U);
  const LinkSample* link = snapshot->link(LinkId{42});
  ASSERT_NE(link, nullptr);
  EXPECT_EQ(link->state, LinkState::degraded);
  EXPECT_EQ(link->rtt_buckets[20], 6U);
  ASSERT_TRUE(link->window);
  EXPECT_EQ(link->window->p99, Nanos(3));
  EXPECT_EQ(link->window->settled, 6U);
  ASSERT_TRUE(snapshot->in_force);
  EXPECT_EQ(snapshot->in_force->identity, (table::Identity{1, 2, 3}));
  EXPECT_EQ(snapshot->in_force->at.ns, 4);
  EXPECT_FALSE(snapshot->refused);
  EXPECT_TRUE(snapshot->alive(Instant{5'999'999'999}));
  EXPECT_FALSE(snapshot->alive(Instant{6'000'000'000}));
  EXPECT_FALSE(snapshot->alive(Instant{3'000'000'000})) << "a heartbeat from before this boot";
}

TEST_F(Telemetry, NothingIsKnownAtFirst) {
  Writer writer = create();
  Reader reader(directory_.path());
  const auto snapshot = reader.read();
  ASSERT_TRUE(snapshot);
  EXPECT_FALSE(snapshot->in_force);
  EXPECT_FALSE(snapshot->refused);
  EXPECT_TRUE(snapshot->links.empty());
  EXPECT_FALSE(snapshot->alive(Instant{1}));
}

TEST_F(Telemetry, ARefusalCarriesItsReason) {
  Writer writer = create();
  Reader reader(directory_.path());
  writer.set_refused({1, 2, 3}, "links[0] syd-mel-a: no port link0", Instant{9});
  EXPECT_EQ(reader.read()->refused->reason, "links[0] syd-mel-a: no port link0");
  writer.set_refused({1, 2, 3}, std::string(255, 'x') + "\xc3\xa9", Instant{9});
  EXPECT_EQ(reader.read()->refused->reason, std::string(255, 'x')) << "cut between characters";
  writer.set_refused({1, 2, 3}, std::string(256, 'y'), Instant{9});
  EXPECT_EQ(reader.read()->refused->reason, std::string(256, 'y'));
}

TEST_F(Telemetry, AReusedSlotIsNeverTheOldLink) {
  Writer writer = create();
  LinkSlot& slot = writer.layout().links[0];
  give_out(slot, LinkId{1}, 100);
  slot.sent = 50;
  store_window(slot, {Instant{10}, Nanos(1), Nanos(2), Nanos(3), 4, 5, 6});
  give_out(slot, LinkId{2}, 101);
  Reader reader(directory_.path());
  const auto snapshot = reader.read();
  EXPECT_EQ(snapshot->link(LinkId{1}), nullptr);
  const LinkSample* link = snapshot->link(LinkId{2});
  ASSERT_NE(link, nullptr);
  EXPECT_EQ(link->incarnation, 101U);
  EXPECT_EQ(link->sent, 0U);
  EXPECT_FALSE(link->window);
  give_out(slot, LinkId{}, 102);
  EXPECT_TRUE(reader.read()->links.empty());
}

// One slot is given out again and again under a reader: each incarnation has counters of its own only. The
// writer rests after every 64 until two reads have ended, so that one read of two is not torn however the
// threads are scheduled.
TEST_F(Telemetry, SlotsGivenOutUnderAReaderAreNotMixed) {
  Writer writer = create();
  LinkSlot& slot = writer.layout().links[0];
  std::atomic<bool> stop{false};
  std::atomic<int> reads{0};
  std::thread churn([&] {
    for (std::uint64_t i = 1; !stop; ++i) {
      give_out(slot, LinkId{7}, i);
      slot.sent.store(i, std::memory_order_release);
      slot.rx_octets.store(i, std::memory_order_release);
      for (const int at = reads; i % 64 == 0 && !stop && reads < at + 2;) std::this_thread::yield();
    }
  });
  Reader reader(directory_.path());
  int seen = 0;
  for (; reads < 2000; ++reads) {
    const auto snapshot = reader.read();
    if (!snapshot) break;
    const LinkSample* link = snapshot->link(LinkId{7});
    if (link == nullptr) continue;
    ++seen;
    EXPECT_TRUE(link->sent == 0 || link->sent == link->incarnation);
    EXPECT_TRUE(link->rx_octets == 0 || link->rx_octets == link->incarnation);
  }
  EXPECT_EQ(reads, 2000);
  stop = true;
  churn.join();
  EXPECT_GT(seen, 0);
}

TEST_F(Telemetry, GoldenOctetsOfAPath) {
  Writer writer = create();
  Paths& paths = writer.layout().paths;
  paths.used = 2;
  PathSlot& slot = paths.slots[1];
  give_out(slot, EndpointId{0x0a0b0c0d}, LinkId{0x01020304}, 9);
  slot.times[1].count = 5;
  slot.times[1].sum_ns = 6;
  slot.times[1].recent[0] = recent_time(Instant{3 << 20}, Nanos(64 * 7));
  std::ifstream in(file(), std::ios::binary);
  in.seekg(136640 + 64 + 576);
  std::array<char, 576> octets{};
  in.read(octets.data(), octets.size());
  const auto at = [&](std::size_t offset, std::size_t size) {
    return std::string(octets.data() + offset, size);
  };
  EXPECT_EQ(at(0, 16), std::string("\x0d\x0c\x0b\x0a\x04\x03\x02\x01\x09\0\0\0\0\0\0\0", 16));
  EXPECT_EQ(at(16, 272), std::string(272, '\0'));
  EXPECT_EQ(at(288, 24), std::string("\x05\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0\x07\0\0\0\x03\0\0\0", 24));
}

TEST_F(Telemetry, ReadsThePathsThatAreInUse) {
  Writer writer = create();
  Paths& paths = writer.layout().paths;
  give_out(paths.slots[0], EndpointId{1}, LinkId{}, 1);
  give_out(paths.slots[2], EndpointId{3}, LinkId{4}, 5);
  give_out(paths.slots[3], EndpointId{9}, LinkId{9}, 9);  // beyond those in use
  paths.slots[2].times[0].count = 6;
  paths.slots[2].times[1].sum_ns = 7;
  paths.used = 3;
  Reader reader(directory_.path());
  const auto snapshot = reader.read();
  ASSERT_EQ(snapshot->paths.size(), 2U);
  EXPECT_EQ(snapshot->paths[0].endpoint, EndpointId{1});
  EXPECT_TRUE(snapshot->paths[0].link.none());
  EXPECT_EQ(snapshot->paths[1].link, LinkId{4});
  EXPECT_EQ(snapshot->paths[1].incarnation, 5U);
  EXPECT_EQ(snapshot->paths[1].of(FlowTiming::handshake).count, 6U);
  EXPECT_EQ(snapshot->paths[1].of(FlowTiming::first_byte).sum_ns, 7U);
  give_out(paths.slots[2], EndpointId{3}, LinkId{5}, 6);
  const auto after = reader.read();
  EXPECT_EQ(after->paths[1].link, LinkId{5});
  EXPECT_EQ(after->paths[1].of(FlowTiming::handshake).count, 0U);
  give_out(paths.slots[0], EndpointId{}, LinkId{}, 2);
  EXPECT_EQ(reader.read()->paths.size(), 1U);
  paths.used = kMaxPaths + 1;  // of a writer gone wrong
  EXPECT_EQ(reader.read()->paths.size(), 2U);
}

TEST(TelemetryFlowTimes, RecentOnesAreThoseOfTheWindow) {
  using namespace std::chrono_literals;
  const Instant now{(std::int64_t{1} << 52) + 5'000'000'000};  // the stored time has just gone round
  FlowTimesSample sample;
  sample.recent[0] = recent_time(now - 61s, 1ms);
  sample.recent[1] = recent_time(now - 59s, 2ms);
  sample.recent[2] = recent_time(now - 6s, 3ms);  // before it went round
  sample.recent[3] = recent_time(now, 4ms);
  sample.recent[4] = recent_time(now + 5ms, 5ms);  // read before it was stored
  sample.recent[5] = recent_time(now, 0ns);        // counts, as the least there is
  sample.recent[6] = recent_time(now, 400s);       // as much as there is room for
  std::vector<Nanos> times;
  sample.add_recent(now, times);
  EXPECT_EQ(times, (std::vector<Nanos>{2ms, 3ms, 4ms, 5ms, 64ns, Nanos(0xffffffffLL * 64)}));
}

TEST_F(Telemetry, FollowsANewFile) {
  Reader reader(directory_.path());
  EXPECT_FALSE(reader.read()) << "no data plane yet";
  Writer first = create();
  first.layout().workers[0].sleeps = 1;
  const std::uint64_t incarnation = reader.read()->incarnation;
  EXPECT_EQ(reader.read()->incarnation, incarnation);
  Writer second = create();
  second.layout().workers[0].sleeps = 2;
  first.layout().workers[0].sleeps = 3;  // the old process has not ended yet
  const auto snapshot = reader.read();
  EXPECT_NE(snapshot->incarnation, incarnation);
  EXPECT_EQ(snapshot->workers.sleeps, 2U);
  ASSERT_EQ(unlink(file().c_str()), 0);
  EXPECT_FALSE(reader.read());
  Writer third = create();
  EXPECT_TRUE(reader.read());
  EXPECT_EQ(directory_.entries(), std::vector<std::string>{kFileName});
}

TEST_F(Telemetry, RefusesOtherFiles) {
  Reader reader(directory_.path());
  const auto refused_after = [&](auto change) {
    { Writer writer = create(); }
    EXPECT_TRUE(reader.read());
    { Writer writer = create(); }
    change();
    const auto snapshot = reader.read();
    return snapshot ? std::string("accepted") : snapshot.error().text();
  };
  const auto poke = [&](std::size_t offset, char value) {
    std::fstream out(file(), std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(static_cast<std::streamoff>(offset)).put(value);
  };
  EXPECT_NE(refused_after([&] { poke(0, 'X'); }).find("magic"), std::string::npos);
  EXPECT_NE(refused_after([&] { poke(8, 1); }).find("version 1"), std::string::npos);
  EXPECT_NE(refused_after([&] { poke(12, 1); }).find("size"), std::string::npos);
  EXPECT_NE(refused_after([&] { poke(offsetof(Header, worker_count), 17); }).find("size"), std::string::npos);
  EXPECT_NE(refused_after([&] { poke(offsetof(Header, port_count), 17); }).find("size"), std::string::npos);
  EXPECT_NE(refused_after([&] { std::filesystem::resize_file(file(), 4096); }).find("4096 octets"),
            std::string::npos);
  EXPECT_NE(refused_after([&] { std::filesystem::resize_file(file(), sizeof(Layout) + 1); }).find("at most"),
            std::string::npos);
  EXPECT_NE(refused_after([&] { chmod(file().c_str(), 0666); }).find("writable"), std::string::npos);
  EXPECT_NE(refused_after([&] {
              std::filesystem::rename(file(), file() + ".real");
              std::filesystem::create_symlink(file() + ".real", file());
            }).find("symbolic link"),
            std::string::npos);
}

TEST_F(Telemetry, RefusesShapesBeyondTheLayout) {
  EXPECT_FALSE(Writer::create(directory_.path(), {0, 1, {}}));
  EXPECT_FALSE(Writer::create(directory_.path(), {17, 1, {}}));
  EXPECT_FALSE(Writer::create(directory_.path(), {1, 1, std::vector<std::string>(17, "p")}));
  EXPECT_FALSE(Writer::create(directory_.path() + "/absent", {1, 1, {}}));
}

}  // namespace
}  // namespace perigee::telemetry
