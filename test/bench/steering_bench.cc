// What a tick of the control loop costs: route() and compile() of a large policy, by Google Benchmark.
#include <benchmark/benchmark.h>

#include <random>
#include <string>

#include "contract/table_file.h"
#include "steering/route.h"
#include "steering/table_compiler.h"

namespace perigee {
namespace {

constexpr std::size_t kServices = 200;
constexpr std::size_t kEndpoints = 200;
constexpr std::size_t kPops = 20;
constexpr std::size_t kLinks = table::kMaxLinks;

IpAddress address_in(std::size_t pop, std::size_t host) {
  return IpAddress::v4(static_cast<std::uint32_t>(0x0a000000U + (pop << 16U) + host));
}

void add_links(Policy& policy) {
  for (std::size_t i = 0; i < kLinks; ++i) {
    Policy::Link link;
    link.name = "link" + std::to_string(i);
    link.id = id_from_name<LinkId>(link.name);
    link.pop = 1 + i % (kPops - 1);
    link.port = "port" + std::to_string(i % 8);
    link.vlan = static_cast<std::uint16_t>(1 + i);
    const auto net = static_cast<std::uint32_t>(0xac1f0000U + i * 4);
    link.local = IpAddress::v4(net + 1);
    link.peer = link.next_hop = IpAddress::v4(net + 2);
    policy.links.push_back(link);
  }
}

// Services with as many endpoints as one may have, an equal part of them in each PoP.
Policy large_policy() {
  Policy policy;
  for (std::size_t i = 0; i < kPops; ++i) {
    const std::string name = "pop" + std::to_string(i);
    policy.pops.push_back({name, id_from_name<PopId>(name), {{address_in(i, 0), 16}}, {}});
  }
  Policy::Interface local;
  local.name = local.port = "local";
  local.address = address_in(0, 1);
  local.prefix_length = 24;
  policy.interfaces.push_back(local);
  policy.snat_addresses.push_back(address_in(0, 0xff01));
  add_links(policy);
  for (std::size_t i = 0; i < kEndpoints; ++i) {
    Policy::Endpoint endpoint;
    endpoint.name = "endpoint" + std::to_string(i);
    endpoint.id = id_from_name<EndpointId>(endpoint.name);
    endpoint.pop = i % kPops;
    endpoint.address = address_in(endpoint.pop, 10 + i);
    endpoint.port = 8000;
    endpoint.capacity = 1000;
    policy.endpoints.push_back(endpoint);
  }
  for (std::size_t i = 0; i < kServices; ++i) {
    Policy::Service service;
    service.name = "service" + std::to_string(i);
    service.id = id_from_name<ServiceId>(service.name);
    service.vip = IpAddress::v4(static_cast<std::uint32_t>(0xcb007100U + i));
    service.port = 8000;
    service.max_rtt = std::chrono::milliseconds(500);
    for (std::size_t k = 0; k < kMaxServiceEndpoints; ++k)
      service.endpoints.push_back((i * 7 + k) % kEndpoints);
    policy.services.push_back(service);
  }
  return policy;
}

// A world that lives: every window is new and noisy in every tick, and every tenth tick a link or an endpoint
// changes its state.
class Living {
 public:
  explicit Living(const Policy& policy) : policy_(policy) {
    conditions.dataplane_alive = true;
    conditions.links.resize(policy.links.size());
    conditions.endpoints.resize(policy.endpoints.size());
    for (Conditions::Endpoint& endpoint : conditions.endpoints) endpoint.health = Health::healthy;
  }

  void tick() {
    now = now + policy_.steering.tick;
    std::uniform_real_distribution<double> noise(0.95, 1.05);
    for (std::size_t i = 0; i < conditions.links.size(); ++i) {
      Conditions::Link& link = conditions.links[i];
      const double base = 1e6 * static_cast<double>(1 + i % 19 * 7 + i / 19);
      link.state = telemetry::LinkState::up;
      link.window = Conditions::Window{
          Nanos(1), Nanos(static_cast<std::int64_t>(base * noise(random_))), Nanos(1), 400, now, 0.0};
    }
    for (Conditions::Endpoint& endpoint : conditions.endpoints) endpoint.flows = random_() % 700;
    if (++count_ % 10 != 0) return;
    conditions.links[random_() % conditions.links.size()].state = telemetry::LinkState::down;
    Conditions::Endpoint& endpoint = conditions.endpoints[random_() % conditions.endpoints.size()];
    endpoint.health = endpoint.health == Health::healthy ? Health::unhealthy : Health::healthy;
  }

  Conditions conditions;
  Instant now{1'000'000'000'000};

 private:
  const Policy& policy_;
  std::mt19937 random_{7};
  int count_ = 0;
};

const Policy& policy() {
  static const Policy made = large_policy();
  return made;
}

void route_tick(benchmark::State& state) {
  Living world(policy());
  Route route;
  for (int i = 0; i < 20; ++i) {
    world.tick();
    route = perigee::route(policy(), world.conditions, route, world.now);
  }
  for (auto _ : state) {
    state.PauseTiming();
    world.tick();
    state.ResumeTiming();
    route = perigee::route(policy(), world.conditions, route, world.now);
  }
}
BENCHMARK(route_tick)->Unit(benchmark::kMillisecond)->MinTime(3);

// As the control loop does it: the table, and its octets to compare with the ones before.
void compile_table(benchmark::State& state) {
  Living world(policy());
  Route route;
  for (int i = 0; i < 20; ++i) {
    world.tick();
    route = perigee::route(policy(), world.conditions, route, world.now);
  }
  for (auto _ : state) {
    const table::Table table = compile(policy(), route, {1, 1, 0});
    benchmark::DoNotOptimize(table::encode(table));
  }
  state.counters["candidates"] = static_cast<double>(compile(policy(), route, {1, 1, 0}).candidates.size());
}
BENCHMARK(compile_table)->Unit(benchmark::kMillisecond)->MinTime(3);

}  // namespace
}  // namespace perigee

BENCHMARK_MAIN();
