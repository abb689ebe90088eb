#include "steering/policy_router.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "steering/policy_names.h"

namespace perigee {
namespace {

using namespace std::chrono_literals;
using yaml::Cursor;
using yaml::Map;
using ClientCertificate = Policy::Listener::ClientCertificate;

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;
constexpr std::uint64_t kGiB = 1024 * kMiB;
constexpr std::size_t kMaxDnsName = 253;  // RFC 1035, section 2.3.4, without the root's dot
constexpr std::size_t kMaxPath = 255;
constexpr std::size_t kMaxVariable = 255;  // no one types a longer one

void read_certificate(Map& map, Policy::Listener::Certificate& certificate) {
  if (map.needs("chain", "the certificate and those that vouch for it, a PEM file"))
    map.absolute_path("chain", certificate.chain);
  if (map.needs("key", "its private key, a PEM file")) map.absolute_path("key", certificate.key);
}

void read_certificates(Map& map, Policy::Listener::Tls& tls) {
  if (!map.needs("certificates", "at least one, such as \"[{chain: FILE, key: FILE}]\"")) return;
  const Cursor at = *map.child("certificates");
  if (!at.is(yaml::Node::Kind::sequence) || at.node->children.empty()) {
    map.report().add(at.path, "must be a list of at least one, such as \"[{chain: FILE, key: FILE}]\"");
    return;
  }
  const std::size_t count = at.node->children.size();
  if (too_many(map, "certificates", count, kMaxCertificates)) return;
  for (std::size_t i = 0; i < count; ++i) {
    Map item(Cursor{&at.node->children[i], yaml::join(at.path, i)}, map.report());
    read_certificate(item, tls.certificates.emplace_back());
  }
}

void read_listener_tls(Map& map, Policy::Listener& listener) {
  const auto at = map.child("tls");
  if (!at) return;
  Map inner(*at, map.report());
  Policy::Listener::Tls& tls = listener.tls.emplace(Policy::Listener::Tls{});
  read_certificates(inner, tls);
  inner.absolute_path("client_ca", tls.client_ca);
  inner.choice<ClientCertificate>("client_certificate", tls.client_certificate,
                                  {{"none", ClientCertificate::none},
                                   {"optional", ClientCertificate::optional},
                                   {"required", ClientCertificate::required}});
  const bool asked = tls.client_certificate != ClientCertificate::none;
  if (asked && !inner.child("client_ca"))
    inner.report().add(inner.path("client_certificate"),
                       "needs \"client_ca\", the CA of client certificates, a PEM file");
  if (!asked && inner.child("client_ca"))
    inner.report().add(inner.path("client_ca"),
                       "says nothing without \"client_certificate\"; say optional or required there");
}

void read_prefixes(const Cursor& at, yaml::Report& report, std::vector<Prefix>& out) {
  const auto items = yaml::scalars(at, report);
  if (items.empty() && at.is(yaml::Node::Kind::sequence))
    report.add(at.path, "is empty; give at least one prefix, or leave it out");
  for (const Cursor& item : items) {
    const Result<Prefix> prefix = parse_prefix(item.node->scalar);
    if (prefix)
      out.push_back(*prefix);
    else
      report.add(item.path, prefix.error().what);
  }
}

void read_proxy_protocol(Map& map, Policy::Listener::ProxyProtocol& proxy) {
  const auto at = map.child("proxy_protocol");
  if (!at) return;
  Map inner(*at, map.report());
  inner.value("require", proxy.require, parse_flag);
  if (const auto from = inner.child("from")) {
    read_prefixes(*from, map.report(), proxy.from);
    if (!proxy.require)
      map.report().add(from->path,
                       "says nothing without \"require: true\"; a header is required or forbidden");
  } else if (proxy.require) {
    map.report().add(inner.path("require"), "needs \"from\", the prefixes of those who send the header");
  }
}

void read_limits(Map& map, Policy::Listener::Limits& limits) {
  const auto at = map.child("limits");
  if (!at) return;
  Map inner(*at, map.report());
  std::uint64_t header_octets = limits.header_octets;
  if (inner.octets("header_octets", header_octets, kKiB, kMaxHeaderOctets))
    limits.header_octets = static_cast<std::uint32_t>(header_octets);
  inner.integer<std::uint32_t>("header_fields", limits.header_fields, 8, kMaxHeaderFields);
  inner.duration("header_time", limits.header_time, 10ms, 10min);
  inner.duration("handshake_time", limits.handshake_time, 10ms, 10min);
  inner.duration("keep_alive", limits.keep_alive, 10ms, 1h);
  inner.integer<std::uint32_t>("connections", limits.connections, 1, 1'000'000);
  limits.connections_per_source = std::min(limits.connections_per_source, limits.connections);
  inner.integer<std::uint32_t>("connections_per_source", limits.connections_per_source, 1,
                               limits.connections);
  inner.octets("body_octets", limits.body_octets, kKiB, kGiB);
  inner.duration("body_grace", limits.body_grace, 10ms, 10min);
  std::uint64_t rate = limits.min_body_rate;
  if (inner.octets("min_body_rate", rate, 1, kMiB)) limits.min_body_rate = static_cast<std::uint32_t>(rate);
  inner.duration("write_stall", limits.write_stall, 10ms, 1h);
}

void read_listeners(Map& root, Policy& policy) {
  for (const auto& [name, at] : entries(root, "listeners", kMaxListeners)) {
    Policy::Listener listener;
    listener.name = name;
    Map map(at, root.report());
    AddressPort address;
    if (map.needs("address", "its address and port, such as \"203.0.113.20:443\"") &&
        map.value("address", address, parse_socket)) {
      listener.address = address.address;
      listener.port = address.port;
    }
    read_listener_tls(map, listener);
    read_proxy_protocol(map, listener.proxy_protocol);
    read_limits(map, listener.limits);
    map.value("diagnostics", listener.diagnostics, parse_flag);
    if (const auto from = map.child("extension_headers_from"))
      read_prefixes(*from, map.report(), listener.extension_headers_from);
    policy.listeners.push_back(std::move(listener));
  }
}

void read_log(Map& map, const char* key, std::string& target) {
  const auto log = map.child(key);
  if (log && log->is(yaml::Node::Kind::scalar) &&
      (log->node->scalar == "none" || log->node->scalar == "stderr"))
    target = log->node->scalar;
  else
    map.absolute_path(key, target);
}

// Each has its own form, and is opened anew and written by itself. Both may go to stderr.
void read_logs(Map& map, Policy::Router& router) {
  read_log(map, "access_log", router.access_log);
  read_log(map, "decision_log", router.decision_log);
  const auto file = [](const std::string& log) { return std::filesystem::path(log).lexically_normal(); };
  if (router.decision_log[0] == '/' && file(router.decision_log) == file(router.access_log))
    map.report().add(map.path("decision_log"), "is the file of \"access_log\"; name another");
}

void read_law(Map& map, ChoiceLaw& law) {
  map.integer<std::uint32_t>("draw", law.choices, 1, kMaxChoices);
  map.duration("spill_margin", law.spill_margin, Nanos(0), 10s);
  double equal = law.equal_ppm / 1e6;
  if (map.percent("equal", equal, 0, 0.5))
    law.equal_ppm = static_cast<std::uint32_t>(std::lround(equal * 1e6));
  map.duration("affinity_margin", law.affinity_margin, Nanos(0), 10s);
  map.duration("refresh_after", law.refresh_after, 1s, 24h);
  map.integer<std::uint32_t>("refresh_one_in", law.refresh_one_in, 0, 1'000'000);
}

void read_hedge(Map& map, RequestClass& own) {
  const auto at = map.child("hedge");
  if (!at) return;
  HedgeLaw& law = own.hedge.emplace();
  if (at->is(yaml::Node::Kind::null)) return;  // all as it is by default
  Map inner(*at, map.report());
  double share = law.share_ppm / 1e6;
  if (inner.percent("share", share, 0.0001, 0.02))
    law.share_ppm = static_cast<std::uint32_t>(std::lround(share * 1e6));
  inner.integer<std::uint32_t>("samples", law.samples, 20, 10'000);
}

void read_choice(Map& map, Policy::Router& router) {
  if (const auto at = map.child("choice")) {
    Map inner(*at, map.report());
    read_law(inner, router.classes.front().choice);
  }
  for (const auto& [name, at] : entries(map, "classes", kMaxClasses)) {
    Map inner(at, map.report());
    RequestClass own{name, router.classes.front().choice};
    read_law(inner, own.choice);
    read_hedge(inner, own);
    router.classes.push_back(std::move(own));
  }
  if (const auto at = map.child("service")) {
    Map inner(*at, map.report());
    inner.duration("fixed", router.service.fixed, Nanos(0), 10min);
    std::uint32_t rate = 8000;
    if (inner.integer<std::uint32_t>("tokens_per_second", rate, 1, 100'000'000))
      router.service.ns_per_token = 1e9 / rate;
  }
}

void read_breaker(Map& map, Policy::Router::Breaker& breaker) {
  const auto at = map.child("breaker");
  if (!at) return;
  Map inner(*at, map.report());
  inner.integer<std::uint32_t>("failures", breaker.failures, 1, 100);
  inner.duration("window", breaker.window, 100ms, 1h);
  inner.duration("open", breaker.open, 10ms, 1h);
  inner.integer<std::uint32_t>("successes", breaker.successes, 1, 100);
}

void read_usage_records(Map& map, Policy::Router::UsageRecords& usage) {
  const auto at = map.child("usage_records");
  if (!at) return;
  Map inner(*at, map.report());
  if (inner.needs("directory", "where they are kept, such as \"/var/lib/perigee/usage\""))
    inner.absolute_path("directory", usage.directory);
  inner.octets("octets", usage.octets, 64 * kKiB, 1024 * kGiB);
  usage.file_octets = std::min(usage.file_octets, usage.octets);
  inner.octets("file_octets", usage.file_octets, 4 * kKiB, usage.octets);
}

void read_router_constants(Map& root, Policy::Router& router) {
  const auto at = root.child("router");
  if (!at) return;
  Map map(*at, root.report());
  map.integer<std::uint32_t>("threads", router.threads, 1, 64);
  map.octets("held_octets", router.held_octets, kMiB, 64 * kGiB);
  map.octets("body_hold", router.body_hold, kKiB, std::min(64 * kMiB, router.held_octets));
  map.integer<std::uint32_t>("retries", router.retries, 0, 10);
  map.percent("retry_budget", router.retry_budget, 0, 1);
  map.integer<std::uint32_t>("retry_min", router.retry_min, 0, 10'000);
  map.duration("pool_idle", router.pool_idle, 50ms, 1h);
  read_breaker(map, router.breaker);
  read_choice(map, router);
  map.duration("slow_start", router.slow_start, Nanos(0), 10min);
  map.duration("drain_deadline", router.drain_deadline, Nanos(0), 24h);
  read_logs(map, router);
  read_usage_records(map, router.usage_records);
}

bool is_path(const std::string& text) { return text[0] == '/' && text.find(' ') == std::string::npos; }

void read_endpoint_tls(Map& map, Policy::Endpoint& endpoint) {
  const auto at = map.child("tls");
  if (!at) return;
  Policy::EndpointTls& tls = endpoint.tls.emplace(Policy::EndpointTls{});
  tls.name = endpoint.address.text();
  if (at->is(yaml::Node::Kind::null)) return;  // all as it is by default
  Map inner(*at, map.report());
  inner.absolute_path("ca", tls.ca);
  inner.text("name", tls.name, kMaxDnsName);
  inner.value("verify", tls.verify, parse_flag);
  if (!tls.verify && inner.child("ca"))
    inner.report().add(inner.path("ca"), "says nothing with \"verify: false\"; leave one out");
  inner.absolute_path("certificate", tls.certificate);
  inner.absolute_path("key", tls.key);
  if (inner.child("certificate").has_value() != inner.child("key").has_value())
    inner.report().add(inner.path(), "has one of \"certificate\" and \"key\"; give both or neither");
}

void read_credential(Map& map, Policy::Credential& credential) {
  const auto at = map.child("credential");
  if (!at) return;
  Map inner(*at, map.report());
  inner.absolute_path("file", credential.file);
  if (inner.text("environment", credential.environment, kMaxVariable) &&
      credential.environment.find_first_of("= ") != std::string::npos) {
    inner.report().add(inner.path("environment"), "is the name of a variable, such as \"MEL_TOKEN\"");
  }
  if (at->is(yaml::Node::Kind::map) &&
      inner.child("file").has_value() == inner.child("environment").has_value())
    inner.report().add(inner.path(), "must have one of \"file\" and \"environment\", where the token is");
}

}  // namespace

void read_region(Map& map, Policy& policy, Policy::Pop& pop) {
  std::string name;
  if (!map.value("region", name, parse_name)) return;
  const auto known = std::find(policy.regions.begin(), policy.regions.end(), name);
  pop.region = static_cast<std::size_t>(known - policy.regions.begin());
  if (known != policy.regions.end()) return;
  policy.regions.push_back(name);
  if (policy.regions.size() == kMaxRegions + 1)
    map.report().add(map.path("region"), "is one region too many; at most " + std::to_string(kMaxRegions));
}

void read_load(Map& map, Policy::Load& load) {
  const auto at = map.child("load");
  if (!at) return;
  Map inner(*at, map.report());
  std::string metrics;
  if (inner.text("metrics", metrics, kMaxPath)) {
    if (metrics == "none")
      load.metrics.clear();
    else if (is_path(metrics))
      load.metrics = std::move(metrics);
    else
      inner.report().add(inner.path("metrics"),
                         "must begin with '/' and have no space, or be none; say for example \"/metrics\"");
  }
  inner.integer<std::uint16_t>("port", load.port, 1, 65535);
  inner.duration("interval", load.interval, 50ms, 60s);
  inner.value("orca", load.orca, parse_flag);
  const bool of_all = map.path().empty();  // then endpoints may give the rest
  if (inner.child("port") && load.metrics.empty() && !of_all)
    inner.report().add(inner.path("port"), "says nothing without \"metrics\"");
  if (inner.child("interval") && load.metrics.empty() && !load.orca && !of_all)
    inner.report().add(inner.path("interval"), "says nothing without \"metrics\" or \"orca: true\"");
}

void read_routed_endpoint(Map& map, Policy::Endpoint& endpoint) {
  if (const auto at = map.child("serves")) {
    std::vector<std::string>& serves = endpoint.serves.emplace();
    for (const Cursor& item : yaml::scalars(*at, map.report())) {
      const Result<std::string> name = parse_model_name(item.node->scalar);
      if (!name)
        map.report().add(item.path, name.error().what);
      else if (std::find(serves.begin(), serves.end(), *name) != serves.end())
        map.report().add(item.path, yaml::quoted(*name) + " is listed twice; keep one of them");
      else
        serves.push_back(*name);
    }
  }
  if (map.text("discover", endpoint.discover, kMaxPath)) {
    if (!is_path(endpoint.discover))
      map.report().add(map.path("discover"),
                       "must begin with '/' and have no space; say for example \"/v1/models\"");
    if (endpoint.health.type == Policy::Health::Type::none)
      map.report().add(map.path("discover"), "goes with health checks; their type must not be none");
  }
  read_endpoint_tls(map, endpoint);
  read_credential(map, endpoint.credential);
}

void read_router(Map& root, Policy& policy) {
  read_listeners(root, policy);
  if (const auto at = root.child("keys")) {
    Map map(*at, root.report());
    if (map.needs("file", "the file of the API keys, such as \"/etc/perigee/keys.yaml\""))
      map.absolute_path("file", policy.keys_file);
  }
  read_router_constants(root, policy.router);
}

}  // namespace perigee
