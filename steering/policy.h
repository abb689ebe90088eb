// What the operator wants, as an immutable value: every name resolved to an index or an id, every unit a
// type. policy_yaml.h makes one from a file and vouches for what is said here; nothing else in the program
// sees YAML.
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

namespace perigee {

// Limits, each with its reason; policy_yaml refuses what is beyond.
inline constexpr std::size_t kMaxPolicyOctets = 1U << 20U;  // a person's file, not a database
inline constexpr std::size_t kMaxPops = 256;
inline constexpr std::size_t kMaxServiceEndpoints = table::kMaxCandidatesPerTier;  // all may tie in one tier
inline constexpr std::size_t kMaxNameOctets = 31;                                  // table::Name

struct Policy {
  struct Pop {
    std::string name;
    PopId id;
    std::vector<Prefix> prefixes;  // IPv4; of different PoPs never overlap
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

  struct Endpoint {
    std::string name;
    EndpointId id;
    std::size_t pop = 0;  // index into pops
    IpAddress address;    // within a prefix of its PoP
    std::uint16_t port = 0;
    std::uint32_t weight = 100;             // 1..65535
    std::optional<std::uint32_t> capacity;  // flows it is given before new ones spill to others
    bool drain = false;
    std::map<std::string, std::string> labels;
    Health health;
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
    friend bool operator==(const Service&, const Service&) = default;
  };

  struct Steering {
    Nanos tick{100'000'000};  // between evaluations
    Nanos window{10'000'000'000};
    double hysteresis_relative = 0.10;  // a challenger must be better by both
    Nanos hysteresis_absolute{1'000'000};
    double band_relative = 0.02;  // costs closer than the larger of both are equal
    Nanos band_absolute{100'000};
    std::uint32_t dwell = 3;  // evaluations in a row
    Nanos hold{30'000'000'000};
    std::uint32_t min_samples = 3;   // a window with fewer replies decides nothing
    double loss_ignored = 0.01;      // ratio below which loss costs nothing
    Nanos loss_penalty{10'000'000};  // for each percent of loss above it
    friend bool operator==(const Steering&, const Steering&) = default;
  };

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
  std::vector<Service> services;
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

  [[nodiscard]] const Pop& here() const { return pops[own_pop]; }
  [[nodiscard]] const Pop& pop_of(const Link& link) const { return pops[link.pop]; }
  [[nodiscard]] const Pop& pop_of(const Endpoint& endpoint) const { return pops[endpoint.pop]; }
  // The declared RTT from the link's peer onward to `pop_index`: 0 for the peer's own PoP; absent when the
  // link does not lead there.
  [[nodiscard]] std::optional<Nanos> onward(const Link& link, std::size_t pop_index) const;
  // The interface that leads to a local `address`: the one it is on-link at, else the one with the default
  // gateway; an index into interfaces.
  [[nodiscard]] std::optional<std::size_t> interface_to(const IpAddress& address) const;

  friend bool operator==(const Policy&, const Policy&) = default;
};

[[nodiscard]] const char* name_of(Policy::Protocol protocol);  // "any", "tcp", "udp"
[[nodiscard]] const char* name_of(Policy::Health::Type type);  // "none", "tcp", "http", "https"
[[nodiscard]] std::string text_of(Nanos duration);             // "1h", "250us", "1.5ms": as a policy says it

}  // namespace perigee
