// What follows from replies and from silence, over a simulated path.
#include <gtest/gtest.h>

#include "contract/telemetry_file.h"
#include "test/dataplane/probe_network.h"

namespace perigee {
namespace {

using namespace std::chrono_literals;
using telemetry::LinkState;
using test::make_link;
using test::Network;

constexpr Nanos kDetection = 60ms;  // 3 x 20 ms

void cut(Network& network) {
  network.lost = [](const Network::Sent&) { return true; };
}
void restore(Network& network) {
  network.lost = [](const Network::Sent&) { return false; };
}

TEST(ProberState, UnknownThenUp) {
  Network network;
  EXPECT_EQ(network.prober.view(), (LinkView{.up = 0, .unknown = 1}));
  network.run_for(50ms);
  EXPECT_EQ(network.state(), LinkState::unknown);
  EXPECT_EQ(network.slot().state.load(), 0U);
  network.run_for(40ms);
  EXPECT_EQ(network.state(), LinkState::up);
  EXPECT_EQ(network.prober.view(), (LinkView{.up = 1, .unknown = 0}));
  EXPECT_EQ(network.slot().state.load(), static_cast<std::uint32_t>(LinkState::up));
  EXPECT_EQ(network.slot().transitions.load(), 1U);
  EXPECT_GT(network.slot().state_since_ns.load(), Network::kStart.ns);
}

TEST(ProberState, ASilentCutIsSeenWithinTheDetectionTime) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Network network({make_link(11)}, seed);
    network.run_for(1s + std::chrono::milliseconds(seed));
    const Instant at = network.now;
    cut(network);
    while (network.state() == LinkState::up && network.now - at < 1s) network.run_for(1ms);
    // The last reply may have been on its way, 5 ms; nothing else is added.
    EXPECT_LE(network.now - at, kDetection + 6ms);
    EXPECT_GE(network.now - at, kDetection - 22ms);
    EXPECT_EQ(network.prober.view().usable(), 0U);
  }
}

TEST(ProberState, NothingIsJudgedBeforeTheRingsAreDrained) {
  Network network;
  network.run_for(1s);
  cut(network);
  network.drained = false;
  network.run_for(1s);
  EXPECT_EQ(network.state(), LinkState::up);
  EXPECT_EQ(network.slot().lost.load(), 0U);
  network.drained = true;
  network.run_for(1ms);
  EXPECT_EQ(network.state(), LinkState::down);
}

TEST(ProberState, AStallOfOurLoopIsNoVerdict) {
  for (const Nanos stall : {Nanos(40ms), Nanos(61ms), Nanos(500ms), Nanos(5s)}) {
    Network network;
    network.run_for(1s);
    for (int i = 0; i < 20; ++i) {
      network.stall(stall);
      network.run_for(30ms);
    }
    EXPECT_EQ(network.state(), LinkState::up);
    EXPECT_EQ(network.slot().transitions.load(), 1U) << stall.count();
    // A cut is still seen, a detection time after a reply could have come.
    cut(network);
    network.stall(stall);
    network.run_for(network.delay + kDetection - 1ms);
    EXPECT_EQ(network.state(), LinkState::up);
    network.run_for(1ms);
    EXPECT_EQ(network.state(), LinkState::down);
  }
}

TEST(ProberState, OneOfFourPathsSilentIsDegraded) {
  Network network;
  network.run_for(1s);
  const std::uint16_t bad = network.sent[2].port;
  network.lost = [bad](const Network::Sent& sent) { return sent.port == bad; };
  network.run_for(1s);
  EXPECT_EQ(network.state(), LinkState::degraded);
  EXPECT_EQ(network.prober.view(), (LinkView{.up = 1, .unknown = 0}));
  network.run_for(5s);
  const double ratio =
      static_cast<double>(network.slot().lost.load()) / static_cast<double>(network.slot().sent.load());
  EXPECT_NEAR(ratio, 0.25 * 5 / 7, 0.02);
  restore(network);
  network.run_for(30ms);
  EXPECT_EQ(network.state(), LinkState::up);
}

TEST(ProberState, ComesBackAfterTenGoodOnesAndTheHoldOff) {
  Network network;
  network.run_for(1s);
  cut(network);
  network.run_for(2s);
  ASSERT_EQ(network.state(), LinkState::down);
  restore(network);
  const Instant at = network.now;
  while (network.state() == LinkState::down && network.now - at < 5s) network.run_for(1ms);
  EXPECT_GE(network.now - at, 1s);
  EXPECT_LE(network.now - at, 1s + 22ms + 5ms + 22ms);
  EXPECT_EQ(network.slot().transitions.load(), 3U);
}

