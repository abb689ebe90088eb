#include "gateway/api_json.h"

#include <array>
#include <cstdio>

#include "gateway/json_units.h"
#include "perigee_version.h"
#include "steering/route_terms.h"

namespace perigee::gateway {

namespace json = boost::json;

namespace {

std::string hex(std::uint64_t value) {
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(value));
  return text.data();
}

json::object identity_json(const table::Identity& identity) {
  return {{"generation", identity.generation},
          {"instance", hex(identity.gateway_instance)},
          {"checksum", hex(identity.checksum)}};
}

json::value report_json(const std::optional<telemetry::TableReport>& report, bool with_reason) {
  if (!report) return nullptr;
  json::object value = identity_json(report->identity);
  if (with_reason) value["reason"] = report->reason;
  return value;
}

json::array strings(const std::vector<std::string>& texts) {
  json::array array;
  for (const std::string& text : texts) array.emplace_back(text);
  return array;
}

json::value text_or_null(const std::string& text) {
  return text.empty() ? json::value(nullptr) : json::value(text);
}

json::object policy_status_json(const Snapshot& snapshot) {
  const PolicyStatus& status = snapshot.policy_status;
  return {{"file", status.file},
          {"loaded", snapshot.policy != nullptr},
          {"loaded_at", text_or_null(snapshot.policy ? status.loaded_at : std::string())},
          {"last_reload_successful", status.last_reload_successful},
          {"last_reload_at", text_or_null(status.last_reload_at)},
          {"errors", strings(status.errors)}};
}

json::value table_json(const std::optional<TableStatus>& table) {
  if (!table) return nullptr;
  json::object value = identity_json(table->identity);
  value["published_at"] = text_or_null(table->published_at);
  value["state"] = name_of(table->state);
  value["reason"] = table->reason;
  return value;
}

json::array ports_json(const std::vector<telemetry::PortSample>& ports) {
  json::array array;
  for (const telemetry::PortSample& port : ports) {
    array.push_back(json::object{{"name", port.name},
                                 {"link_up", port.link_up},
                                 {"rx_packets", port.rx_packets},
                                 {"rx_octets", port.rx_octets},
                                 {"tx_packets", port.tx_packets},
                                 {"tx_octets", port.tx_octets},
                                 {"tx_failed", port.tx_failed}});
  }
  return array;
}

void add_worker_counts(json::object& value, const telemetry::WorkerSample& workers) {
  value["flows"] = workers.flows;
  value["flows_created"] = workers.flows_created;
  value["flows_recovered"] = workers.flows_recovered;
  value["half_open_given_up"] = workers.half_open_given_up;
  value["snat_ports"] = json::object{{"used", workers.snat_ports_used}, {"total", workers.snat_ports_total}};
  value["resets_sent"] = workers.resets_sent;
  value["poll_gap_max_ms"] = static_cast<double>(workers.poll_gap_max_ns) / 1e6;
  value["poll_gap_last_ms"] = static_cast<double>(workers.poll_gap_last_ns) / 1e6;
  json::object packets;
  for (std::size_t i = 0; i < workers.packets.size(); ++i) {
    packets[telemetry::kVerdictNames[i]] = workers.packets[i];
  }
  value["packets"] = std::move(packets);
  json::object drops;
  for (std::size_t i = 0; i < workers.drops.size(); ++i) {
    if (workers.drops[i] > 0) drops[kDropReasonNames[i]] = workers.drops[i];
  }
  value["drops"] = std::move(drops);
}

json::object dataplane_json(const Snapshot& snapshot, Instant now) {
  json::object value;
  value["alive"] = snapshot.dataplane_alive();
  value["reason"] = snapshot.telemetry_error;
  if (!snapshot.telemetry) {
    for (const char* absent :
         {"pid", "heartbeat_age_ms", "uptime_s", "in_force", "refused", "flows", "flow_capacity",
          "flows_created", "flows_recovered", "half_open_given_up", "snat_ports", "resets_sent",
          "poll_gap_max_ms", "poll_gap_last_ms", "packets", "drops", "ports"}) {
      value[absent] = nullptr;
    }
    return value;
  }
  const telemetry::Snapshot& telemetry = *snapshot.telemetry;
  if (!snapshot.dataplane_alive()) value["reason"] = "its heartbeat stopped";
  value["pid"] = telemetry.pid;
  value["heartbeat_age_ms"] = milliseconds(now - telemetry.heartbeat);
  value["uptime_s"] = seconds(now - telemetry.started);
  value["in_force"] = report_json(telemetry.in_force, false);
  value["refused"] = report_json(telemetry.refused, true);
  value["flow_capacity"] = telemetry.flow_capacity;
  add_worker_counts(value, telemetry.workers);
  value["ports"] = ports_json(telemetry.ports);
  return value;
}

json::object probes_json(const telemetry::LinkSample& sample) {
  json::object invalid;
  for (std::size_t i = 0; i < sample.invalid.size(); ++i) {
    invalid[telemetry::kInvalidReplyNames[i]] = sample.invalid[i];
  }
  return {{"sent", sample.sent},          {"received", sample.received},   {"lost", sample.lost},
          {"late", sample.late},          {"duplicate", sample.duplicate}, {"reordered", sample.reordered},
          {"invalid", std::move(invalid)}};
}

const char* state_name(telemetry::LinkState state) {
  switch (state) {
    case telemetry::LinkState::up:
      return "up";
    case telemetry::LinkState::degraded:
      return "degraded";
    case telemetry::LinkState::down:
      return "down";
    case telemetry::LinkState::unknown:
      break;
  }
  return "unknown";
}

json::object link_json(const Snapshot& snapshot, std::size_t index, Instant now) {
  const Policy::Link& link = snapshot.policy->links[index];
  const telemetry::LinkSample* found = snapshot.link_sample(link.id);
  const telemetry::LinkSample sample = found == nullptr ? telemetry::LinkSample{} : *found;
  const bool measured = found != nullptr && snapshot.dataplane_alive();
  json::object value{{"name", link.name},
                     {"pop", snapshot.policy->pop_of(link).name},
                     {"port", link.port},
                     {"vlan", link.vlan},
                     {"local", link.local.text()},
                     {"peer", link.peer.text()},
                     {"state", state_name(snapshot.conditions.link(index).state)},
                     {"state_age_s", measured ? age_seconds(sample.state_since, now) : json::value(nullptr)},
                     {"maintenance", maintenance_json(snapshot, "link", link.name)},
                     {"rtt_ms", nullptr},
                     {"loss_ratio", nullptr},
                     {"flow_rtt_ms", flow_times_json(snapshot.conditions.link(index).flow_rtt)},
                     {"witnesses_disagree", nullptr},
                     {"last_sample_age_ms", nullptr},
                     {"cost_ms", milliseconds(link.cost)},
                     {"probes", probes_json(sample)},
                     {"reflected", sample.reflected},
                     {"transitions", sample.transitions},
                     {"tx_packets", sample.tx_packets},
                     {"tx_octets", sample.tx_octets},
                     {"rx_packets", sample.rx_packets},
                     {"rx_octets", sample.rx_octets}};
  if (measured && !sample.last_sample.never()) {
    value["last_sample_age_ms"] = milliseconds(now - sample.last_sample);
  }
  if (const auto apart = witnesses_disagree(*snapshot.policy, snapshot.conditions, index, now))
    value["witnesses_disagree"] = *apart;
  const telemetry::Window* window = fresh_window(snapshot, sample, now);
  if (window != nullptr && window->samples > 0) {
    value["rtt_ms"] = json::object{{"min", milliseconds(window->min)},
                                   {"p50", milliseconds(window->p50)},
                                   {"p99", milliseconds(window->p99)},
                                   {"samples", window->samples}};
  }
  if (window != nullptr && window->settled > 0) {
    value["loss_ratio"] = static_cast<double>(window->lost) / static_cast<double>(window->settled);
  }
  return value;
}

}  // namespace

