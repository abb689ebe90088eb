// What the tests of the decision share: a policy of three PoPs, and a world that is measured tick by tick.
//
//   syd (here) --a--> mel     10 ms      endpoints mel-1, mel-2
//              --b--> mel     14 ms
//              --p--> per     40 ms      endpoint per-1
//   per is also behind mel (declared 30 ms onward, over b).
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "steering/policy_yaml.h"
#include "steering/route.h"

namespace perigee {

inline constexpr std::string_view kWorldPolicy = R"(version: 1
pop: syd
pops:
  syd: {prefixes: [10.1.0.0/16]}
  mel: {prefixes: [10.2.0.0/16]}
  per: {prefixes: [10.3.0.0/16]}
interfaces:
  edge: {port: edge0, address: 198.51.100.1/24, gateway: 198.51.100.254}
  host: {port: host0, address: 10.1.0.1/24, host: true}
snat: {addresses: [10.1.255.1]}
links:
  a: {pop: mel, port: link0, local: 172.31.1.1, peer: 172.31.1.2}
  b: {pop: mel, port: link1, local: 172.31.2.1, peer: 172.31.2.2, reaches: {per: 30ms}}
  p: {pop: per, port: link2, local: 172.31.3.1, peer: 172.31.3.2}
endpoints:
  mel-1: {pop: mel, address: 10.2.1.1:8000}
  mel-2: {pop: mel, address: 10.2.1.2:8000, weight: 50}
  per-1: {pop: per, address: 10.3.1.1:8000}
services:
  chat: {vip: 203.0.113.10:8000, endpoints: [mel-1, mel-2, per-1]}
  web: {vip: 203.0.113.11, deliver: host}
)";

inline Policy policy_from(std::string_view text) {
  PolicyResult result = parse_policy(text, "test.yaml");
  if (!result) ADD_FAILURE() << text_of(result.error());
  return result ? std::move(*result) : Policy{};
}

// `text` with its first `from` replaced, as a policy.
inline std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out(text);
  const std::size_t at = out.find(from);
  if (at == std::string::npos)
    ADD_FAILURE() << "no " << from;
  else
    out.replace(at, from.size(), to);
  return out;
}

inline Nanos ms(double value) { return Nanos(static_cast<std::int64_t>(value * 1e6)); }

class World {
 public:
  explicit World(std::string_view text = kWorldPolicy) : policy(policy_from(text)) {
    conditions.dataplane_alive = true;
    conditions.links.resize(policy.links.size());
    conditions.endpoints.resize(policy.endpoints.size());
  }

  // Measured and up.
  void rtt(std::string_view link, double p50_ms, double loss = 0) {
    Conditions::Link& entry = conditions.links[index_of(link)];
    entry.state = telemetry::LinkState::up;
    entry.window = Conditions::Window{ms(p50_ms * 0.9), ms(p50_ms), ms(p50_ms * 1.2), 400, now, loss};
  }
  void all_measured() {
    rtt("a", 10);
    rtt("b", 14);
    rtt("p", 40);
  }
  void down(std::string_view link) {
    conditions.links[index_of(link)].state = telemetry::LinkState::down;
    conditions.links[index_of(link)].window.reset();
  }
  void unknown(std::string_view link) { conditions.links[index_of(link)] = {}; }
  void health(std::string_view endpoint, Health health) {
    for (std::size_t i = 0; i < policy.endpoints.size(); ++i)
      if (policy.endpoints[i].name == endpoint) conditions.endpoints[i] = {health, now, std::nullopt};
  }

  // One evaluation, a tick later; windows are as fresh as they were set last.
  void tick() {
    now = now + policy.steering.tick;
    for (Conditions::Link& link : conditions.links)
      if (link.window && fresh) link.window->taken = now;
    route = perigee::route(policy, conditions, route, now);
    for (const Switch& event : route.switches) switches.push_back(event);
  }
  void ticks(int count) {
    for (int i = 0; i < count; ++i) tick();
  }
  void run(Nanos time) { ticks(static_cast<int>(time / policy.steering.tick)); }
  // Settled with everything measured, and no hold any more.
  void settle() {
    all_measured();
    run(policy.steering.hold + std::chrono::seconds(1));
    switches.clear();
  }

  // "mel/a per/p": the paths of a tier of chat.
  [[nodiscard]] std::string tier(std::size_t index, std::string_view service = "chat") const {
    const ServiceRoute* chosen = route.service(policy.service(service)->id);
    if (chosen == nullptr || index >= chosen->tiers.size()) return "none";
    std::string out;
    for (const Candidate& candidate : chosen->tiers[index]) {
      const Policy::Link* link = policy.link(candidate.link);
      out += (out.empty() ? "" : " ") + policy.endpoint(candidate.endpoint)->name + "/" +
             (link == nullptr ? "-" : link->name);
    }
    return out;
  }
  // The link of the first candidate.
  [[nodiscard]] std::string in_use(std::string_view service = "chat") const {
    const std::string first = tier(0, service);
    return first.substr(first.rfind('/') + 1);
  }
  // "a b": the links to a PoP, best first.
  [[nodiscard]] std::string links_to(std::string_view pop) const {
    std::string out;
    for (const RankedPath& path : route.pop(id_from_name<PopId>(pop))->ranking.paths)
      out += (out.empty() ? "" : " ") + policy.link(path.path.link)->name;
    return out;
  }
  // "initial:->a failure:a->b": what switched so far.
  [[nodiscard]] std::string history() const {
    const auto name = [&](const std::optional<Path>& path) {
      if (!path) return std::string();
      const Policy::Link* link = policy.link(path->link);
      return link == nullptr ? std::string("-") : link->name;
    };
    std::string out;
    for (const Switch& event : switches)
      out += (out.empty() ? "" : " ") + std::string(name_of(event.reason)) + ":" + name(event.from) + "->" +
             name(event.to);
    return out;
  }

  Policy policy;
  Conditions conditions;
  Route route;
  std::vector<Switch> switches;
  Instant now{1'000'000'000'000};
  bool fresh = true;

 private:
  [[nodiscard]] std::size_t index_of(std::string_view link) const {
    for (std::size_t i = 0; i < policy.links.size(); ++i)
      if (policy.links[i].name == link) return i;
    ADD_FAILURE() << "no link " << link;
    return 0;
  }
};

}  // namespace perigee
