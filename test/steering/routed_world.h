// The world of world.h with a routed service in place of the forwarded one.
#pragma once

#include <string>

#include "test/steering/world.h"

namespace perigee {

inline const std::string kRoutedPolicy = [] {
  std::string text(kWorldPolicy.substr(0, kWorldPolicy.find("endpoints:")));
  text = replaced(text, "[10.1.0.0/16]", "[10.1.0.0/16], region: au");
  text = replaced(text, "[10.2.0.0/16]", "[10.2.0.0/16], region: au");
  text = replaced(text, "[10.3.0.0/16]", "[10.3.0.0/16], region: eu");
  return text + R"(endpoints:
  mel-1: {pop: mel, address: 10.2.1.1:8000}
  mel-2: {pop: mel, address: 10.2.1.2:8000, weight: 50, serves: [phi, meta/llama]}
  per-1: {pop: per, address: 10.3.1.1:8000}
listeners:
  public: {address: 203.0.113.20:443}
keys: {file: /etc/perigee/keys.yaml}
services:
  web: {vip: 203.0.113.20, deliver: host}
  ai:
    mode: route
    listeners: [public]
    require_key: true
    residency: [au, eu]
    max_rtt: 200ms
    max_in_flight: 64
    queue: {size: 7, time: 2s}
    limits: {rpm: 600, tpm: 90000, concurrency: 30, shadow: [tpm]}
    models:
      llama-3.1:
        endpoints: [mel-1, mel-2, per-1]
        served_name: meta/llama
        aliases: [llama]
        weights: {per-1: 20}
        timeouts: {connect: 1s, first_event: 90s, idle: 30s, total: 30m}
        sse_keep_alive: 15s
        canary: {percent: 5%, endpoints: [per-1]}
      phi: {}
)";
}();

}  // namespace perigee
