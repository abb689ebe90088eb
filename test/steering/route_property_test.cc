// Whatever the policy and the conditions: no decision uses what must not be used, every usable candidate is
// there once, and what is compiled is a valid table.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "contract/table_file.h"
#include "steering/route.h"
#include "steering/table_compiler.h"

namespace perigee {
namespace {

using Random = std::mt19937;

std::size_t below(Random& random, std::size_t limit) { return random() % limit; }
bool chance(Random& random, unsigned percent) { return random() % 100 < percent; }

IpAddress address(std::size_t pop, std::size_t host) {
  return IpAddress::v4(static_cast<std::uint32_t>(0x0a000000U + (pop << 16U) + host));
}

constexpr WallTime kWall{std::chrono::seconds(1000)};

// Half of what it rules out holds at kWall.
void constrain(Random& random, Policy& policy) {
  const auto now_or_not = [&] { return kWall + std::chrono::seconds(chance(random, 50) ? 1 : 0); };
  const auto maintain = [&](auto& items) {
    for (auto& item : items)
      if (chance(random, 5)) item.maintenance = {{WallTime{}, now_or_not(), ""}};
  };
  maintain(policy.pops);
  maintain(policy.links);
  maintain(policy.endpoints);
  for (Policy::Endpoint& endpoint : policy.endpoints)
    endpoint.cost_tier = chance(random, 30) ? static_cast<std::uint32_t>(below(random, 3)) : 0;
  Confines& confines = policy.services[0].confines;
  if (chance(random, 10)) {
    confines.pin = Pin{{}, now_or_not()};
    for (std::size_t i = 0; i < policy.endpoints.size(); ++i)
      if (chance(random, 50)) confines.pin->endpoints.push_back(i);
  }
  if (!chance(random, 10)) return;
  confines.pops.emplace();
  for (std::size_t i = 0; i < policy.pops.size(); ++i)
    if (chance(random, 60)) confines.pops->push_back(i);
}

Policy random_policy(Random& random) {
  Policy policy;
  const std::size_t pops = 2 + below(random, 4);
  for (std::size_t i = 0; i < pops; ++i) {
    const std::string name = "pop" + std::to_string(i);
    policy.pops.push_back({name, id_from_name<PopId>(name), {{address(i, 0), 16}}, {}});
  }
  Policy::Interface local;
  local.name = "local";
  local.port = "local0";
  local.address = address(0, 1);
  local.prefix_length = 24;
  policy.interfaces.push_back(local);
  policy.snat_addresses.push_back(address(0, 0xff01));
  const std::size_t links = pops - 1 + below(random, 5);
  for (std::size_t i = 0; i < links; ++i) {
    Policy::Link link;
    link.name = "link" + std::to_string(i);
    link.id = id_from_name<LinkId>(link.name);
    link.pop = i < pops - 1 ? i + 1 : 1 + below(random, pops - 1);
    link.port = link.name;
    const auto net = static_cast<std::uint32_t>(0xac1f0000U + i * 4);
    link.local = IpAddress::v4(net + 1);
    link.peer = link.next_hop = IpAddress::v4(net + 2);
    link.cost = std::chrono::milliseconds(below(random, 3));
    for (std::size_t pop = 1; pop < pops; ++pop)
      if (pop != link.pop && chance(random, 30))
        link.reaches.push_back({pop, std::chrono::milliseconds(below(random, 40))});
    policy.links.push_back(link);
  }
  const std::size_t endpoints = 1 + below(random, 8);
  Policy::Service service;
  service.name = "chat";
  service.id = id_from_name<ServiceId>("chat");
  service.vip = IpAddress::v4(203, 0, 113, 10);
  service.port = 8000;
  if (chance(random, 30)) service.max_rtt = std::chrono::milliseconds(10 + below(random, 60));
  for (std::size_t i = 0; i < endpoints; ++i) {
    Policy::Endpoint endpoint;
    endpoint.name = "endpoint" + std::to_string(i);
    endpoint.id = id_from_name<EndpointId>(endpoint.name);
    endpoint.pop = below(random, pops);
    endpoint.address = address(endpoint.pop, 10 + i);
    endpoint.port = 8000;
    endpoint.drain = chance(random, 10);
    if (chance(random, 20)) endpoint.capacity = 10;
    policy.endpoints.push_back(endpoint);
    service.endpoints.push_back(i);
  }
  policy.services.push_back(service);
  constrain(random, policy);
  return policy;
}

Conditions random_conditions(Random& random, const Policy& policy, Instant now) {
  Conditions conditions;
  conditions.wall = kWall;
  conditions.dataplane_alive = chance(random, 95);
  for (std::size_t i = 0; i < policy.links.size(); ++i) {
    Conditions::Link link;
    link.state = static_cast<telemetry::LinkState>(below(random, 4));
    if (chance(random, 80))
      link.window = Conditions::Window{Nanos(1), std::chrono::microseconds(below(random, 80'000)),
                                       Nanos(1), below(random, 20),
                                       now,      static_cast<double>(below(random, 100)) / 1000};
    conditions.links.push_back(link);
  }
  for (std::size_t i = 0; i < policy.endpoints.size(); ++i) {
    Conditions::Endpoint endpoint;
    endpoint.health = static_cast<Health>(below(random, 4));
    if (chance(random, 50)) endpoint.flows = below(random, 20);
    conditions.endpoints.push_back(endpoint);
  }
  return conditions;
}

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
    std::set<EndpointId> in_tier;
    for (const Candidate& candidate : tier) {
      const Policy::Endpoint& endpoint = *policy.endpoint(candidate.endpoint);
      const EndpointRoute& state = *route.endpoint(candidate.endpoint);
      ASSERT_TRUE(seen.emplace(candidate.endpoint, candidate.link).second) << "twice";
      ASSERT_TRUE(in_tier.insert(candidate.endpoint).second) << "twice in a tier";
      ASSERT_FALSE(endpoint.drain);
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

TEST(RouteProperties, NoDecisionUsesWhatMustNotBeUsed) {
  Random random(20261130);
  Route route;
  Policy policy = random_policy(random);
  Instant now{1'000'000'000'000};
  for (int i = 0; i < 10'000; ++i) {
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
