#include "router/choose.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "router/breaker.h"

namespace perigee::router {
namespace {

using namespace std::chrono_literals;

class ChooseTest : public ::testing::Test {
 protected:
  ChooseTest() { pool.id = 7; }

  // One more endpoint and candidate.
  RouterSnapshot::Candidate& add(std::uint8_t tier, std::uint32_t weight = 100) {
    RouterSnapshot::Endpoint endpoint;
    endpoint.counters = std::make_shared<EndpointCounters>();
    endpoint.id = EndpointId{static_cast<std::uint32_t>(snapshot.endpoints.size() + 1)};
    const auto index = static_cast<std::uint16_t>(snapshot.endpoints.size());
    snapshot.endpoints.push_back(std::move(endpoint));
    pool.candidates.push_back({index, tier, Standing::usable, std::nullopt, weight, {}, now});
    return pool.candidates.back();
  }
  EndpointCounters& counters(std::size_t index) { return *snapshot.endpoints[index].counters; }
  void open_breaker(std::size_t index) {
    report(counters(index), admit(counters(index), false, now), AttemptResult::credential_refused,
           snapshot.settings.breaker, now);
  }
  Decision decide(std::uint64_t random = 1) {
    std::array<Contender, kMaxServiceEndpoints> room;
    return perigee::router::decide(snapshot, pool, contend(snapshot, pool, request, nullptr, now, room),
                                   {random, request.prefix});
  }
  // How often each is chosen.
  std::vector<int> spread(int count) {
    std::mt19937_64 random(1);
    std::vector<int> chosen(snapshot.endpoints.size());
    for (int i = 0; i < count; ++i) {
      const Decision decision = decide(random());
      if (decision.endpoint) ++chosen[*decision.endpoint];
    }
    return chosen;
  }
  std::string verdicts(const Decision& decision) {
    std::string out;
    for (std::size_t i = 0; i < decision.count; ++i)
      out += (i == 0 ? "" : " ") + std::string(name_of(decision.verdicts[i]));
    return out;
  }

