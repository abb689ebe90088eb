// The forwarding table: what the gateway orders and the data plane serves. This file is the layout only.
//
// One immutable file, written whole and renamed into place. Its identity is (gateway instance, generation,
// checksum); nothing demands that generations grow. Both programs run on one host, so integers are
// little-endian as the machine stores them (asserted) and addresses are octets in network order.
// Every record has a fixed size without padding; reserved octets are zero and a reader refuses others.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "contract/address.h"
#include "contract/units.h"

namespace perigee::table {

static_assert(std::endian::native == std::endian::little, "the table is little-endian");

inline constexpr std::array<char, 8> kMagic = {'P', 'R', 'G', 'T', 'A', 'B', 'L', 'E'};
inline constexpr std::uint32_t kVersion = 1;

// Limits, each with its reason. A table beyond any of them is refused whole.
inline constexpr std::uint32_t kMaxFileSize = 16U << 20U;  // a copy of it is held twice during a swap
inline constexpr std::uint32_t kMaxLinks = 64;             // link sets are 64-bit masks in the packet path
inline constexpr std::uint32_t kMaxEndpoints = 4096;
inline constexpr std::uint32_t kMaxServices = 1024;
inline constexpr std::uint32_t kMaxTiersPerService = 16;
inline constexpr std::uint32_t kMaxCandidatesPerTier = 64;  // scanned per new flow
inline constexpr std::uint32_t kMaxPrefixes = 1024;         // longest match is a scan of sorted lengths
inline constexpr std::uint32_t kMaxInterfaces = 64;
inline constexpr std::uint32_t kMaxSnatAddresses = 16;
inline constexpr std::uint32_t kMaxProbePorts = 16;
inline constexpr std::uint32_t kMaxEqualLinks =
    4;  // each endpoint has a place for every one in the packet path
inline constexpr std::uint32_t kNone = 0xffffffffU;  // "no index"

// The longest start of UTF-8 `text` that has at most `octets` octets and ends between characters.
std::string_view cut_text(std::string_view text, std::size_t octets);

// A name for people: at most 31 octets of UTF-8, zero-filled.
struct Name {
  std::array<char, 32> text{};

  static Name of(std::string_view name);  // cut to 31 octets
  [[nodiscard]] std::string_view view() const;
  friend bool operator==(const Name&, const Name&) = default;
};

struct Identity {
  std::uint64_t gateway_instance = 0;  // random per start of the writer
  std::uint64_t generation = 0;
  std::uint64_t checksum = 0;  // FNV-1a 64 of the file with this field zero

