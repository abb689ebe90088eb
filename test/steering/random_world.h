// Policies and conditions at random, the same for the same seed, for tests of what must hold whatever comes.
#pragma once

#include <array>
#include <cstdlib>
#include <random>
#include <string>

#include "steering/conditions.h"
#include "steering/policy.h"

namespace perigee {

using Random = std::mt19937;

// Rounds of a property test: PERIGEE_ROUNDS, or what continuous integration has time for.
inline int rounds_or(int few) {
  const char* asked = std::getenv("PERIGEE_ROUNDS");
  return asked == nullptr ? few : std::atoi(asked);
}

inline std::size_t below(Random& random, std::size_t limit) { return random() % limit; }
inline bool chance(Random& random, unsigned percent) { return random() % 100 < percent; }

inline IpAddress address_in(std::size_t pop, std::size_t host) {
  return IpAddress::v4(static_cast<std::uint32_t>(0x0a000000U + (pop << 16U) + host));
}

inline constexpr WallTime kWall{std::chrono::seconds(1000)};

// Half of what it rules out holds at kWall.
inline void constrain(Random& random, Policy& policy) {
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

// Two to five PoPs, one to eight endpoints of one service, whatever constants.
inline Policy random_policy(Random& random) {
  Policy policy;
  const std::size_t pops = 2 + below(random, 4);
  for (std::size_t i = 0; i < pops; ++i) {
    const std::string name = "pop" + std::to_string(i);
    policy.pops.push_back({name, id_from_name<PopId>(name), {{address_in(i, 0), 16}}, {}});
  }
  Policy::Interface local;
  local.name = "local";
  local.port = "local0";
  local.address = address_in(0, 1);
  local.prefix_length = 24;
  policy.interfaces.push_back(local);
  policy.snat_addresses.push_back(address_in(0, 0xff01));
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
    endpoint.address = address_in(endpoint.pop, 10 + i);
    endpoint.port = 8000;
    endpoint.drain = chance(random, 10);
    endpoint.weight = chance(random, 70) ? 100 : static_cast<std::uint32_t>(1 + below(random, 300));
    if (chance(random, 20)) endpoint.capacity = 10;
    policy.endpoints.push_back(endpoint);
    service.endpoints.push_back(i);
  }
  policy.services.push_back(service);
  constrain(random, policy);
  const std::array<double, 4> leaves = {1.25, 1.5, 2, 4};
  policy.steering.band_enter = chance(random, 50) ? 1.2 : 1 + static_cast<double>(below(random, 20)) / 100;
  policy.steering.band_leave = leaves[below(random, leaves.size())];
  policy.steering.overprovision = 1 + static_cast<double>(below(random, 20)) / 10;
  policy.steering.panic = static_cast<double>(below(random, 101)) / 100;
  policy.steering.dwell = static_cast<std::uint32_t>(1 + below(random, 4));
  policy.steering.hold = std::chrono::seconds(below(random, 40));
  return policy;
}

// Nothing in it need fit to what was before.
inline Conditions random_conditions(Random& random, const Policy& policy, Instant now) {
  Conditions conditions;
  conditions.wall = kWall;
  conditions.dataplane_alive = chance(random, 95);
  conditions.dataplane_stalled = chance(random, 3);
  const bool all_fail = chance(random, 5);
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
    if (chance(random, 80)) endpoint.passed_at = now - std::chrono::seconds(5 + below(random, 3));
    if (all_fail || endpoint.health >= Health::unhealthy)
      endpoint.failing_since = now - std::chrono::seconds(2);
    conditions.endpoints.push_back(endpoint);
  }
  return conditions;
}

}  // namespace perigee
