// A snapshot with known values: the policy of fake_dataplane.h, a living data plane, one link measured.
#pragma once

#include "gateway/snapshot.h"
#include "steering/policy_yaml.h"
#include "test/gateway/fake_dataplane.h"

namespace perigee::gateway::test {

inline constexpr Instant kNow{1'000'000'000'000};

inline telemetry::LinkSample known_link_sample() {
  using namespace std::chrono_literals;
  telemetry::LinkSample sample;
  sample.id = id_from_name<LinkId>("syd-mel");
  sample.incarnation = 1;
  sample.state = telemetry::LinkState::degraded;
  sample.state_since = kNow - 12s;
  sample.last_sample = kNow - 250ms;
  sample.sent = 110;
  sample.received = 100;
  sample.lost = 5;
  sample.late = 4;
  sample.duplicate = 3;
  sample.reordered = 2;
  sample.invalid[static_cast<std::size_t>(telemetry::InvalidReply::ttl)] = 7;
  sample.rtt_buckets[0] = 1;   // to 100 us
  sample.rtt_buckets[7] = 98;  // to 5 ms
  sample.rtt_buckets[20] = 1;  // beyond 1 s
  sample.rtt_sum_ns = 1'500'000'000;
  sample.window = telemetry::Window{kNow - 100ms, 4ms, 4500us, 8ms, 100, 1, 50};
  return sample;
}

// `more`: lines at the end of the policy.
inline Snapshot known_snapshot(const std::string& more = "") {
  using namespace std::chrono_literals;
  Snapshot snapshot;
  snapshot.at = kNow;
  snapshot.policy = std::make_shared<const Policy>(parse_policy(policy_text(more), "test.yaml").value());
  snapshot.policy_text = std::make_shared<const std::string>(policy_text(more));
  snapshot.policy_status = {
      "/etc/perigee/policy.yaml", "2026-11-30T00:00:00.000Z", "2026-11-30T00:00:00.000Z", true, {}};
  telemetry::Snapshot telemetry;
  telemetry.incarnation = 1;
  telemetry.pid = 4711;
  telemetry.started = kNow - 60s;
  telemetry.heartbeat = kNow - 10ms;
  telemetry.flow_capacity = 1000;
  telemetry.in_force = telemetry::TableReport{{1, 12, 3}, kNow, ""};
  telemetry.links = {known_link_sample()};
  telemetry.workers.packets = {1, 2, 3, 4, 5};
  telemetry.workers.drops[static_cast<std::size_t>(DropReason::no_flow)] = 5;
  telemetry.workers.flows = 10;
  telemetry.workers.poll_gap_last_ns = 2'000'000;
  telemetry.workers.poll_gap_max_ns = 8'000'000;
  telemetry.workers.snat_ports_used = 16;
  telemetry.workers.snat_ports_total = 64;
  telemetry.endpoints = {{id_from_name<EndpointId>("mel-1"), 40, 3}};
  snapshot.telemetry = telemetry;
  snapshot.table = TableStatus{{1, 12, 3}, "2026-11-30T00:00:00.000Z", kNow, TableState::in_force, "", 1};
  snapshot.health.resize(2);
  snapshot.health[0].state.verdict = Health::healthy;
  snapshot.health[0].state.since = kNow - 30s;
  snapshot.health[0].last = CheckResult{CheckFinding::ok, "", 5ms, 200};
  snapshot.health[0].last_at = kNow - 300ms;
  snapshot.health[0].findings[0] = 6;
  snapshot.conditions = conditions_of(*snapshot.policy, &*snapshot.telemetry, snapshot.health, kNow);
  snapshot.route = std::make_shared<const Route>(route(*snapshot.policy, snapshot.conditions, {}, kNow));
  snapshot.switches[id_from_name<ServiceId>("chat")][0] = 1;
  return snapshot;
}

inline constexpr WallTime kWall{std::chrono::seconds(1'796'090'400)};  // 2026-12-01T02:00:00Z

// The same with mel-1 drained for a minute, per-1 and syd-per in maintenance, and chat's pin expired.
inline Snapshot constrained_snapshot() {
  using namespace std::chrono_literals;
  Snapshot snapshot = known_snapshot();
  Policy policy = *snapshot.policy;
  policy.endpoints[0].drain = true;
  policy.endpoints[1].maintenance = {{kWall - 1h, kWall + 1h, "fans"}};
  policy.links[1].maintenance = {{kWall, kWall + 2h, ""}};
  policy.services[0].confines = {std::vector<std::size_t>{1, 2}, Pin{{0}, kWall}};
  snapshot.policy = std::make_shared<const Policy>(policy);
  snapshot.conditions.wall = kWall;
  snapshot.route = std::make_shared<const Route>(route(policy, snapshot.conditions, {}, kNow - 60s));
  return snapshot;
}

// Known, with three forwarded connections to mel-1 lately: `rtt` and a little to their SYN-ACKs.
inline Snapshot snapshot_with_flows(Nanos rtt, const char* link = "syd-mel") {
  using namespace std::chrono_literals;
  Snapshot snapshot = known_snapshot();
  telemetry::PathSample path;
  path.endpoint = id_from_name<EndpointId>("mel-1");
  path.link = id_from_name<LinkId>(link);
  path.incarnation = 1;
  path.times[0] = {40, 200'000'000, {}};
  path.times[1] = {20, 3'000'000'000, {}};
  for (std::size_t i = 0; i < 3; ++i) {
    path.times[0].recent[i] = telemetry::recent_time(kNow - 30s, rtt + 64us * i);
    path.times[1].recent[i] = telemetry::recent_time(kNow - 30s, 128ms * (3 - i));
  }
  path.times[0].recent[9] = telemetry::recent_time(kNow - 70s, 1ms);  // too long ago
  snapshot.telemetry->paths = {path};
  snapshot.conditions = conditions_of(*snapshot.policy, &*snapshot.telemetry, snapshot.health, kNow);
  return snapshot;
}

// The known one after the data plane's heart stopped.
inline Snapshot stale_snapshot() {
  Snapshot snapshot = known_snapshot();
  snapshot.conditions = {};
  return snapshot;
}

}  // namespace perigee::gateway::test
