#include "steering/policy_constants.h"

namespace perigee {
namespace {

using namespace std::chrono_literals;
using yaml::Map;

constexpr std::size_t kMaxSocketPath = 107;  // sockaddr_un, with its end

void read_threshold(Map& map, const char* key, double& relative, Nanos& absolute) {
  const auto at = map.child(key);
  if (!at) return;
  Map inner(*at, map.report());
  inner.percent("relative", relative, 0, 0.9);
  inner.duration("absolute", absolute, Nanos(0), 1s);
}

void read_steering(Map& root, Policy::Steering& steering) {
  const auto at = root.child("steering");
  if (!at) return;
  Map map(*at, root.report());
  map.duration("tick", steering.tick, 10ms, 10s);
  map.duration("window", steering.window, 1s, 10min);
  read_threshold(map, "hysteresis", steering.hysteresis_relative, steering.hysteresis_absolute);
  read_threshold(map, "band", steering.band_relative, steering.band_absolute);
  map.integer<std::uint32_t>("dwell", steering.dwell, 1, 1000);
  map.duration("hold", steering.hold, Nanos(0), 1h);
  map.ratio("band_enter", steering.band_enter, 1, 10);
  map.ratio("band_leave", steering.band_leave, 1, 10);
  map.duration("good_news", steering.good_news, Nanos(0), 10min);
  if (const auto flap = map.child("flap")) {
    Map inner(*flap, root.report());
    inner.duration("half_life", steering.flap_half_life, 1s, 24h);
    inner.duration("max_wait", steering.flap_max_wait, Nanos(0), 24h);
  }
  if (const auto capacity = map.child("capacity")) {
    Map inner(*capacity, root.report());
    inner.percent("fill", steering.capacity_fill, 0.1, 1);
    inner.ratio("overprovision", steering.overprovision, 1, 100);
    inner.percent("panic", steering.panic, 0, 1);
  }
  map.integer<std::uint32_t>("min_samples", steering.min_samples, 1, 100'000);
  map.integer<std::uint32_t>("maximum_paths", steering.maximum_paths, 1, table::kMaxEqualLinks);
  if (const auto loss = map.child("loss")) {
    Map inner(*loss, root.report());
    inner.percent("ignore", steering.loss_ignored, 0, 1);
    inner.duration("penalty", steering.loss_penalty, Nanos(0), 1s);
  }
  if (steering.band_relative > steering.hysteresis_relative)
    map.report().add(map.path("band.relative"),
                     "is wider than hysteresis.relative; a band is at most as wide");
  if (steering.band_leave <= steering.band_enter)
    map.report().add(map.path("band_leave"), "is not above band_enter; a path would join and leave by turns");
  if (steering.band_absolute > steering.hysteresis_absolute)
    map.report().add(map.path("band.absolute"),
                     "is wider than hysteresis.absolute; a band is at most as wide");
}

void read_flows(Map& root, Policy::Flows& flows) {
  const auto at = root.child("flows");
  if (!at) return;
  Map map(*at, root.report());
  map.duration("tcp_idle", flows.tcp_idle, 1s, 168h);
  map.duration("tcp_closing", flows.tcp_closing, 1s, 1h);
  map.duration("tcp_opening", flows.tcp_opening, 1s, 1h);
  map.duration("udp_idle", flows.udp_idle, 1s, 24h);
  map.duration("path_gone", flows.path_gone, 100ms, 1h);
  map.integer<std::uint32_t>("refuse_rate", flows.refuse_rate, 1, 1'000'000);
  map.duration("drain_deadline", flows.drain_deadline, Nanos(0), 168h);
}

void read_admin(Map& root, Policy::Admin& admin) {
  const auto at = root.child("admin");
  if (!at) return;
  Map map(*at, root.report());
  AddressPort listen{admin.listen_address, admin.listen_port};
  if (map.value("listen", listen, parse_listen)) {
    admin.listen_address = listen.address;
    admin.listen_port = listen.port;
  }
  if (map.text("socket", admin.socket, kMaxSocketPath) && admin.socket[0] != '/')
    map.report().add(map.path("socket"),
                     "is not an absolute path; say for example \"/run/perigee/admin.sock\"");
}

}  // namespace

void read_constants(Map& root, Policy& policy) {
  read_steering(root, policy.steering);
  read_flows(root, policy.flows);
  read_admin(root, policy.admin);
}

}  // namespace perigee
