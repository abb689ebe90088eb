#include "gateway/control_loop.h"

#include <fcntl.h>

#include <algorithm>
#include <random>
#include <utility>

#include "contract/handed_lock.h"
#include "gateway/routed_pools.h"
#include "gateway/switch_log.h"
#include "steering/table_compiler.h"

namespace perigee::gateway {
namespace {

std::uint64_t random_instance() {
  std::random_device source;
  return (static_cast<std::uint64_t>(source()) << 32U) | source();
}

// The table as octets without its identity: equal content is not published twice.
std::vector<std::byte> content_of(table::Table table) {
  table.identity = {};
  return table::encode(table);
}

std::optional<Conditions::FlowTimes> flow_times(std::vector<Nanos>& times) {
  if (times.empty()) return std::nullopt;
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>((times.size() - 1) / 2);
  std::nth_element(times.begin(), middle, times.end());
  return Conditions::FlowTimes{*std::min_element(times.begin(), middle + 1), *middle, times.size()};
}

// What forwarded connections met, for their links and endpoints.
void add_flow_times(const Policy& policy, const telemetry::Snapshot& telemetry, Instant now,
                    Conditions& conditions) {
  std::vector<std::vector<Nanos>> links(policy.links.size()), endpoints(policy.endpoints.size());
  for (const telemetry::PathSample& path : telemetry.paths) {
    const Policy::Endpoint* endpoint = policy.endpoint(path.endpoint);
    if (endpoint == nullptr) continue;
    path.of(telemetry::FlowTiming::first_byte)
        .add_recent(now, endpoints[static_cast<std::size_t>(endpoint - policy.endpoints.data())]);
    // Probes end at the link's peer: what lies beyond in another PoP is none of the link's.
    const Policy::Link* link = policy.link(path.link);
    if (link == nullptr || link->pop != endpoint->pop) continue;
    path.of(telemetry::FlowTiming::handshake)
        .add_recent(now, links[static_cast<std::size_t>(link - policy.links.data())]);
  }
  for (std::size_t i = 0; i < links.size(); ++i) conditions.links[i].flow_rtt = flow_times(links[i]);
  for (std::size_t i = 0; i < endpoints.size(); ++i)
    conditions.endpoints[i].first_byte = flow_times(endpoints[i]);
}

// After this long without a look at the ports a link may seem dead that lives.
Nanos shortest_silence(const Policy& policy) {
  Nanos least = Policy::Probe{}.interval * Policy::Probe{}.detect;
  for (const Policy::Link& link : policy.links)
    least = std::min(least, link.probe.interval * link.probe.detect);
  return least;
}

}  // namespace

Conditions conditions_of(const Policy& policy, const telemetry::Snapshot* telemetry,
                         const std::vector<EndpointHealth>& health, Instant now) {
  Conditions conditions;
  conditions.dataplane_alive = telemetry != nullptr && telemetry->alive(now);
  conditions.endpoints.resize(policy.endpoints.size());
  for (std::size_t i = 0; i < policy.endpoints.size() && i < health.size(); ++i) {
    conditions.endpoints[i].health = health[i].state.verdict;
    conditions.endpoints[i].since = health[i].state.since;
    conditions.endpoints[i].passed_at = health[i].state.passed_at;
    conditions.endpoints[i].failing_since = health[i].state.failing_since;
    conditions.endpoints[i].connection_rtt = health[i].connection_rtt;
    conditions.endpoints[i].load = health[i].load.load;
    conditions.endpoints[i].absent_models = health[i].absent_models.value_or(std::vector<std::string>());
  }
  conditions.links.resize(policy.links.size());
  if (!conditions.dataplane_alive) return conditions;
  conditions.dataplane_stalled =
      telemetry->workers.poll_gap_last_ns > static_cast<std::uint64_t>(shortest_silence(policy).count());
  for (std::size_t i = 0; i < policy.links.size(); ++i) {
    const telemetry::LinkSample* sample = telemetry->link(policy.links[i].id);
    if (sample == nullptr) continue;
    conditions.links[i].state = sample->state;
    if (!sample->window) continue;
    const telemetry::Window& window = *sample->window;
    Conditions::Window taken{window.min, window.p50, window.p99, window.samples, window.end, std::nullopt};
    if (window.settled > 0) {
      taken.loss = static_cast<double>(window.lost) / static_cast<double>(window.settled);
    }
    conditions.links[i].window = taken;
  }
  for (const telemetry::EndpointSample& sample : telemetry->endpoints) {
    const Policy::Endpoint* endpoint = policy.endpoint(sample.id);
    if (endpoint == nullptr) continue;
    conditions.endpoints[static_cast<std::size_t>(endpoint - policy.endpoints.data())].flows = sample.flows;
  }
  add_flow_times(policy, *telemetry, now, conditions);
  return conditions;
}

Descriptor ControlLoop::lock() const { return Descriptor(::fcntl(lock_.get(), F_DUPFD_CLOEXEC, 0)); }

Result<ControlLoop> ControlLoop::open(Places places, const Log& log, SnapshotCell& cell, Descriptor handed) {
  auto directory = open_directory(places.table_directory);
  if (!directory) return directory.error();
  auto lock = handed.valid() ? take_over_lock(*directory, places.table_directory, std::move(handed))
                             : lock_directory(*directory, places.table_directory);
  if (!lock) return lock.error();
  ControlLoop loop(std::move(places), log, cell, std::move(*directory), std::move(*lock));
  loop.take_table_in_force();
  return loop;
}

ControlLoop::ControlLoop(Places places, const Log& log, SnapshotCell& cell, Descriptor directory,
                         Descriptor lock)
    : log_(&log),
      cell_(&cell),
      places_(std::move(places)),
      directory_(std::move(directory)),
      lock_(std::move(lock)),
      reader_(places_.telemetry_directory, places_.dataplane_owner),
      instance_(random_instance()) {}

void ControlLoop::take_table_in_force() {
  auto found = table::read_file(places_.table_directory);
  if (!found) {
    log_->write(LogLevel::info, "no_table_in_force", {{"reason", found.error().text()}});
    return;
  }
  table_ = TableStatus{found->identity, "", {}, TableState::pending, "", 0};
  content_ = content_of(*found);
  found_ = std::move(*found);
  log_->write(LogLevel::info, "table_found", {{"generation", table_->identity.generation}});
}

std::uint64_t ControlLoop::adopt(std::shared_ptr<const Policy> policy,
                                 std::shared_ptr<const std::string> text, Instant now) {
  policy_ = std::move(policy);
  text_ = std::move(text);
  table_error_.clear();
  ++revision_;
  if (policy_ == nullptr) {
    route_ = nullptr;
    return revision_;
  }
  if (route_ == nullptr) {
    route_ = std::make_shared<const Route>(found_ ? rebuild(*policy_, *found_, now) : Route{});
    found_.reset();
  }
  // Counters of what the policy has exist from the start, those of what it no longer has go.
  std::map<ServiceId, SwitchCounts> switches;
  for (const Policy::Service& service : policy_->services) switches[service.id] = switches_[service.id];
  for (const RoutedPool& routed : routed_pools(*policy_))
    switches[routed.pool->id] = switches_[routed.pool->id];
  switches_ = std::move(switches);
  return revision_;
}

void ControlLoop::put_back(InForce before) {
  policy_ = std::move(before.policy);
  text_ = std::move(before.text);
  route_ = std::move(before.route);
  for (auto& [service, counts] : before.switches)  // a counter never goes back
    if (const auto now = switches_.find(service); now != switches_.end()) counts = now->second;
  switches_ = std::move(before.switches);
  table_error_.clear();
  ++revision_;
}

void ControlLoop::tick(Instant now, std::vector<EndpointHealth> health, std::optional<WallTime> wall) {
  read_telemetry(now);
  if (policy_ != nullptr) {
    conditions_ = conditions_of(*policy_, telemetry_ ? &*telemetry_ : nullptr, health, now);
    conditions_.wall = wall;
    decide(now);
    publish(now);
  } else {
    conditions_ = {};
    conditions_.dataplane_alive = dataplane_alive_;
  }
  acknowledge();
  store_snapshot(now, std::move(health));
}

void ControlLoop::read_telemetry(Instant now) {
  auto read = reader_.read();
  if (read) {
    telemetry_ = std::move(*read);
    telemetry_error_.clear();
  } else {
    telemetry_.reset();
    telemetry_error_ = read.error().text();
  }
  const bool alive = telemetry_ && telemetry_->alive(now);
  if (alive && (!dataplane_alive_ || telemetry_->incarnation != dataplane_incarnation_)) {
    log_->write(LogLevel::info, "dataplane_alive",
                {{"pid", telemetry_->pid}, {"restarted", telemetry_->incarnation != dataplane_incarnation_}});
    dataplane_incarnation_ = telemetry_->incarnation;
    // It starts from the file: should somebody have removed or replaced that, publish again.
    const auto on_disk = table::read_file(places_.table_directory);
    if (!on_disk || !table_ || on_disk->identity != table_->identity) content_.clear();
  }
  if (!alive && dataplane_alive_) {
    log_->write(
        LogLevel::error, "dataplane_lost",
        {{"reason", telemetry_error_.empty() ? std::string("its heartbeat stopped") : telemetry_error_}});
  }
  dataplane_alive_ = alive;
}

void ControlLoop::decide(Instant now) {
  const std::shared_ptr<const Route> before = std::move(route_);
  route_ = std::make_shared<const Route>(route(*policy_, conditions_, *before, now));
  record_maintenance(before->maintenance);
  record_switches();
  for (const RouteEvent& event : route_events(*policy_, *before, *route_))
    log_->write(event.level, event.name, event.fields);
}

void ControlLoop::record_maintenance(const std::vector<UnderMaintenance>& before) {
  const auto record = [this](const char* event, const std::vector<UnderMaintenance>& these,
                             const std::vector<UnderMaintenance>& others) {
    for (const UnderMaintenance& one : these)
      if (std::none_of(others.begin(), others.end(), [&](const UnderMaintenance& other) {
            return other.what == one.what && other.name == one.name;
          }))
        log_->write(
            LogLevel::info, event,
            {{one.what, one.name}, {"reason", "policy"}, {"until", text_of(one.until)}, {"note", one.note}});
  };
  record("maintenance_began", route_->maintenance, before);
  record("maintenance_ended", before, route_->maintenance);
}

void ControlLoop::record_switches() {
  for (const Switch& change : route_->switches) {
    const auto counts = switches_.find(change.service);
    if (counts != switches_.end()) ++counts->second[static_cast<std::size_t>(change.reason)];
    log_->write(change.to ? LogLevel::info : LogLevel::error, "service_switch",
                switch_fields(*policy_, *route_, change));
  }
}

void ControlLoop::publish(Instant now) {
  const table::Identity next{instance_, table_ ? table_->identity.generation + 1 : 1, 0};
  const table::Table table = compile(*policy_, *route_, next);
  std::vector<std::byte> content = content_of(table);
  if (table_ && content == content_) {
    table_error_.clear();
    table_->policy_revision = revision_;
    return;
  }
  if (!published_.never() && now - published_ < kMinPublishGap) return;  // the next tick sees to it
  auto identity = table::write_file(places_.table_directory, table);
  if (!identity) {
    const std::string reason = identity.error().text();
    if (reason != table_error_) log_->write(LogLevel::error, "table_not_published", {{"reason", reason}});
    table_error_ = reason;
    return;
  }
  table_error_.clear();
  published_ = now;
  content_ = std::move(content);
  table_ = TableStatus{*identity, wall_clock_now(), now, TableState::pending, "", revision_};
  log_->write(LogLevel::info, "table_published",
              {{"generation", identity->generation}, {"policy_revision", revision_}});
}

void ControlLoop::acknowledge() {
  if (!table_) return;
  const TableState before = table_->state;
  const auto is_ours = [this](const std::optional<telemetry::TableReport>& report) {
    return report && report->identity == table_->identity;
  };
  table_->reason.clear();
  if (!dataplane_alive_) {
    table_->state = TableState::no_dataplane;
  } else if (is_ours(telemetry_->in_force)) {
    table_->state = TableState::in_force;
  } else if (is_ours(telemetry_->refused)) {
    table_->state = TableState::refused;
    table_->reason = telemetry_->refused->reason;
  } else {
    table_->state = TableState::pending;
  }
  if (table_->state == before) return;
  const auto generation = table_->identity.generation;
  if (table_->state == TableState::in_force) {
    log_->write(LogLevel::info, "table_acknowledged", {{"generation", generation}});
  } else if (table_->state == TableState::refused) {
    log_->write(LogLevel::error, "table_refused", {{"generation", generation}, {"reason", table_->reason}});
  }
}

void ControlLoop::store_snapshot(Instant now, std::vector<EndpointHealth> health) {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->at = now;
  snapshot->stopping = stopping_;
  snapshot->policy_status = policy_status_;
  snapshot->policy = policy_;
  snapshot->policy_text = text_;
  snapshot->route = route_;
  snapshot->conditions = conditions_;
  snapshot->health = std::move(health);
  snapshot->switches = switches_;
  snapshot->telemetry = telemetry_;
  snapshot->telemetry_error = telemetry_error_;
  snapshot->table = table_;
  snapshot->table_error = table_error_;
  cell_->store(std::move(snapshot));
}

}  // namespace perigee::gateway