json::value maintenance_json(const Snapshot& snapshot, std::string_view what, std::string_view name) {
  if (!snapshot.route) return nullptr;
  for (const UnderMaintenance& now : snapshot.route->maintenance)
    if (now.what == what && now.name == name)
      return json::object{{"until", text_of(now.until)}, {"note", now.note}};
  return nullptr;
}

json::value status_json(const Snapshot& snapshot, Instant now) {
  const std::vector<std::string> reasons = not_ready_reasons(snapshot, now);
  return json::object{
      {"version", kVersion},
      {"pop", snapshot.policy ? json::value(snapshot.policy->here().name) : json::value(nullptr)},
      {"ready", reasons.empty()},
      {"reasons", strings(reasons)},
      {"policy", policy_status_json(snapshot)},
      {"table", table_json(snapshot.table)},
      {"dataplane", dataplane_json(snapshot, now)}};
}

json::value links_json(const Snapshot& snapshot, Instant now) {
  json::array links;
  for (std::size_t i = 0; snapshot.policy && i < snapshot.policy->links.size(); ++i) {
    links.push_back(link_json(snapshot, i, now));
  }
  return json::object{{"links", std::move(links)}};
}

json::value readiness_json(const Snapshot& snapshot, Instant now) {
  const std::vector<std::string> reasons = not_ready_reasons(snapshot, now);
  return json::object{{"ready", reasons.empty()}, {"reasons", strings(reasons)}};
}

const char* name_of(ChangeResult result) {
  switch (result) {
    case ChangeResult::accepted:
      return "accepted";
    case ChangeResult::invalid:
      return "invalid";
    case ChangeResult::refused:
      return "refused";
    case ChangeResult::no_dataplane:
      return "no_dataplane";
  }
  return "";
}

json::value change_json(const Change& change) {
  return json::object{{"result", name_of(change.result)},
                      {"generation", change.generation},
                      {"reason", change.reason},
                      {"errors", strings(change.errors)}};
}

}  // namespace perigee::gateway
