// Whatever the policy and the conditions: no decision uses what must not be used, every usable candidate is
// there once, and what is compiled is a valid table.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "contract/table_file.h"
#include "steering/route.h"
#include "steering/table_compiler.h"
#include "test/steering/random_world.h"

namespace perigee {
namespace {

bool maintained(const std::vector<Maintenance>& windows) {
  return std::any_of(windows.begin(), windows.end(),
                     [](const Maintenance& window) { return window.to > kWall; });
}

// Nothing is used that the operator rules out at kWall, and a cost tier steps aside for a lower one only.
void check_constraints(const Policy& policy, const ServiceRoute& chosen) {
  const Confines& confines = policy.services[0].confines;
  const auto has = [](const std::vector<std::size_t>& list, std::size_t index) {
    return std::find(list.begin(), list.end(), index) != list.end();
  };
  std::uint32_t least = 1000;
  for (const Tier& tier : chosen.tiers)
    for (const Candidate& candidate : tier) {
      const Policy::Endpoint& endpoint = *policy.endpoint(candidate.endpoint);
      least = std::min(least, endpoint.cost_tier);
      ASSERT_FALSE(maintained(endpoint.maintenance) || maintained(policy.pop_of(endpoint).maintenance));
      const Policy::Link* link = policy.link(candidate.link);
      ASSERT_FALSE(link != nullptr &&
                   (maintained(link->maintenance) || maintained(policy.pop_of(*link).maintenance)));
      ASSERT_FALSE(confines.pops && !has(*confines.pops, endpoint.pop));
      ASSERT_FALSE(
          confines.pin && confines.pin->until > kWall &&
          !has(confines.pin->endpoints, static_cast<std::size_t>(&endpoint - policy.endpoints.data())));
    }
  for (const Excluded& excluded : chosen.excluded)
    if (excluded.reason == Exclusion::cost_tier) {
      ASSERT_GT(policy.endpoint(excluded.endpoint)->cost_tier, least);
    }
}

// Every (endpoint, link) of the service is either in one tier or excluded, and rightly.
void check(const Policy& policy, const Conditions& conditions, const Route& route) {
  const ServiceRoute& chosen = route.services.at(0);
  std::set<std::pair<EndpointId, LinkId>> seen;
  for (const Tier& tier : chosen.tiers) {
    ASSERT_FALSE(tier.empty());
    ASSERT_LE(chosen.tiers.size(), table::kMaxTiersPerService);
    std::set<EndpointId> in_tier;
    for (const Candidate& candidate : tier) {
      const Policy::Endpoint& endpoint = *policy.endpoint(candidate.endpoint);
      const EndpointRoute& state = *route.endpoint(candidate.endpoint);
      ASSERT_TRUE(seen.emplace(candidate.endpoint, candidate.link).second) << "twice";
      ASSERT_TRUE(in_tier.insert(candidate.endpoint).second) << "twice in a tier";
      ASSERT_FALSE(endpoint.drain);
      ASSERT_GT(candidate.weight, 0U);
      ASSERT_TRUE(state.healthy && state.accepts_new);
      if (candidate.link.none()) {
        ASSERT_EQ(endpoint.pop, policy.own_pop);
        continue;
      }
      const Policy::Link& link = *policy.link(candidate.link);
      ASSERT_TRUE(policy.onward(link, endpoint.pop));
      const auto& measured = conditions.links[static_cast<std::size_t>(&link - policy.links.data())];
      ASSERT_FALSE(conditions.dataplane_alive && measured.state == telemetry::LinkState::down);
      const Cost& cost = chosen.ranking.find({policy.pop_of(endpoint).id, candidate.link})->cost;
      const auto limit = policy.services[0].max_rtt;
      ASSERT_FALSE(limit && cost.known() && *cost.rtt + cost.declared > *limit);
    }
  }
  std::size_t expected = 0;
  for (const Policy::Endpoint& endpoint : policy.endpoints)
    expected += endpoint.pop == policy.own_pop
                    ? 1
                    : static_cast<std::size_t>(std::count_if(
                          policy.links.begin(), policy.links.end(),
                          [&](const Policy::Link& link) { return policy.onward(link, endpoint.pop); }));
  for (const Excluded& excluded : chosen.excluded)
    ASSERT_TRUE(seen.emplace(excluded.endpoint, excluded.link).second) << "in a tier and excluded";
  ASSERT_EQ(seen.size(), expected);
}

// The table has the tiers of the Route, in their order, with their weights.
void check_table(const Route& route, const table::Table& table) {
  const table::Service& record = table.services.at(0);
  const ServiceRoute& chosen = route.services.at(0);
  ASSERT_GE(record.tier_count, chosen.tiers.size());
  for (std::size_t t = 0; t < chosen.tiers.size(); ++t) {
    const table::Tier& tier = table.tiers[record.first_tier + t];
    ASSERT_EQ(tier.candidate_count, chosen.tiers[t].size());
    for (std::size_t c = 0; c < chosen.tiers[t].size(); ++c) {
      const table::Candidate& compiled = table.candidates[tier.first_candidate + c];
      const Candidate& decided = chosen.tiers[t][c];
      ASSERT_EQ(table.endpoints[compiled.endpoint].id, decided.endpoint.value);
      ASSERT_EQ(compiled.link == table::kNone ? 0 : table.links[compiled.link].id, decided.link.value);
      ASSERT_EQ(compiled.weight, decided.weight);
    }
  }
  // Behind them only what a dead link or a lower cost tier keeps out.
  for (std::size_t t = chosen.tiers.size(); t < record.tier_count; ++t) {
    const table::Tier& tier = table.tiers[record.first_tier + t];
    for (std::uint32_t c = 0; c < tier.candidate_count; ++c) {
      const table::Candidate& compiled = table.candidates[tier.first_candidate + c];
      const EndpointId endpoint{table.endpoints[compiled.endpoint].id};
      const LinkId link{compiled.link == table::kNone ? 0 : table.links[compiled.link].id};
      ASSERT_TRUE(std::any_of(chosen.excluded.begin(), chosen.excluded.end(), [&](const Excluded& one) {
        return one.endpoint == endpoint && one.link == link &&
               (one.reason == Exclusion::link_down || one.reason == Exclusion::cost_tier);
      }));
    }
  }
}

TEST(RouteProperties, NoDecisionUsesWhatMustNotBeUsed) {
  Random random(20261130);
  Route route;
  Policy policy = random_policy(random);
  Instant now{1'000'000'000'000};
  const int rounds = rounds_or(10'000);
  for (int i = 0; i < rounds; ++i) {
    // Often the next tick of one world, sometimes another policy with the old memory, sometimes a fresh
    // start.
    if (chance(random, 5)) policy = random_policy(random);
    if (chance(random, 1)) route = {};
    now = now + std::chrono::milliseconds(100 + below(random, 20'000));
    const Conditions conditions = random_conditions(random, policy, now);
    const Route next = perigee::route(policy, conditions, route, now);
    ASSERT_NO_FATAL_FAILURE(check(policy, conditions, next)) << "round " << i;
    ASSERT_NO_FATAL_FAILURE(check_constraints(policy, next.services.at(0))) << "round " << i;
    ASSERT_EQ(next, perigee::route(policy, conditions, route, now)) << "pure";
    if (i % 20 == 0) {
      const table::Table table = compile(policy, next, {1, 1, 0});
      const auto valid = table::validate(table);
      ASSERT_TRUE(valid) << valid.error().text();
      ASSERT_NO_FATAL_FAILURE(check_table(next, table)) << "round " << i;
      ASSERT_EQ(table::encode(table), table::encode(compile(policy, next, {1, 1, 0}))) << "deterministic";
      route = chance(random, 10) ? rebuild(policy, table, now) : next;
    } else {
      route = next;
    }
  }
}

// As long as the conditions stay, so does the decision, once dwell and hold are over.
TEST(RouteProperties, StillConditionsComeToRest) {
  Random random(7);
  for (int i = 0; i < 50; ++i) {
    const Policy policy = random_policy(random);
    Instant now{1'000'000'000'000};
    Conditions conditions = random_conditions(random, policy, now);
    conditions.dataplane_alive = true;
    Route route;
    const auto tick = [&](Nanos step) {
      now = now + step;
      for (auto& link : conditions.links)
        if (link.window) link.window->taken = now;
      route = perigee::route(policy, conditions, route, now);
    };
    for (int t = 0; t < 100; ++t) tick(std::chrono::seconds(1));
    const auto before = route.services.at(0).tiers;
    for (int t = 0; t < 100; ++t) {
      tick(std::chrono::seconds(1));
      ASSERT_TRUE(route.switches.empty());
    }
    ASSERT_EQ(before, route.services.at(0).tiers);
  }
}

}  // namespace
}  // namespace perigee
