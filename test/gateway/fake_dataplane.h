// A gateway's surroundings in a directory of the test's own: a policy file, a table directory, and a data
// plane that is only its telemetry.
#pragma once

#include <sys/stat.h>

#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <string>

#include "contract/table_file.h"
#include "contract/telemetry_file.h"
#include "gateway/control_loop.h"
#include "gateway/log.h"
#include "test/contract/run_directory.h"

namespace perigee::gateway::test {

// What was logged, as text to search in.
class Lines {
 public:
  [[nodiscard]] Log log() {
    return Log(LogLevel::debug, [this](std::string_view line) {
      const std::lock_guard lock(mutex_);
      text_ += line;
    });
  }
  [[nodiscard]] std::string text() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }
  [[nodiscard]] bool has(const std::string& event) const { return count(event) > 0; }
  [[nodiscard]] int count(const std::string& event) const {
    const std::lock_guard lock(mutex_);
    int found = 0;
    const std::string wanted = "\"event\":\"" + event + "\"";
    for (std::size_t at = text_.find(wanted); at != std::string::npos; at = text_.find(wanted, at + 1))
      ++found;
    return found;
  }
  void clear() {
    const std::lock_guard lock(mutex_);
    text_.clear();
  }

 private:
  mutable std::mutex mutex_;
  std::string text_;
};

// Two links to two PoPs with an endpoint each. `more` is added at the end.
inline std::string policy_text(const std::string& more = "") {
  return R"(version: 1
pop: syd
pops: {syd: {prefixes: [10.1.0.0/16]}, mel: {prefixes: [10.2.0.0/16]}, per: {prefixes: [10.3.0.0/16]}}
interfaces:
  edge: {port: edge0, address: 198.51.100.1/24, gateway: none}
  host: {port: host0, address: 10.1.0.1/24, host: true}
snat: {addresses: [10.1.255.1], client_share: 25%}
links:
  syd-mel: {pop: mel, port: link0, local: 172.31.1.1, next_hop: 172.31.1.2, peer: 172.31.1.2}
  syd-per: {pop: per, port: link1, local: 172.31.3.1, next_hop: 172.31.3.2, peer: 172.31.3.2}
health: {type: none}
endpoints:
  mel-1: {pop: mel, address: 10.2.1.1:8000, labels: {gpu: h100}}
  per-1: {pop: per, address: 10.3.1.1:8000}
services:
  chat: {vip: 203.0.113.10:8000, protocol: tcp, mode: forward, endpoints: [mel-1, per-1]}
)" + more;
}

// For `more`: a routed service, whose canary is at the farther endpoint.
inline const std::string kRouted = R"(
  ai:
    mode: route
    listeners: [front]
    models:
      llama:
        endpoints: [mel-1, per-1]
        aliases: [l]
        served_name: meta/llama
        canary: {percent: 5%, endpoints: [per-1]}
listeners: {front: {address: "203.0.113.11:80"}}
)";

class Surroundings {
 public:
  Surroundings() {
    for (const char* name : {"/table", "/telemetry"}) ::mkdir((path() + name).c_str(), 0700);
  }

  [[nodiscard]] const std::string& path() const { return directory_.path(); }
  [[nodiscard]] std::string policy_file() const { return path() + "/policy.yaml"; }
  [[nodiscard]] std::string table_directory() const { return path() + "/table"; }
  [[nodiscard]] std::string telemetry_directory() const { return path() + "/telemetry"; }
  [[nodiscard]] ControlLoop::Places places() const { return {table_directory(), telemetry_directory(), {}}; }

  void write_policy(const std::string& text) const { std::ofstream(policy_file()) << text; }
  [[nodiscard]] static std::string contents(const std::string& file) {
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    return text.str();
  }

 private:
  RunDirectory directory_;
};

class FakeDataplane {
 public:
  explicit FakeDataplane(const Surroundings& around)
      : table_directory_(around.table_directory()),
        writer_(
            telemetry::Writer::create(around.telemetry_directory(), {1, 1000, {"edge0", "link0"}}).value()) {}

  [[nodiscard]] telemetry::Layout& layout() { return writer_.layout(); }
  [[nodiscard]] table::Identity table_on_disk() const {
    return table::read_file(table_directory_).value().identity;
  }

  void beat(Instant now) { layout().header.heartbeat_ns = now.ns; }
  void accept(Instant now) {
    beat(now);
    writer_.set_in_force(table_on_disk(), now);
  }
  void refuse(const std::string& reason, Instant now) {
    beat(now);
    writer_.set_refused(table_on_disk(), reason, now);
  }

  // A link that measures `rtt` at `now`; slots are given out in the order of first use.
  telemetry::LinkSlot& measure(const std::string& link, Nanos rtt, Instant now) {
    telemetry::LinkSlot& slot = slot_of(link);
    slot.state = static_cast<std::uint32_t>(telemetry::LinkState::up);
    slot.last_sample_ns = now.ns;
    telemetry::store_window(slot, {now, rtt, rtt, rtt, 100, 1, 100});
    return slot;
  }
  telemetry::LinkSlot& cut(const std::string& link, Instant now) {
    telemetry::LinkSlot& slot = slot_of(link);
    slot.state = static_cast<std::uint32_t>(telemetry::LinkState::down);
    telemetry::store_window(slot, {now, {}, {}, {}, 0, 100, 100});
    return slot;
  }

 private:
  telemetry::LinkSlot& slot_of(const std::string& link) {
    const auto [found, fresh] = slots_.try_emplace(link, slots_.size());
    telemetry::LinkSlot& slot = layout().links[found->second];
    if (fresh) {
      slot.id = id_from_name<LinkId>(link).value;
      slot.incarnation = 1;
    }
    return slot;
  }

  std::string table_directory_;
  telemetry::Writer writer_;
  std::map<std::string, std::size_t> slots_;
};

}  // namespace perigee::gateway::test
