// What the operator wants, as an immutable value: every name an index or an id, every unit a type.
// policy_yaml.h makes one from a file and vouches for what is said here; nothing else sees YAML.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "contract/address.h"
#include "contract/table.h"
#include "contract/units.h"
#include "steering/constraints.h"
#include "steering/policy_classes.h"
#include "steering/request_limits.h"
#include "steering/service_estimate.h"
#include "steering/steering_law.h"

namespace perigee {

// Limits, each with its reason; policy_yaml refuses what is beyond.
inline constexpr std::size_t kMaxPolicyOctets = 1U << 20U;  // a person's file, not a database
inline constexpr std::size_t kMaxPops = 256;
inline constexpr std::size_t kMaxServiceEndpoints = table::kMaxCandidatesPerTier;  // all may tie in one tier
inline constexpr std::size_t kMaxNameOctets = 31;                                  // table::Name
inline constexpr std::size_t kMaxRegions = 63;       // a set of them is one word in the request path
inline constexpr std::size_t kMaxListeners = 32;     // each is a socket in every thread
inline constexpr std::size_t kMaxModels = 256;       // of all services: each is ranked once per tick
inline constexpr std::size_t kMaxModelOctets = 127;  // of a model's name: it is in metrics, logs and answers
inline constexpr std::uint32_t kMaxHeaderOctets = 65'535;  // of a request's head: its offsets are 16 bits
inline constexpr std::uint32_t kMaxHeaderFields = 256;     // what a parse keeps on the stack
inline constexpr std::size_t kMaxCertificates = 16;  // of one listener: each is tried by name in a handshake

struct Policy {
  struct Pop {
    std::string name;
    PopId id;
    std::vector<Prefix> prefixes;       // IPv4; of different PoPs never overlap
    std::optional<std::size_t> region;  // index into regions; none: outside every residency
    std::vector<Maintenance> maintenance = {};
    friend bool operator==(const Pop&, const Pop&) = default;
  };

  // An address of this PoP's data plane that is not on a link.
  struct Interface {
    std::string name;
    std::string port;
    std::uint16_t vlan = 0;
    std::uint16_t mtu = 1500;  // octets of IP
    IpAddress address;
    std::uint8_t prefix_length = 0;
    IpAddress gateway;       // the default route's next hop, or none; at most one interface has it
    MacAddress gateway_mac;  // pins it, or none
    bool host = false;       // toward this host's kernel; at most one interface is

    [[nodiscard]] Prefix subnet() const;
    friend bool operator==(const Interface&, const Interface&) = default;
  };

  struct Probe {
    Nanos interval{100'000'000};  // per source port
    std::uint8_t detect = 3;      // M
    std::uint8_t ports = 4;
    std::uint16_t udp_port = 862;
    std::uint8_t min_ttl = 1;
    Nanos rtt_floor{0};
    Nanos max_residence{20'000'000};
    Nanos loss_deadline{1'000'000'000};
    std::uint8_t up_count = 10;
    friend bool operator==(const Probe&, const Probe&) = default;
  };

  // A PoP behind the peer of a link, with the declared RTT from the peer onward.
  struct Reach {
    std::size_t pop = 0;  // index into pops
    Nanos rtt{0};
    friend bool operator==(const Reach&, const Reach&) = default;
  };

  struct Link {
    std::string name;
    LinkId id;
    std::size_t pop = 0;  // the peer's, index into pops
    std::string port;
    std::uint16_t vlan = 0;
    std::uint16_t mtu = 1500;
    IpAddress local;
    IpAddress next_hop;
    IpAddress peer;
    MacAddress mac;  // pins the next hop's, or none
    Nanos cost{0};   // added to the measured RTT
    Probe probe;
    std::vector<Reach> reaches;
    std::vector<Maintenance> maintenance;
    friend bool operator==(const Link&, const Link&) = default;
  };

  struct Health {
    enum class Type : std::uint8_t { none, tcp, http, https };
    Type type = Type::http;
    std::string path = "/health";
    std::uint16_t status = 200;
    std::optional<std::string> body;  // must occur in the response's body
    Nanos interval{1'000'000'000};
    Nanos timeout{500'000'000};
    std::uint32_t fall = 3;
    std::uint32_t rise = 2;
    friend bool operator==(const Health&, const Health&) = default;
  };

