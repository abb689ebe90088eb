// A router between two PoPs, one endpoint each, whose class of requests has hedges.
#pragma once

#include "router/hedge.h"
#include "test/router/router_lab.h"

namespace perigee::router {

struct HedgeLab : RouterLab {
  // e1 is in mel, which is asked first; e2 is in per, in another region.
  void begin_two(const ScriptedEndpoint& e1, const ScriptedEndpoint& e2, std::string_view model = "",
                 std::string_view per = "per") {
    port = ScriptedEndpoint::free_port();
    policy = policy_of(R"(version: 1
pop: syd
pops:
  syd: {prefixes: [10.1.0.0/16]}
  mel: {prefixes: [10.2.0.0/16], region: au}
  per: {prefixes: [10.3.0.0/16], region: eu}
interfaces:
  edge: {port: edge0, address: 198.51.100.1/24, gateway: none}
  host: {port: host0, address: 10.1.0.1/24, host: true}
snat: {addresses: [10.1.255.1]}
links:
  a: {pop: mel, port: link0, local: 172.31.1.1, peer: 172.31.1.2}
  p: {pop: per, port: link1, local: 172.31.3.1, peer: 172.31.3.2}
health: {type: none}
endpoints:
  e1: {pop: mel, address: '10.2.1.1:)" +
                       std::to_string(e1.port()) + R"('}
  e2: {pop: )" + std::string(per) +
                       ", address: '10." + (per == "per" ? "3" : "2") + ".1.2:" + std::to_string(e2.port()) +
                       R"('}
listeners: {public: {address: '127.0.0.1:)" +
                       std::to_string(port) + R"('}}
services:
  ai: {mode: route, listeners: [public], models: {m: {served_name: served, class: chat, endpoints: [e1, e2])" +
                       std::string(model) + "}}" + more_service + "}\n" +
                       "router: {classes: {chat: {hedge: {samples: 20}}}" + more_router + "}\n");
    router = Router::create(sinks).value();
    in_force = std::make_shared<const Policy>(policy);
    ASSERT_TRUE(router->prepare(in_force, monotonic_now()).empty());
    publish();
  }
  void publish() {
    decided = route(*in_force, Conditions{}, decided, monotonic_now());
    router->publish(in_force, decided, monotonic_now());
  }
  // As if a thousand quick requests had been.
  void know() {
    for (int i = 0; i < 1000; ++i) {
      add_first_event(hedges(), HedgeKind::stream, std::chrono::milliseconds(5));
      add_first_event(hedges(), HedgeKind::embeddings, std::chrono::milliseconds(5));
      earn(hedges(), HedgeLaw{}, 1000);
    }
    publish();
  }
  [[nodiscard]] HedgeCounters& hedges() const { return *router->snapshot()->hedges[1]; }
  [[nodiscard]] std::uint64_t ended(HedgeEnd end) const {
    return hedges().ends[static_cast<std::size_t>(end)];
  }
  [[nodiscard]] std::uint64_t refused(HedgeRefusal reason) const {
    return hedges().refusals[static_cast<std::size_t>(reason)];
  }

  std::string more_router;  // more keys of the policy's router, before begin_two()
  std::vector<RecordSink*> sinks{&records};
};

}  // namespace perigee::router
