#include "gateway/way.h"

#include <gtest/gtest.h>

#include "test/gateway/known_snapshot.h"

namespace perigee::gateway {
namespace {

using namespace std::chrono_literals;
using telemetry::LinkState;
using test::kNow;

const Way kGood{true, 7, kNow - 100ms, 300ms};

TEST(BlamesEndpoint, AnAnswerWhateverTheWayWas) {
  for (std::size_t i = 0; i < kCheckFindingCount; ++i) {
    const auto finding = static_cast<CheckFinding>(i);
    if (finding == CheckFinding::not_made) continue;
    const bool silence = finding == CheckFinding::timeout || finding == CheckFinding::unreachable;
    EXPECT_EQ(blames_endpoint(finding, Way{}, Way{}, kNow), !silence) << i;
    EXPECT_TRUE(blames_endpoint(finding, kGood, kGood, kNow)) << i;
  }
}

TEST(BlamesEndpoint, NotForWhatThisHostLacks) {
  EXPECT_FALSE(blames_endpoint(CheckFinding::not_made, kGood, kGood, kNow));
}

TEST(BlamesEndpoint, SilenceOnlyWhenTheWayWasWholeAllTheTime) {
  const auto blames = [](const Way& before, const Way& after) {
    return blames_endpoint(CheckFinding::timeout, before, after, kNow);
  };
  EXPECT_TRUE(blames(kGood, kGood));
  Way other = kGood;
  other.open = false;
  EXPECT_FALSE(blames(other, kGood));
  EXPECT_FALSE(blames(kGood, other));
  other = kGood;
  ++other.changes;  // a link went down and came up meanwhile, or the data plane was restarted
  EXPECT_FALSE(blames(kGood, other));
  other = kGood;
  other.seen = kNow - 300ms;  // the data plane may have died with the check under way
  EXPECT_FALSE(blames(kGood, other));
}

TEST(WaysToEndpoints, AreClosedWithoutADataPlane) {
  const Snapshot snapshot = test::known_snapshot();
  for (const Way& way : ways_to_endpoints(*snapshot.policy, std::nullopt)) EXPECT_EQ(way, Way{});
}

TEST(WaysToEndpoints, FollowTheLinksThatLeadThere) {
  Snapshot snapshot = test::known_snapshot();
  const auto ways = [&snapshot] { return ways_to_endpoints(*snapshot.policy, snapshot.telemetry); };
  ASSERT_EQ(ways().size(), snapshot.policy->endpoints.size());
  const Way before = ways()[0];
  EXPECT_TRUE(before.open);
  EXPECT_EQ(before.seen, snapshot.telemetry->heartbeat);
  EXPECT_EQ(before.fresh, kHeartbeatLate + snapshot.policy->steering.tick);  // slow ticks look less often
  telemetry::LinkSample& link = snapshot.telemetry->links[0];
  for (const LinkState state : {LinkState::down, LinkState::unknown}) {
    link.state = state;
    EXPECT_FALSE(ways()[0].open);
  }
  link.state = LinkState::up;
  link.transitions += 2;
  EXPECT_TRUE(ways()[0].open);
  EXPECT_NE(ways()[0].changes, before.changes);
  link.transitions -= 2;
  snapshot.telemetry->incarnation = 0x1234'5678'9abc;
  EXPECT_NE(ways()[0].changes, before.changes);
}

}  // namespace
}  // namespace perigee::gateway