TEST(ProberState, ALossyLinkDoesNotComeBack) {
  Network network;
  network.run_for(1s);
  cut(network);
  network.run_for(1s);
  int count = 0;
  network.lost = [&count](const Network::Sent&) { return ++count % 7 == 0; };  // one in seven, all ports
  network.run_for(30s);
  EXPECT_EQ(network.state(), LinkState::down);
}

TEST(ProberState, LateRepliesAreNoSilenceButLoss) {
  table::Link link = make_link(11);
  link.loss_deadline_ns = 30'000'000;
  Network network({link});
  network.delay = 40ms;
  network.run_for(2s);
  EXPECT_EQ(network.state(), LinkState::up);
  EXPECT_EQ(network.slot().received.load(), 0U);
  EXPECT_GT(network.slot().late.load(), 380U);
  EXPECT_GE(network.slot().lost.load(), network.slot().late.load());
  EXPECT_LE(network.slot().lost.load(), network.slot().sent.load());  // each once, late or never
  EXPECT_EQ(network.slot().last_sample_ns.load(), 0);
  EXPECT_EQ(telemetry::load_block(network.slot().window)->at(telemetry::kWindowSamples), 0U);
}

TEST(ProberState, EveryTestIsReceivedLostOrOutstanding) {
  Network network;
  std::mt19937_64 random(5);
  network.lost = [&random](const Network::Sent&) { return random() % 20 == 0; };
  network.run_for(30s);
  const auto& slot = network.slot();
  const std::uint64_t settled = slot.received.load() + slot.lost.load();
  EXPECT_LE(settled, slot.sent.load());
  EXPECT_LE(slot.sent.load() - settled, 4U * 60);  // at most a deadline and a publishing interval in flight
  EXPECT_NEAR(static_cast<double>(slot.lost.load()) / static_cast<double>(settled), 0.05, 0.01);
  std::uint64_t counted = 0;
  for (const auto& bucket : slot.rtt_buckets) counted += bucket.load();
  EXPECT_EQ(counted, slot.received.load());
  const auto words = telemetry::load_block(slot.window);
  EXPECT_NEAR(static_cast<double>((*words)[telemetry::kWindowLost]) /
                  static_cast<double>((*words)[telemetry::kWindowSettled]),
              0.05, 0.015);
}

TEST(ProberState, ReorderedRepliesAreCountedAndStillRoundTrips) {
  Network network;
  int count = 0;
  network.lost = [&](const Network::Sent&) {
    network.delay = ++count % 8 < 4 ? 5ms : 35ms;  // every other burst is overtaken by the next
    return false;
  };
  network.run_for(2s);
  EXPECT_GT(network.slot().reordered.load(), 100U);
  EXPECT_EQ(network.slot().lost.load(), 0U);
  EXPECT_EQ(network.slot().duplicate.load(), 0U);
  EXPECT_LE(network.slot().sent.load() - network.slot().received.load(), 8U);
}

TEST(ProberState, WindowsArePublishedTenTimesASecondAndAtAChange) {
  Network network;
  std::set<std::uint64_t> published;
  for (int i = 0; i < 1000; ++i) {
    network.run_for(1ms);
    published.insert(telemetry::load_block(network.slot().window)->at(telemetry::kWindowEnd));
  }
  EXPECT_GE(published.size(), 10U);
  EXPECT_LE(published.size(), 13U);
  cut(network);
  while (network.state() == LinkState::up) network.run_for(100us);
  EXPECT_EQ(telemetry::load_block(network.slot().window)->at(telemetry::kWindowEnd),
            static_cast<std::uint64_t>(network.slot().state_since_ns.load()));
}

TEST(ProberState, ALinkThatIsOnlyHeldOffIsUsableAfterAllOthers) {
  Network network;
  network.run_for(1s);
  cut(network);
  network.run_for(200ms);
  EXPECT_EQ(network.prober.view(), LinkView{});
  restore(network);
  network.run_for(500ms);  // ten good replies, and less than the hold-off
  EXPECT_EQ(network.state(), LinkState::down);
  EXPECT_EQ(network.slot().state.load(), static_cast<std::uint32_t>(LinkState::down));
  EXPECT_EQ(network.prober.view(), (LinkView{.up = 0, .unknown = 1}));
  network.run_for(1s);
  EXPECT_EQ(network.prober.view(), (LinkView{.up = 1, .unknown = 0}));
}

TEST(ProberState, LinksAreJudgedApart) {
  Network network({make_link(11), make_link(12, 3)});
  network.run_for(1s);
  network.lost = [](const Network::Sent& sent) { return sent.link == 0; };
  network.run_for(200ms);
  EXPECT_EQ(network.state(0), LinkState::down);
  EXPECT_EQ(network.state(1), LinkState::up);
  EXPECT_EQ(network.prober.view(), (LinkView{.up = 2, .unknown = 0}));
}

}  // namespace
}  // namespace perigee