  // What an endpoint is asked of its engine's load.
  struct Load {
    std::string metrics;  // path of its metrics; empty: not asked
    Nanos interval{250'000'000};
    bool orca = false;       // a report is asked for with every routed request
    std::uint16_t port = 0;  // of `metrics`; 0: the endpoint's
    [[nodiscard]] Nanos counts() const { return 3 * interval; }  // an answer, before its load is unknown
    friend bool operator==(const Load&, const Load&) = default;
  };

  // How requests and checks speak TLS to an endpoint. Files are absolute paths, read with the policy.
  struct EndpointTls {
    std::string ca;    // of the endpoint's certificate; empty: the system's
    std::string name;  // that the certificate must have, and SNI; never empty when `verify`
    bool verify = true;
    std::string certificate;  // the router's own, when the endpoint asks for one; both or neither
    std::string key;
    friend bool operator==(const EndpointTls&, const EndpointTls&) = default;
  };

  // Where the bearer token for an endpoint is: a file or a variable of the environment, never the policy
  // itself.
  struct Credential {
    std::string file;  // one of both; both empty: none
    std::string environment;
    [[nodiscard]] bool none() const { return file.empty() && environment.empty(); }
    friend bool operator==(const Credential&, const Credential&) = default;
  };

  struct Endpoint {
    std::string name;
    EndpointId id;
    std::size_t pop = 0;  // index into pops
    IpAddress address;    // within a prefix of its PoP
    std::uint16_t port = 0;
    std::uint32_t weight = 100;             // 1..65535
    std::optional<std::uint32_t> capacity;  // flows it is given before new ones spill to others
    std::uint32_t cost_tier = 0;            // 0..kMaxCostTier: used only while no lower one is usable
    bool drain = false;
    std::vector<Maintenance> maintenance;
    std::map<std::string, std::string> labels;
    Health health;
    std::optional<std::vector<std::string>> serves;  // models by the endpoint's own names; absent: any
    std::string discover;  // path of its list of models, which narrows `serves`; empty: not asked
    Load load;
    std::optional<EndpointTls> tls;  // of routed requests, https checks, `discover` and `load`
    Credential credential;           // of routed requests
    friend bool operator==(const Endpoint&, const Endpoint&) = default;
  };

  // As IPPROTO_*; `any` only when delivered to the host, with port 0.
  enum class Protocol : std::uint8_t { any = 0, tcp = 6, udp = 17 };

  struct Service {
    std::string name;
    ServiceId id;
    IpAddress vip;
    std::uint16_t port = 0;  // 0, every port, only when delivered to the host
    Protocol protocol = Protocol::tcp;
    table::Deliver deliver = table::Deliver::nat;
    std::vector<std::size_t>
        endpoints;                 // indexes, in policy order, each once; empty when delivered to the host
    std::optional<Nanos> max_rtt;  // of measured + declared RTT
    table::Refuse refuse = table::Refuse::answer;
    Confines confines;
    friend bool operator==(const Service&, const Service&) = default;
  };

  // A socket of the router. Its address is this host's: a VIP that is delivered to the host, or one the data
  // plane knows nothing of.
  struct Listener {
    enum class ClientCertificate : std::uint8_t { none, optional, required };
    struct Certificate {  // PEM files, absolute paths
      std::string chain, key;
      friend bool operator==(const Certificate&, const Certificate&) = default;
    };
    struct Tls {
      std::vector<Certificate> certificates;  // by SNI; the first when none fits
      std::string client_ca;                  // of client certificates; empty exactly with `none`
      ClientCertificate client_certificate = ClientCertificate::none;
      friend bool operator==(const Tls&, const Tls&) = default;
    };
    struct ProxyProtocol {  // v2
      bool require = false;
      std::vector<Prefix> from;  // who may send it; never empty when required
      friend bool operator==(const ProxyProtocol&, const ProxyProtocol&) = default;
    };
    struct Limits {
      std::uint32_t header_octets = 16384;
      std::uint32_t header_fields = 100;
      Nanos header_time{std::chrono::seconds(10)};
      Nanos handshake_time{std::chrono::seconds(10)};
      Nanos keep_alive{std::chrono::seconds(75)};  // idle between requests
      std::uint32_t connections = 20'000;
      std::uint32_t connections_per_source = 1000;
      std::uint64_t body_octets = std::uint64_t{32} << 20U;
      Nanos body_grace{std::chrono::seconds(10)};  // before the rate of a body is looked at
      std::uint32_t min_body_rate = 4096;          // octets a second, from then on
      Nanos write_stall{std::chrono::seconds(60)};
      friend bool operator==(const Limits&, const Limits&) = default;
    };
    std::string name;
    IpAddress address;  // 0.0.0.0: every address of this host
    std::uint16_t port = 0;
    std::optional<Tls> tls;
    ProxyProtocol proxy_protocol;
    Limits limits;
    bool diagnostics = false;  // answers say which endpoint served, by name, and why a request was dropped
    // Whose Gateway API inference extension headers are obeyed: clients, as a PROXY header names them.
    std::vector<Prefix> extension_headers_from;
    friend bool operator==(const Listener&, const Listener&) = default;
  };