  RouterSnapshot snapshot;
  RouterSnapshot::Pool pool;
  ChoiceRequest request;
  Instant now{1'000'000'000'000};
};

TEST_F(ChooseTest, AModelThatTheEndpointDoesNotListIsAbsentThere) {
  RouterSnapshot::Candidate& candidate = add(0);
  candidate.standing = Standing::barred;
  candidate.excluded = Exclusion::model_absent;
  add(1);
  EXPECT_EQ(verdicts(decide()), "model_absent chosen");
}

TEST_F(ChooseTest, TheFirstTierThatHasAny) {
  add(0).standing = Standing::barred;
  add(1);
  add(2);
  const Decision decision = decide();
  EXPECT_EQ(decision.endpoint, 1);
  EXPECT_EQ(decision.rule, Rule::only_one);
  EXPECT_FALSE(decision.panic);
  EXPECT_EQ(verdicts(decision), "barred chosen behind");
}

TEST_F(ChooseTest, OfTheSameCostTheOneWithLessLoadForItsWeight) {
  add(0, 100);
  add(0, 300);
  counters(0).in_flight = 2;
  counters(1).in_flight = 5;
  EXPECT_EQ(decide().endpoint, 1) << "6 / 300 against 3 / 100";
  EXPECT_EQ(decide().rule, Rule::less_load);
  counters(1).in_flight = 9;
  EXPECT_EQ(verdicts(decide()), "chosen lost");
}

// 512 octets of head and the body fill one window or two.
TEST_F(ChooseTest, TheNetworkIsRoundTripsAndWhatTheOperatorSaid) {
  add(0).service = {30ms, 10'000};
  Cost& cost = snapshot.endpoints[0].cost;
  request.tokens = 1000;
  EXPECT_FALSE(decide().cost.network) << "no round trip is known";
  cost = {5ms, 2ms, 3ms, 4ms};
  EXPECT_EQ(decide().cost.network, 1 * 7ms + 7ms);
  request.octets = 20'000;
  EXPECT_EQ(decide().cost.network, 2 * 7ms + 7ms);
  EXPECT_EQ(decide().cost.service, 40ms);
}

TEST_F(ChooseTest, WhatWasSentAndHasNoAnswerIsBeforeTheNext) {
  add(0).service = {30ms, 100'000};
  counters(0).tokens_waiting = 3000;
  EXPECT_EQ(decide().cost.wait, 300ms);
  EXPECT_EQ(decide().cost.total(), 330ms);
}

TEST_F(ChooseTest, ANearEndpointThatIsBusyLosesToAFarOne) {
  for (const Nanos rtt : {1ms, 20ms}) {
    add(0).service = {30ms, 100'000};
    snapshot.endpoints.back().cost.rtt = rtt;
  }
  EXPECT_EQ(decide().endpoint, 0);
  counters(0).tokens_waiting = 1000;
  EXPECT_EQ(decide().endpoint, 1);
  EXPECT_EQ(decide().rule, Rule::less_cost);
}

TEST_F(ChooseTest, EqualOnesShareEvenly) {
  for (int i = 0; i < 4; ++i) add(0);
  for (const int count : spread(40'000)) EXPECT_NEAR(count, 10'000, 500);
}

// With the requests that are sent counted, weights are kept.
TEST_F(ChooseTest, WeightsAreKeptUnderLoad) {
  add(0, 100);
  add(0, 300);
  std::mt19937_64 random(2);
  for (int i = 0; i < 400; ++i) {
    const Decision decision = decide(random());
    ++counters(*decision.endpoint).in_flight;
  }
  EXPECT_NEAR(counters(1).in_flight, 300, 8);
}

TEST_F(ChooseTest, WhatWasTriedIsNotTriedAgain) {
  add(0);
  add(1);
  request.add_tried(0);
  EXPECT_EQ(verdicts(decide()), "tried chosen");
  request.add_tried(1);
  const Decision decision = decide();
  EXPECT_FALSE(decision.endpoint);
  EXPECT_EQ(decision.rule, Rule::nothing_left);
  EXPECT_TRUE(decision.retry_at.never());
}

TEST_F(ChooseTest, RetryAfterIsHonouredAndTold) {
  add(0);
  add(1);
  remember_retry_after(counters(0), 5s, now);
  remember_retry_after(counters(1), std::nullopt, now);
  const Decision decision = decide();
  EXPECT_EQ(verdicts(decision), "retry_after retry_after");
  EXPECT_EQ(decision.retry_at, now + kDefaultRetryAfter) << "the first that ends";
  now = now + kDefaultRetryAfter;
  EXPECT_EQ(decide().endpoint, 1);
  remember_retry_after(counters(1), 24h, now);
  now = now + kMaxRetryAfter;
  EXPECT_EQ(verdicts(decide()), "chosen behind") << "no endpoint takes itself out for a day";
}

TEST_F(ChooseTest, AMissingModelIsRememberedForAWhile) {
  add(0);
  add(1);
  remember_absent(counters(0), pool.id, now);
  EXPECT_EQ(verdicts(decide()), "model_absent chosen");
  pool.id = 8;
  EXPECT_EQ(decide().endpoint, 0) << "another model";
  for (std::uint32_t other = 100; other < 120; ++other) remember_absent(counters(0), other, now);
  EXPECT_TRUE(is_absent(counters(0), 119, now));
  EXPECT_FALSE(is_absent(counters(0), 119, now + kAbsentFor + 1s));
}

TEST_F(ChooseTest, PanicGoesFromFullToBreakerToUnhealthy) {
  add(0);
  add(1);
  add(2);
  add(3);
  pool.candidates[0].standing = Standing::unhealthy;
  open_breaker(0);
  pool.candidates[1].standing = Standing::unhealthy;
  open_breaker(2);
  snapshot.endpoints[3].capacity = 1;
  counters(3).in_flight = 1;
  EXPECT_EQ(verdicts(decide()), "unhealthy unhealthy breaker_open chosen");
  EXPECT_FALSE(decide().panic) << "full is no fault";
  pool.candidates.pop_back();
  EXPECT_EQ(verdicts(decide()), "unhealthy unhealthy chosen");
  EXPECT_TRUE(decide().panic);
  pool.candidates.pop_back();
  EXPECT_EQ(verdicts(decide()), "unhealthy chosen");
  request.add_tried(1);
  EXPECT_EQ(verdicts(decide()), "chosen tried");
}

// Whatever else is wrong, an endpoint outside the residency, or barred by the operator, gets nothing.
TEST_F(ChooseTest, ResidencyAndTheOperatorHoldInPanicToo) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 8; ++i) add(static_cast<std::uint8_t>(i % 3));
  request.regions = 0b0101;
  for (int round = 0; round < 20'000; ++round) {
    for (std::size_t i = 0; i < 8; ++i) {
      snapshot.endpoints[i].region = random() % 5 == 0 ? kNoRegion : RegionSet{1} << random() % 4;
      pool.candidates[i].standing = static_cast<Standing>(random() % 4);
      counters(i).breaker = 0;
      if (random() % 2 == 0) open_breaker(i);
      counters(i).in_flight = random() % 4;
    }
    const Decision decision = decide(random());
    bool any = false;
    for (std::size_t i = 0; i < 8; ++i)
      any = any || ((snapshot.endpoints[i].region & request.regions) != 0 &&
                    pool.candidates[i].standing != Standing::barred);
    ASSERT_EQ(decision.endpoint.has_value(), any);
    if (!any) continue;
    ASSERT_NE(snapshot.endpoints[*decision.endpoint].region & request.regions, 0U);
    ASSERT_NE(pool.candidates[*decision.candidate].standing, Standing::barred);
  }
}

TEST_F(ChooseTest, NoRegionIsInsideOnlyWithoutResidency) {
  add(0);
  EXPECT_TRUE(decide().endpoint);
  request.regions = ~kNoRegion;
  EXPECT_EQ(verdicts(decide()), "residency");
}

// An endpoint that fails in no time has nothing in flight, and must not attract requests by that.
TEST_F(ChooseTest, AFastFailureNeverLooksFast) {
  for (int i = 0; i < 4; ++i) add(0);
  for (std::size_t i = 1; i < 4; ++i) counters(i).in_flight = 8;
  const BreakerPermit permit = admit(counters(0), false, now);
  report(counters(0), permit, AttemptResult::failure, snapshot.settings.breaker, now);
  EXPECT_EQ(spread(10'000)[0], 0);
  now = now + snapshot.settings.breaker.window + 1ms;
  EXPECT_GT(spread(10'000)[0], 4000) << "forgotten";
}

TEST_F(ChooseTest, SlowStartScalesTheWeight) {
  add(0);
  add(0);
  counters(0).warming_since = now.ns;
  counters(0).in_flight = 0;
  counters(1).in_flight = 4;
  EXPECT_EQ(decide().endpoint, 1) << "1 / 10 against 5 / 100";
  now = now + 3s;
  EXPECT_EQ(decide().endpoint, 0) << "1 / 30 against 5 / 100";
  counters(0).in_flight = 4;
  counters(1).in_flight = 3;
  now = now + 7s;
  EXPECT_EQ(decide().endpoint, 1) << "as heavy as before";
  snapshot.settings.slow_start = 0s;
  now = Instant{counters(0).warming_since};
  EXPECT_EQ(decide().endpoint, 1);
  now = now + -1ms;  // another thread's time was ahead of this one's
  EXPECT_EQ(decide().endpoint, 1);
}

TEST_F(ChooseTest, ItIsPureInWhatItSees) {
  for (int i = 0; i < 16; ++i) add(static_cast<std::uint8_t>(i / 8), 50 + 10 * static_cast<std::uint32_t>(i));
  std::array<Contender, kMaxServiceEndpoints> seen;
  const auto contenders = contend(snapshot, pool, request, nullptr, now, seen);
  ASSERT_EQ(contenders.size(), 16U);
  const Decision live = decide(0x123456789abcdef0);
  for (int i = 0; i < 16; ++i) counters(static_cast<std::size_t>(i)).in_flight = 100;
  const Choice replayed =
      choose(contenders, snapshot.settings.classes[0].choice, Draw{0x123456789abcdef0, {}});
  EXPECT_EQ(replayed.candidate, live.candidate);
  EXPECT_EQ(replayed.verdicts, live.verdicts);
}

TEST(Canary, IsAShareOfKeysAndSticksToThem) {
  RouterSnapshot::Model model;
  model.canary_per_10000 = 500;
  model.pool.id = 1;
  RouterSnapshot::Model other = model;
  other.pool.id = 2;
  int taken = 0;
  int both = 0;
  for (std::uint64_t key = 0; key < 100'000; ++key) {
    taken += takes_canary(model, key) ? 1 : 0;
    both += takes_canary(model, key) && takes_canary(other, key) ? 1 : 0;
    ASSERT_EQ(takes_canary(model, key), takes_canary(model, key));
  }
  EXPECT_NEAR(taken, 5000, 250);
  EXPECT_NEAR(both, 250, 80) << "one key is not in every canary";
  model.canary_per_10000 = 0;
  EXPECT_FALSE(takes_canary(model, 0));
}

}  // namespace
}  // namespace perigee::router
