#include "gateway/request_odds.h"

#include <gtest/gtest.h>

namespace perigee::gateway {
namespace {

using namespace std::chrono_literals;
using router::RouterSnapshot;

constexpr Instant kNow{1'000'000'000'000};

RouterSnapshot snapshot_of(const std::vector<Nanos>& rtts) {
  RouterSnapshot out;
  RouterSnapshot::Model model;
  model.name = "llama";
  for (std::size_t i = 0; i < rtts.size(); ++i) {
    RouterSnapshot::Endpoint endpoint;
    endpoint.name = "gpu-" + std::to_string(i + 1);
    endpoint.id = EndpointId{static_cast<std::uint32_t>(i + 1)};
    endpoint.cost.rtt = rtts[i];
    endpoint.counters = std::make_shared<router::EndpointCounters>();
    out.endpoints.push_back(endpoint);
    RouterSnapshot::Candidate candidate;
    candidate.endpoint = static_cast<std::uint16_t>(i);
    candidate.service = {30ms, 100'000};
    candidate.refreshed = kNow;
    candidate.weight = 100;
    model.pool.candidates.push_back(candidate);
  }
  RouterSnapshot::Service service;
  service.name = "ai";
  service.models.push_back(model);
  service.names.emplace_back("llama", 0);
  out.services.push_back(service);
  return out;
}

TEST(RequestOdds, AreThoseOfAFreshDraw) {
  RouterSnapshot snapshot = snapshot_of({10ms, 10ms, 50ms});
  snapshot.settings.classes[0].choice.choices = 2;
  const auto odds = request_odds(snapshot, "ai", "", 4000, kNow);
  ASSERT_EQ(odds.size(), 3U);
  EXPECT_NEAR(odds[0].probability, 0.5, 0.02) << "two are drawn of three: the dear one is never the cheapest";
  EXPECT_NEAR(odds[1].probability, 0.5, 0.02);
  EXPECT_EQ(odds[2].probability, 0);
  EXPECT_EQ(odds[2].contender.cost.service, 130ms);
  EXPECT_EQ(odds[2].contender.cost.network, 50ms);
}

TEST(RequestOdds, FollowWhatIsWaitingNow) {
  const RouterSnapshot snapshot = snapshot_of({10ms, 20ms});
  EXPECT_EQ(request_odds(snapshot, "ai", "llama", 4000, kNow)[0].probability, 1);
  snapshot.endpoints[0].counters->tokens_waiting = 1000;
  EXPECT_EQ(request_odds(snapshot, "ai", "llama", 4000, kNow)[1].probability, 1);
}

TEST(RequestOdds, OfTheCanaryAreItsShare) {
  RouterSnapshot snapshot = snapshot_of({10ms, 10ms});
  RouterSnapshot::Model& model = snapshot.services[0].models[0];
  model.canary = model.pool;
  model.canary.candidates.resize(1);
  model.pool.candidates.erase(model.pool.candidates.begin());
  model.canary_per_10000 = 1000;
  const auto odds = request_odds(snapshot, "ai", "llama", 4000, kNow);
  ASSERT_EQ(odds.size(), 2U);
  EXPECT_FALSE(odds[0].canary);
  EXPECT_NEAR(odds[0].probability, 0.9, 1e-9);
  EXPECT_TRUE(odds[1].canary);
  EXPECT_NEAR(odds[1].probability, 0.1, 1e-9);
}

TEST(RequestOdds, OfWhatIsNotThereAreNone) {
  const RouterSnapshot snapshot = snapshot_of({10ms});
  EXPECT_TRUE(request_odds(snapshot, "other", "llama", 1, kNow).empty());
  EXPECT_TRUE(request_odds(snapshot, "ai", "gpt", 1, kNow).empty());
}

}  // namespace
}  // namespace perigee::gateway