  // What one ranking chooses among: the endpoints of a model or of its canary.
  struct Pool {
    ServiceId id;                        // of "service/model" or "service/model/canary"
    std::vector<std::size_t> endpoints;  // indexes, in policy order, each once
    std::vector<std::uint32_t> weights;  // beside them, 1..65535
    std::string served_name;             // the model's name at these endpoints
    friend bool operator==(const Pool&, const Pool&) = default;
  };

  struct Model {
    struct Timeouts {
      Nanos connect{std::chrono::seconds(2)};
      Nanos first_event{std::chrono::minutes(2)};  // after the request, of a stream or what is not generated
      Nanos idle{std::chrono::minutes(1)};         // between two events
      Nanos total{std::chrono::hours(1)};
      friend bool operator==(const Timeouts&, const Timeouts&) = default;
    };
    struct Canary {
      std::uint32_t per_10000 = 0;  // of keys and sessions, 1..10000
      Pool pool;
      friend bool operator==(const Canary&, const Canary&) = default;
    };
    std::string name;  // what clients ask for
    std::vector<std::string> aliases;
    Pool pool;
    Timeouts timeouts;
    Nanos sse_keep_alive{0};        // so long a client waits for an event before it gets a comment; 0: none
    std::size_t request_class = 0;  // index into Router::classes
    std::optional<Canary> canary;
    friend bool operator==(const Model&, const Model&) = default;
  };

  // A service with `mode: route`. Not in the table: its listeners are sockets of this host.
  struct RoutedService {
    std::string name;  // of no other service, of either mode
    ServiceId id;
    std::vector<std::size_t> listeners;  // indexes; each listener is of exactly one service
    bool require_key = false;
    struct Queue {  // of those that have no place yet
      std::uint32_t size = 100;
      Nanos time{std::chrono::seconds(5)};
      friend bool operator==(const Queue&, const Queue&) = default;
    };
    std::optional<std::uint32_t> max_in_flight;  // from their model known to their end; absent: any
    Queue queue;
    RequestLimits limits;  // of all its requests together, beside those of their keys
    std::vector<Model> models;
    std::optional<std::vector<std::size_t>> residency;  // indexes into regions; absent: anywhere
    std::optional<Nanos> max_rtt;                       // as of Service
    Confines confines;

    // By name or alias.
    [[nodiscard]] const Model* model(std::string_view asked) const;
    friend bool operator==(const RoutedService&, const RoutedService&) = default;
  };

  // What holds for all routed requests.
  struct Router {
    struct Breaker {
      std::uint32_t failures = 5;  // more than successes, within `window`
      Nanos window{std::chrono::seconds(60)};
      Nanos open{std::chrono::seconds(30)};
      std::uint32_t successes = 2;  // of trials, that close it
      friend bool operator==(const Breaker&, const Breaker&) = default;
    };
    std::uint32_t threads = 4;                              // at most; never more than CPUs
    std::uint64_t body_hold = std::uint64_t{1} << 20U;      // octets of one request kept for a retry
    std::uint64_t held_octets = std::uint64_t{256} << 20U;  // of all of them
    std::uint32_t retries = 2;                              // of one request
    double retry_budget = 0.20;                             // of the requests in flight
    std::uint32_t retry_min = 3;                            // retries at once that are always allowed
    Nanos pool_idle{std::chrono::seconds(4)};
    Breaker breaker;
    std::vector<RequestClass> classes{1};  // the first: of models that name none
    // Of an endpoint of which nothing is known, nor of its peers: an eighth of a millisecond a token.
    ServiceTerms service{std::chrono::milliseconds(50), 125'000};
    Nanos slow_start{std::chrono::seconds(10)};     // 0: none
    Nanos drain_deadline{std::chrono::minutes(5)};  // of this process's own streams when it stops
    std::string access_log = "none";                // or "stderr", or a file's absolute path
    std::string decision_log = "none";  // the same: each choice of an endpoint, for `perigee replay`
    struct UsageRecords {
      std::string directory;                                 // absolute; empty: none are kept
      std::uint64_t file_octets = std::uint64_t{16} << 20U;  // of one file
      std::uint64_t octets = std::uint64_t{1} << 30U;  // of all that are there; further records are lost
      friend bool operator==(const UsageRecords&, const UsageRecords&) = default;
    };
    UsageRecords usage_records;
    friend bool operator==(const Router&, const Router&) = default;
  };

