// l7.md section 9, test 19: the same endpoints as a forwarded and as a routed service, whatever the policy
// and the conditions.
#include <gtest/gtest.h>

#include <map>

#include "router/breaker.h"
#include "router/choose.h"
#include "steering/route_terms.h"
#include "steering/table_compiler.h"
#include "test/steering/random_world.h"

namespace perigee::router {
namespace {

// A policy whose forwarded service is a routed one too.
Policy random_twins(Random& random) {
  Policy policy = random_policy(random);
  const Policy::Service& chat = policy.services[0];
  Policy::RoutedService routed;
  routed.name = "ai";
  routed.id = id_from_name<ServiceId>("ai");
  routed.max_rtt = chat.max_rtt;
  routed.confines = chat.confines;
  Policy::Model model;
  model.name = model.pool.served_name = "m";
  model.pool.id = id_from_name<ServiceId>("ai/m");
  model.pool.endpoints = chat.endpoints;
  for (const std::size_t i : chat.endpoints) model.pool.weights.push_back(policy.endpoints[i].weight);
  routed.models.push_back(model);
  policy.routed.push_back(routed);
  return policy;
}

// Both as of one tick.
struct Twins {
  explicit Twins(Random& random) : policy(random_twins(random)) {
    for (int i = 0; i < 3; ++i) {
      now = now + std::chrono::seconds(30);
      Conditions conditions = random_conditions(random, policy, now);
      conditions.dataplane_alive = true;  // else requests go by this host's own connections
      route = perigee::route(policy, conditions, route, now);
    }
    table = compile(policy, route, {1, 1, 0});
    snapshot = make_snapshot(policy, route, {}, {}, nullptr, now);
  }
  [[nodiscard]] const ServiceRoute& forwarded() const { return route.services.at(0); }
  [[nodiscard]] const ServiceRoute& routed() const { return route.pools.at(0); }
  [[nodiscard]] const RouterSnapshot::Pool& pool() const { return snapshot.services[0].models[0].pool; }
  // What does not fit into the near tier is put there from the next one for flows; requests see by their cost
  // when to leave it.
  [[nodiscard]] bool overflows() const {
    return forwarded().panic || forwarded().healthy * policy.steering.overprovision < 1;
  }