  friend bool operator==(const Identity&, const Identity&) = default;
};

// An address of this PoP's data plane on one of its ports: what ARP answers for there, and the on-link prefix
// it serves. Links have their own local address and are not listed here.
struct Interface {
  Name port;                       // as on the data plane's command line
  std::uint16_t vlan = 0;          // 0 untagged
  std::uint16_t mtu = 1500;        // octets of IP
  std::uint8_t prefix_length = 0;  // of `local`
  std::uint8_t is_host = 0;        // 1: toward this host's kernel
  std::array<std::uint8_t, 2> reserved{};
  IpAddress local;
  IpAddress gateway;       // next hop for what is not on-link, or none
  MacAddress gateway_mac;  // pins the next hop's address, or none
  std::array<std::uint8_t, 2> reserved2{};
};
static_assert(sizeof(Interface) == 80);

// A measured link to another PoP, with everything its probes need.
struct Link {
  std::uint32_t id = 0;        // LinkId
  std::uint32_t peer_pop = 0;  // PopId
  Name name;
  Name port;
  std::uint16_t vlan = 0;
  std::uint16_t mtu = 1500;
  std::uint8_t probe_ports = 4;        // source ports, so that ECMP paths are all seen
  std::uint8_t detect_multiplier = 3;  // M: silent after M intervals
  std::uint8_t min_ttl = 1;            // a reply with a smaller TTL is not counted
  std::uint8_t up_count = 10;          // good replies in a row that bring it up
  std::uint16_t probe_port = 862;      // the peer's UDP port (RFC 8762 section 4.1), and our reflector's
  MacAddress next_hop_mac;             // pins it, or none
  IpAddress local;
  IpAddress next_hop;
  IpAddress peer;                       // the other data plane's address on this link
  std::uint64_t probe_interval_ns = 0;  // per source port
  std::uint64_t loss_deadline_ns = 0;
  std::uint64_t rtt_floor_ns = 0;
  std::uint64_t max_residence_ns = 0;
  std::uint64_t window_ns = 0;  // of the published min, p50, p99
};
static_assert(sizeof(Link) == 176);

// Where a destination goes when no VIP or SNAT address claims it: over links, in order, or out of an
// interface.
struct TransitPrefix {
  IpAddress address;
  std::uint8_t length = 0;       // of the family of `address`
  std::uint8_t equal_links = 0;  // of its links the first so many are as good, and share what is sent; 0, 1:
                                 // the first that lives takes all
  std::array<std::uint8_t, 2> reserved{};
  std::uint32_t interface = kNone;  // index, or kNone when it goes over links
  std::uint32_t first_link = 0;     // into link_order
  std::uint32_t link_count = 0;     // 0 when `interface` is set
};
static_assert(sizeof(TransitPrefix) == 32);

struct Endpoint {
  std::uint32_t id = 0;   // EndpointId
  std::uint32_t pop = 0;  // PopId
  Name name;
  IpAddress address;
  std::uint16_t port = 0;
  std::uint8_t accepts_new = 1;        // health and drain: 0 takes no new flow
  std::uint8_t reset_established = 0;  // 1: its flows are reset now
  std::uint32_t first_link = 0;        // its own ordered links, into link_order
  std::uint16_t link_count = 0;        // 0: in this PoP, reached through `interface`
  std::uint16_t equal_links = 0;       // as of a prefix: its established flows are spread over them
  std::uint32_t interface = kNone;
};
static_assert(sizeof(Endpoint) == 72);

enum class Action : std::uint32_t { nat = 1 };  // more tags are more encapsulations

// An endpoint over a link: paths are ranked, not endpoints.
struct Candidate {
  std::uint32_t action = static_cast<std::uint32_t>(Action::nat);
  std::uint32_t endpoint = 0;  // index
  std::uint32_t link = kNone;  // index, kNone for an endpoint in this PoP
  std::uint32_t weight = 0;    // 0 drains
};
static_assert(sizeof(Candidate) == 16);

struct Tier {
  std::uint32_t first_candidate = 0;
  std::uint32_t candidate_count = 0;
};
static_assert(sizeof(Tier) == 8);

enum class Deliver : std::uint8_t { nat = 0, host = 1 };
enum class Refuse : std::uint8_t { answer = 0, drop = 1 };  // RST or ICMP, or silence

struct Service {
  std::uint32_t id = 0;  // ServiceId
  Name name;
  IpAddress vip;
  std::uint16_t port = 0;     // 0: every port, only with Deliver::host
  std::uint8_t protocol = 0;  // IPPROTO_TCP or IPPROTO_UDP; 0: every one, only with port 0
  std::uint8_t deliver = 0;   // Deliver
  std::uint8_t refuse = 0;    // Refuse
  std::array<std::uint8_t, 3> reserved{};
  std::uint32_t interface = kNone;  // where Deliver::host goes
  std::uint32_t first_tier = 0;
  std::uint32_t tier_count = 0;
};
static_assert(sizeof(Service) == 72);

struct Settings {
  std::uint64_t idle_tcp_ns = 0;          // established
  std::uint64_t idle_tcp_closing_ns = 0;  // one side sent FIN
  std::uint64_t idle_tcp_opening_ns = 0;  // SYN not answered
  std::uint64_t idle_udp_ns = 0;
  std::uint64_t path_gone_ns = 0;        // established flows are reset when every path is gone for longer
  std::uint32_t snat_share_percent = 0;  // of the SNAT ports one client /24 or /64 may hold
  std::uint32_t refuse_per_second = 0;   // RST and ICMP of ours, together
  std::uint32_t reflect_per_second = 0;  // STAMP replies for one link
  std::uint32_t reserved = 0;
};
static_assert(sizeof(Settings) == 56);

// The table as a value. On disk: the header (table_file.cc), then each array in this order.
struct Table {
  Identity identity;
  Name pop;
  Settings settings;
  std::vector<Interface> interfaces;
  std::vector<Link> links;
  std::vector<std::uint32_t> link_order;  // indexes of links; ranges of it are named by others
  std::vector<TransitPrefix> prefixes;    // longest first
  std::vector<IpAddress> snat_addresses;
  std::vector<Endpoint> endpoints;
  std::vector<Service> services;
  std::vector<Tier> tiers;
  std::vector<Candidate> candidates;
};

}  // namespace perigee::table