  using Steering = SteeringLaw;

  struct Flows {
    Nanos tcp_idle{std::chrono::hours(1)};
    Nanos tcp_closing{std::chrono::minutes(2)};
    Nanos tcp_opening{std::chrono::seconds(30)};
    Nanos udp_idle{std::chrono::seconds(60)};
    Nanos path_gone{std::chrono::seconds(30)};
    std::uint32_t refuse_rate = 1000;  // RST and ICMP of ours a second
    Nanos drain_deadline{std::chrono::minutes(10)};
    friend bool operator==(const Flows&, const Flows&) = default;
  };

  struct Admin {
    IpAddress listen_address = IpAddress::v4(127, 0, 0, 1);
    std::uint16_t listen_port = 8620;
    std::string socket = "/run/perigee/admin.sock";
    friend bool operator==(const Admin&, const Admin&) = default;
  };

  std::size_t own_pop = 0;  // index into pops
  std::vector<Pop> pops;
  std::vector<Interface> interfaces;
  std::vector<IpAddress> snat_addresses;
  std::uint32_t snat_share_percent = 25;
  std::uint32_t reflect_rate = 1000;  // probe.reflect_rate: STAMP replies a second for one link
  std::vector<Link> links;
  std::vector<Endpoint> endpoints;
  std::vector<Service> services;  // forwarded, or delivered to the host
  std::vector<std::string> regions;
  std::vector<Listener> listeners;
  std::vector<RoutedService> routed;
  std::string keys_file;  // absolute; empty: there are no keys
  Router router;
  Steering steering;
  Flows flows;
  Admin admin;

  // All lookups: nullptr when there is none.
  [[nodiscard]] const Link* link(LinkId id) const;
  [[nodiscard]] const Link* link(std::string_view name) const;
  [[nodiscard]] const Endpoint* endpoint(EndpointId id) const;
  [[nodiscard]] const Endpoint* endpoint(std::string_view name) const;
  [[nodiscard]] const Service* service(ServiceId id) const;
  [[nodiscard]] const Service* service(std::string_view name) const;
  [[nodiscard]] const Pop* pop(PopId id) const;
  [[nodiscard]] const RoutedService* routed_service(std::string_view name) const;

  [[nodiscard]] const Pop& here() const { return pops[own_pop]; }
  [[nodiscard]] const Pop& pop_of(const Link& link) const { return pops[link.pop]; }
  [[nodiscard]] const Pop& pop_of(const Endpoint& endpoint) const { return pops[endpoint.pop]; }
  // The declared RTT from the link's peer onward to `pop_index`: 0 for the peer's own PoP; absent when the
  // link does not lead there.
  [[nodiscard]] std::optional<Nanos> onward(const Link& link, std::size_t pop_index) const;
  // Index of the interface that a local `address` is on-link at, else of that with the default gateway.
  [[nodiscard]] std::optional<std::size_t> interface_to(const IpAddress& address) const;

  friend bool operator==(const Policy&, const Policy&) = default;
};

[[nodiscard]] const char* name_of(Policy::Protocol protocol);  // "any", "tcp", "udp"
[[nodiscard]] const char* name_of(Policy::Health::Type type);  // "none", "tcp", "http", "https"
[[nodiscard]] std::string text_of(Nanos duration);             // "1h", "250us", "1.5ms": as a policy says it

}  // namespace perigee