  Policy policy;
  Route route;
  table::Table table;
  RouterSnapshot snapshot;
  Instant now{1'000'000'000'000};
};

struct Weighed {
  EndpointId endpoint;
  LinkId link;
  double weight = 0;
};

std::vector<Weighed> tier_of(const table::Table& table, std::size_t index) {
  const table::Tier& tier = table.tiers[table.services.at(0).first_tier + index];
  std::vector<Weighed> out;
  for (std::uint32_t c = 0; c < tier.candidate_count; ++c) {
    const table::Candidate& one = table.candidates[tier.first_candidate + c];
    out.push_back({EndpointId{table.endpoints[one.endpoint].id},
                   LinkId{one.link == table::kNone ? 0 : table.links[one.link].id},
                   static_cast<double>(one.weight)});
  }
  return out;
}

// In both the policy's weight of an endpoint; for flows less, as its path is longer than the best of the
// tier. Weights are rounded, by 2.5 % at most.
void expect_same_tier(const Twins& twins, std::size_t index) {
  const std::vector<Weighed> flows = tier_of(twins.table, index);
  const Tier& requests = twins.routed().tiers[index];
  ASSERT_EQ(flows.size(), requests.size());
  const auto scale = [&](std::size_t i) {
    const Path path{twins.policy.pop_of(*twins.policy.endpoint(flows[i].endpoint)).id, flows[i].link};
    return flows[i].weight / (requests[i].weight * twins.forwarded().ranking.find(path)->share);
  };
  for (std::size_t i = 0; i < flows.size(); ++i) {
    ASSERT_EQ(flows[i].endpoint, requests[i].endpoint);
    ASSERT_EQ(flows[i].link, requests[i].link);
    ASSERT_NEAR(scale(i) / scale(0), 1, 0.06);
  }
}

TEST(SameSets, ForwardedAndRoutedAgreeInTiersOrderAndWeights) {
  Random random(19);
  int compared = 0;
  const int rounds = rounds_or(600);
  for (int round = 0; round < rounds; ++round) {
    const Twins twins(random);
    ASSERT_EQ(twins.forwarded().ranking, twins.routed().ranking) << round;
    ASSERT_EQ(twins.forwarded().excluded.size(), twins.routed().excluded.size()) << round;
    if (twins.overflows()) continue;
    ASSERT_EQ(twins.forwarded().tiers.size(), twins.routed().tiers.size()) << round;
    for (std::size_t t = 0; t < twins.routed().tiers.size(); ++t)
      ASSERT_NO_FATAL_FAILURE(expect_same_tier(twins, t)) << "round " << round << ", tier " << t;
    ++compared;
  }
  EXPECT_GT(compared, rounds / 4);
}

// Of the first tier that requests have, when each costs the same there.
TEST(SameSets, SharesOfRequestsAreTheWeights) {
  constexpr int kDraws = 10'000;
  Random random(20);
  std::uint64_t draw = 0;
  int compared = 0;
  for (int round = 0; round < 64; ++round) {
    Twins twins(random);
    for (auto& endpoint : twins.snapshot.endpoints) endpoint.cost = Cost{Nanos(1), {}, {}, {}};
    std::array<Contender, kMaxContenders> room;
    const auto seen = contend(twins.snapshot, twins.pool(), {}, nullptr, twins.now, room);
    if (twins.routed().tiers.empty()) continue;
    const ServiceRoute requests = of_requests(twins.policy, twins.route, twins.routed());
    std::map<EndpointId, double> weights;
    double all = 0;
    for (const Candidate& one : requests.tiers[0])
      all += weights[one.endpoint] = twins.policy.endpoint(one.endpoint)->weight;
    std::map<EndpointId, int> chosen;
    for (int i = 0; i < kDraws; ++i) {
      const Decision decision = decide(twins.snapshot, twins.pool(), seen, {draw += 0x9e3779b97f4a7c15U, {}});
      ++chosen[twins.snapshot.endpoints[decision.endpoint.value()].id];
    }
    for (const auto& [endpoint, count] : chosen)
      ASSERT_NEAR(static_cast<double>(count) / kDraws, weights[endpoint] / all, 0.02) << "round " << round;
    ++compared;
  }
  EXPECT_GT(compared, 40);
}

// Load, failures and full endpoints at random.
void disturb(Random& random, const RouterSnapshot& snapshot, Instant now) {
  for (const RouterSnapshot::Endpoint& endpoint : snapshot.endpoints) {
    EndpointCounters& counters = *endpoint.counters;
    counters.in_flight = static_cast<std::uint32_t>(below(random, 12));
    counters.tokens_waiting = chance(random, 50) ? below(random, 3000) : 0;
    counters.breaker = 0;
    if (chance(random, 15))
      report(counters, admit(counters, false, now), AttemptResult::credential_refused,
             snapshot.settings.breaker, now);
    counters.retry_after = chance(random, 10) ? (now + std::chrono::seconds(1)).ns : 0;
  }
}

int faults_of(const Contender& one) {
  return (one.unhealthy ? 4 : 0) + (one.breaker_open ? 2 : 0) + (one.full ? 1 : 0);
}

// What choice.h says of steps 1 to 3, from the outside.
void expect_law(std::span<const Contender> seen, const Choice& choice, Nanos margin) {
  int best = 8;
  for (const Contender& one : seen)
    if (one.barrier == Verdict::chosen) best = std::min(best, faults_of(one));
  ASSERT_EQ(choice.candidate.has_value(), best < 8);
  if (!choice.candidate) return;
  const Contender& chosen = seen[*choice.candidate];
  ASSERT_EQ(chosen.barrier, Verdict::chosen);
  ASSERT_EQ(faults_of(chosen), best);
  std::map<int, std::optional<Nanos>> least;  // known cost by tier
  for (const Contender& one : seen) {
    if (one.barrier != Verdict::chosen || faults_of(one) != best) continue;
    std::optional<Nanos>& cost = least[one.tier];
    if (one.cost.network) cost = std::min(cost.value_or(one.cost.total()), one.cost.total());
  }
  const auto& [first, first_cost] = *least.begin();
  ASSERT_EQ(choice.spilled, chosen.tier != first);
  const auto dearer = [&](std::optional<Nanos> a, std::optional<Nanos> b) {
    return a && b && *a > *b + margin;
  };
  ASSERT_TRUE(!choice.spilled || dearer(first_cost, least[chosen.tier]));
  for (const auto& [tier, cost] : least)
    ASSERT_TRUE(tier <= chosen.tier || !dearer(least[chosen.tier], cost)) << "a later tier costs less";
}

TEST(SameSets, EveryPickObeysTheTiersAndTheSpill) {
  Random random(21);
  int spilled = 0;
  const int rounds = rounds_or(600);
  for (int round = 0; round < rounds; ++round) {
    const Twins twins(random);
    for (int i = 0; i < 10; ++i) {
      disturb(random, twins.snapshot, twins.now);
      std::array<Contender, kMaxContenders> room;
      const auto seen = contend(twins.snapshot, twins.pool(), {}, nullptr, twins.now, room);
      const ChoiceLaw& law = twins.snapshot.settings.classes[0].choice;
      const Choice choice = choose(seen, law, {std::uint64_t{random()} << 32U | random(), {}});
      ASSERT_NO_FATAL_FAILURE(expect_law(seen, choice, law.spill_margin)) << "round " << round;
      spilled += choice.spilled ? 1 : 0;
    }
  }
  EXPECT_GT(spilled, rounds / 10);
}

}  // namespace
}  // namespace perigee::router
