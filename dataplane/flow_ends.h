// What flows refer to by stable id: endpoints, services and SNAT addresses, as the table in force has them
// and as they were when flows that still go on were made. A place (index here) stays the same as long as a
// flow refers to it, through any number of tables.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "contract/telemetry.h"
#include "contract/units.h"
#include "dataplane/egress.h"
#include "dataplane/flow_file.h"
#include "dataplane/reply_lines.h"
#include "dataplane/serving_table.h"
#include "dataplane/snat.h"

namespace perigee {

using Place = std::uint16_t;
inline constexpr Place kNoPlace = 0xffff;
// Twice what a table may have: the old ones that still have flows, and the new.
inline constexpr std::uint32_t kMaxKnownEndpoints = 2 * table::kMaxEndpoints;
inline constexpr std::uint32_t kMaxKnownServices = 2 * table::kMaxServices;

struct KnownEndpoint {
  enum class Condition : std::uint8_t {
    live,      // in the table, with a usable path: `egresses`
    pathless,  // in the table, no path at the moment
    doomed,    // its flows are to be reset: gone from the table, told so, or pathless for too long
  };
  Condition condition = Condition::doomed;
  bool accepts_new = false;
  bool told_to_reset = false;
  std::uint16_t port = 0;
  std::uint32_t address = 0;  // 0: never known (flows of a previous process)
  std::uint32_t ways = 1;     // of `egresses`: more than one share its flows
  std::array<Egress, table::kMaxEqualLinks> egresses;
  EndpointId id;                       // none: the place is free
  std::uint32_t index = table::kNone;  // in the table in force
  std::uint32_t flows = 0;
  bool reachable = false;  // has a usable path by the last view of the links
  Instant pathless_since;
  telemetry::EndpointSlot* slot = nullptr;

  // Where a flow of it goes, by its SNAT port: that stays the same for its life.
  [[nodiscard]] const Egress& egress_of(std::uint16_t snat_port) const {
    return ways == 1 ? egresses[0] : egresses[place_among(ways, snat_port)];
  }
  [[nodiscard]] bool goes_over(std::uint32_t link) const {
    const Segment segment{Segment::Kind::link, static_cast<std::uint16_t>(link)};
    return std::any_of(egresses.begin(), egresses.begin() + ways,
                       [&](const Egress& egress) { return egress.segment == segment; });
  }
};

struct KnownService {
  ServiceId id;  // none: the place is free
  std::uint32_t vip = 0;
  std::uint16_t port = 0;
  std::uint8_t protocol = 0;
  bool silent = false;                 // Refuse::drop
  std::uint32_t index = table::kNone;  // in the table in force
  std::uint32_t flows = 0;
};

class FlowEnds {
 public:
  // `snat` is the state file's list of addresses.
  FlowEnds(std::array<IpAddress, kMaxKnownSnatAddresses>& snat, const SnatPorts& ports, SnatRests& rests,
           std::span<telemetry::EndpointSlot> slots, std::uint32_t seed);

  // Allocates; everything else here does not, but line() for a pair it has not seen.
  void adopt(const ServingTable& table);
  // The links changed: each endpoint's path, and what follows from it.
  void look(const ServingTable& table, LinkView links, Instant now);
  // Conditions by now. `path_gone`: an endpoint without a path for longer is doomed.
  void judge(Nanos path_gone, Instant now);
  // Some endpoint, service or SNAT address with flows is doomed.
  [[nodiscard]] bool any_doomed() const { return any_doomed_; }

  [[nodiscard]] std::size_t endpoint_places() const { return endpoints_.size(); }
  [[nodiscard]] KnownEndpoint& endpoint(Place place) { return endpoints_[place]; }
  [[nodiscard]] const KnownEndpoint& endpoint(Place place) const { return endpoints_[place]; }
  [[nodiscard]] KnownService& service(Place place) { return services_[place]; }
  [[nodiscard]] const KnownService& service(Place place) const { return services_[place]; }
  [[nodiscard]] Place endpoint_of_index(std::uint32_t index) const { return endpoint_of_index_[index]; }
  [[nodiscard]] Place service_of_index(std::uint32_t index) const { return service_of_index_[index]; }
  // The place of an id, for flows that were taken over; kNoPlace.
  [[nodiscard]] Place find_service(ServiceId id) const;
  // As above; an endpoint the table does not have gets a place too, doomed.
  Place find_or_remember(EndpointId id);

  // SNAT addresses by their index in the state file; 0: none.
  [[nodiscard]] std::uint32_t snat_address(std::uint8_t index) const { return snat_v4_[index]; }
  [[nodiscard]] bool snat_in_force(std::uint8_t index) const { return snat_in_force_[index]; }
  // Those of the table in force.
  [[nodiscard]] std::span<const std::uint8_t> snat_choices() const { return snat_choices_; }
  void snat_refer(std::uint8_t index, bool more) { snat_flows_[index] += more ? 1U : ~0U; }

  // The ports of (SNAT address, endpoint, protocol), made when there were none.
  SnatLine& line(Place endpoint, std::uint8_t snat, std::uint8_t protocol);
  // From replies to flows, by the lines there are.
  [[nodiscard]] const ReplyLines& replies() const { return replies_; }
  // Ports in use in the fullest set of lines of one (endpoint, protocol), of snat_ports_total().
  [[nodiscard]] std::uint32_t snat_ports_used() const;
  [[nodiscard]] std::uint32_t snat_ports_total() const {
    return static_cast<std::uint32_t>(snat_choices_.size()) * ports_.count();
  }

 private:
  using Lines = std::array<std::unique_ptr<SnatLine>, std::size_t{2} * kMaxKnownSnatAddresses>;
  static std::size_t line_index(std::uint8_t snat, std::uint8_t protocol);
  void adopt_endpoints(const ServingTable& table);
  void adopt_services(const ServingTable& table);
  void adopt_snat(const ServingTable& table);
  void index_line(Place endpoint, std::size_t index);
  void make_lines(const ServingTable& table);
  Place free_endpoint();
  void forget_endpoint(Place place);
  void forget_unless_in(const ServingTable& table);
  void free_slots(const std::vector<telemetry::EndpointSlot*>& left);

  std::array<IpAddress, kMaxKnownSnatAddresses>* snat_;
  SnatPorts ports_;
  SnatRests* rests_;
  std::span<telemetry::EndpointSlot> slots_;
  std::uint32_t seed_;

  std::vector<KnownEndpoint> endpoints_;
  std::vector<Place> free_endpoints_, free_services_;  // that were others' before
  std::vector<Lines> lines_;                           // by endpoint place
  ReplyLines replies_;
  std::vector<KnownService> services_;
  std::unordered_map<std::uint32_t, Place> endpoint_places_, service_places_;  // by id
  std::vector<Place> endpoint_of_index_, service_of_index_;
  std::array<std::uint32_t, kMaxKnownSnatAddresses> snat_v4_{}, snat_flows_{};
  std::array<bool, kMaxKnownSnatAddresses> snat_in_force_{};
  std::vector<std::uint8_t> snat_choices_;
  bool any_doomed_ = false;
};

}  // namespace perigee
