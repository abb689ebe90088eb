#include "dataplane/flow_ends.h"

#include <algorithm>

#include "dataplane/packet.h"

namespace perigee {

namespace {

// Unless the id is another place's by now: the same name at another address.
void let_go(std::unordered_map<std::uint32_t, Place>& places, std::uint32_t id, Place place) {
  const auto found = places.find(id);
  if (found != places.end() && found->second == place) places.erase(found);
}

// Gives slots to the endpoints of one table: which hold what is looked at once, by the first that needs one.
class SlotGiver {
 public:
  explicit SlotGiver(std::span<telemetry::EndpointSlot> slots) : slots_(slots) {}

  // The slot that has this id, else a free one; null: there is none.
  telemetry::EndpointSlot* give(EndpointId id) {
    if (held_.empty()) {
      for (telemetry::EndpointSlot& slot : slots_) {
        if (const std::uint32_t holder = slot.id.load(std::memory_order_relaxed); holder != 0)
          held_[holder] = &slot;
      }
    }
    if (const auto found = held_.find(id.value); found != held_.end()) return found->second;
    while (next_ < slots_.size() && slots_[next_].id.load(std::memory_order_relaxed) != 0) ++next_;
    if (next_ == slots_.size()) return nullptr;
    telemetry::EndpointSlot& slot = slots_[next_];
    slot.id.store(id.value, std::memory_order_release);
    held_[id.value] = &slot;
    return &slot;
  }

 private:
  std::span<telemetry::EndpointSlot> slots_;
  std::unordered_map<std::uint32_t, telemetry::EndpointSlot*> held_;  // by id
  std::size_t next_ = 0;
};

}  // namespace

FlowEnds::FlowEnds(std::array<IpAddress, kMaxKnownSnatAddresses>& snat, const SnatPorts& ports,
                   SnatRests& rests, std::span<telemetry::EndpointSlot> slots, std::uint32_t seed)
    : snat_(&snat), ports_(ports), rests_(&rests), slots_(slots), seed_(seed), replies_(ports) {
  for (std::size_t i = 0; i < snat.size(); ++i) snat_v4_[i] = snat[i].none() ? 0 : snat[i].v4_value();
}

void FlowEnds::adopt(const ServingTable& table) {
  adopt_snat(table);
  adopt_endpoints(table);
  adopt_services(table);
  make_lines(table);
}

void FlowEnds::adopt_snat(const ServingTable& table) {
  snat_in_force_.fill(false);
  snat_choices_.clear();
  const auto take = [&](std::size_t index) {
    snat_in_force_[index] = true;
    snat_choices_.push_back(static_cast<std::uint8_t>(index));
  };
  std::vector<IpAddress> fresh;
  for (const IpAddress& address : table.table().snat_addresses) {
    const auto known = std::find(snat_->begin(), snat_->end(), address);
    if (known == snat_->end()) {
      fresh.push_back(address);
    } else {
      take(static_cast<std::size_t>(known - snat_->begin()));
    }
  }
  // An address that finds no room is used once the flows of an old one have ended.
  for (std::size_t i = 0; i < snat_->size() && !fresh.empty(); ++i) {
    if (snat_in_force_[i] || snat_flows_[i] != 0) continue;
    for (Lines& lines : lines_) {
      for (const std::uint8_t protocol : {kTcp, kUdp}) {
        std::unique_ptr<SnatLine>& line = lines[line_index(static_cast<std::uint8_t>(i), protocol)];
        if (line) line->clear(*rests_);
        line.reset();
      }
    }
    (*snat_)[i] = fresh.back();
    snat_v4_[i] = fresh.back().v4_value();
    fresh.pop_back();
    take(i);
  }
}

// Endpoints that the table does not have, or has at another address.
void FlowEnds::forget_unless_in(const ServingTable& table) {
  std::vector<telemetry::EndpointSlot*> left;
  for (Place place = 0; place < static_cast<Place>(endpoints_.size()); ++place) {
    KnownEndpoint& known = endpoints_[place];
    known.index = table::kNone;
    const std::uint32_t index = known.id.none() ? table::kNone : table.endpoint_index(known.id);
    const bool same = index != table::kNone && table.endpoint(index).address == known.address &&
                      table.endpoint(index).port == known.port;
    if (known.id.none()) continue;
    if (same) {
      endpoint_places_[known.id.value] = place;
      continue;
    }
    // The same name at another address is another endpoint: the old one's flows are reset.
    let_go(endpoint_places_, known.id.value, place);
    if (known.flows != 0) continue;
    if (known.slot != nullptr) left.push_back(known.slot);
    forget_endpoint(place);
  }
  if (!left.empty()) free_slots(left);
}

// Of those that were left, the ones that no other endpoint has: two of one name have the same.
void FlowEnds::free_slots(const std::vector<telemetry::EndpointSlot*>& left) {
  std::vector<bool> has(slots_.size());
  for (const KnownEndpoint& known : endpoints_)
    if (known.slot != nullptr) has[static_cast<std::size_t>(known.slot - slots_.data())] = true;
  for (telemetry::EndpointSlot* slot : left) {
    if (has[static_cast<std::size_t>(slot - slots_.data())]) continue;
    slot->id.store(0, std::memory_order_release);
    slot->flows_created.store(0, std::memory_order_relaxed);
    slot->flows.store(0, std::memory_order_relaxed);
  }
}

void FlowEnds::adopt_endpoints(const ServingTable& table) {
  forget_unless_in(table);
  SlotGiver slots(slots_);
  endpoint_of_index_.assign(table.table().endpoints.size(), kNoPlace);
  for (std::uint32_t index = 0; index < table.table().endpoints.size(); ++index) {
    const table::Endpoint& record = table.table().endpoints[index];
    const EndpointId id{record.id};
    const auto found = endpoint_places_.find(id.value);
    const Place place = found != endpoint_places_.end() ? found->second : free_endpoint();
    if (place == kNoPlace) continue;  // until flows of old ones have ended
    endpoint_places_[id.value] = place;
    endpoint_of_index_[index] = place;
    KnownEndpoint& known = endpoints_[place];
    known.id = id;
    known.address = table.endpoint(index).address;
    known.port = table.endpoint(index).port;
    known.index = index;
    known.accepts_new = record.accepts_new != 0;
    known.told_to_reset = record.reset_established != 0;
    if (known.slot == nullptr) known.slot = slots.give(id);
  }
}

void FlowEnds::adopt_services(const ServingTable& table) {
  for (Place place = 0; place < static_cast<Place>(services_.size()); ++place) {
    KnownService& known = services_[place];
    known.index = table::kNone;
    if (known.id.none()) continue;
    const std::uint32_t index = table.service_index(known.id);
    if (index != table::kNone) {
      const table::Service& record = table.table().services[index];
      if (record.vip.v4_value() == known.vip && record.port == known.port &&
          record.protocol == known.protocol) {
        service_places_[known.id.value] = place;
        continue;
      }
    }
    let_go(service_places_, known.id.value, place);
    if (known.flows != 0) continue;
    known = {};
    free_services_.push_back(place);
  }
  service_of_index_.assign(table.table().services.size(), kNoPlace);
  for (std::uint32_t index = 0; index < table.table().services.size(); ++index) {
    const table::Service& record = table.table().services[index];
    if (record.deliver != static_cast<std::uint8_t>(table::Deliver::nat)) continue;
    const auto found = service_places_.find(record.id);
    Place place = kNoPlace;
    if (found != service_places_.end()) {
      place = found->second;
    } else if (!free_services_.empty()) {
      place = free_services_.back();
      free_services_.pop_back();
    } else {
      if (services_.size() == kMaxKnownServices) continue;  // until flows of old ones have ended
      place = static_cast<Place>(services_.size());
      services_.emplace_back();
    }
    service_places_[record.id] = place;
    service_of_index_[index] = place;
    const bool silent = record.refuse == static_cast<std::uint8_t>(table::Refuse::drop);
    services_[place] = {
        ServiceId{record.id},  record.vip.v4_value(), record.port, record.protocol, silent, index,
        services_[place].flows};
  }
}

// So that no packet waits for memory: a line for each way a new flow may take.
void FlowEnds::make_lines(const ServingTable& table) {
  replies_.clear();  // lines may have gone
  for (Place place = 0; place < static_cast<Place>(lines_.size()); ++place) {
    for (std::size_t index = 0; index < lines_[place].size(); ++index) {
      if (lines_[place][index]) index_line(place, index);
    }
  }
  for (const table::Service& service : table.table().services) {
    for (const table::Tier& tier : table.tiers_of(service)) {
      for (const table::Candidate& candidate : table.candidates_of(tier)) {
        const Place place = endpoint_of_index_[candidate.endpoint];
        if (place == kNoPlace) continue;
        for (const std::uint8_t snat : snat_choices_) line(place, snat, service.protocol);
      }
    }
  }
}

Place FlowEnds::free_endpoint() {
  if (!free_endpoints_.empty()) {
    const Place place = free_endpoints_.back();
    free_endpoints_.pop_back();
    return place;
  }
  if (endpoints_.size() == kMaxKnownEndpoints) return kNoPlace;
  endpoints_.emplace_back();
  lines_.emplace_back();
  return static_cast<Place>(endpoints_.size() - 1);
}

void FlowEnds::forget_endpoint(Place place) {
  for (std::unique_ptr<SnatLine>& line : lines_[place]) {
    if (line) line->clear(*rests_);
    line.reset();
  }
  endpoints_[place] = {};
  free_endpoints_.push_back(place);
}

Place FlowEnds::find_service(ServiceId id) const {
  const auto found = service_places_.find(id.value);
  return found == service_places_.end() ? kNoPlace : found->second;
}

Place FlowEnds::find_or_remember(EndpointId id) {
  const auto found = endpoint_places_.find(id.value);
  if (found != endpoint_places_.end()) return found->second;
  const Place place = free_endpoint();
  if (place == kNoPlace) return kNoPlace;
  endpoint_places_[id.value] = place;
  endpoints_[place].id = id;
  return place;
}

void FlowEnds::look(const ServingTable& table, LinkView links, Instant now) {
  for (KnownEndpoint& known : endpoints_) {
    known.reachable = false;
    if (known.index != table::kNone) {
      const table::Endpoint& record = table.table().endpoints[known.index];
      known.ways = std::max<std::uint32_t>(record.equal_links, 1);
      for (std::uint32_t way = 0; way < known.ways; ++way) {
        std::optional<Egress> egress;
        if (record.link_count == 0) {
          egress = table.over_interface(record.interface, known.address);
        } else if (const auto link =
                       shared_live_link(table.links_of(record), record.equal_links, way, links)) {
          egress = table.over_link(*link);
        }
        known.reachable = egress.has_value();
        if (egress) known.egresses[way] = *egress;
      }
    }
    if (known.reachable) {
      known.pathless_since = {};
    } else if (known.pathless_since.never()) {
      known.pathless_since = now;
    }
  }
}

void FlowEnds::judge(Nanos path_gone, Instant now) {
  any_doomed_ = false;
  for (KnownEndpoint& known : endpoints_) {
    const bool given_up =
        !known.reachable && !known.pathless_since.never() && now - known.pathless_since > path_gone;
    const bool doomed = known.index == table::kNone || known.told_to_reset || given_up;
    using Condition = KnownEndpoint::Condition;
    known.condition = doomed ? Condition::doomed : (known.reachable ? Condition::live : Condition::pathless);
    any_doomed_ = any_doomed_ || (doomed && known.flows != 0);
  }
  for (const KnownService& known : services_) {
    any_doomed_ = any_doomed_ || (known.index == table::kNone && known.flows != 0);
  }
  for (std::size_t i = 0; i < snat_flows_.size(); ++i) {
    any_doomed_ = any_doomed_ || (!snat_in_force_[i] && snat_flows_[i] != 0);
  }
}

std::size_t FlowEnds::line_index(std::uint8_t snat, std::uint8_t protocol) {
  return std::size_t{2} * snat + (protocol == kUdp ? 1 : 0);
}

void FlowEnds::index_line(Place endpoint, std::size_t index) {
  const KnownEndpoint& known = endpoints_[endpoint];
  replies_.add({snat_v4_[index / 2], known.address, 0, known.port}, index % 2 != 0 ? kUdp : kTcp,
               *lines_[endpoint][index]);
}

SnatLine& FlowEnds::line(Place endpoint, std::uint8_t snat, std::uint8_t protocol) {
  const std::size_t index = line_index(snat, protocol);
  std::unique_ptr<SnatLine>& line = lines_[endpoint][index];
  if (!line) {
    seed_ = seed_ * 1664525U + 1013904223U;  // another start for each; nothing is secret here
    line = std::make_unique<SnatLine>(ports_, seed_ >> 8U);
    index_line(endpoint, index);
  }
  return *line;
}

std::uint32_t FlowEnds::snat_ports_used() const {
  std::uint32_t most = 0;
  for (const Lines& lines : lines_) {
    for (const std::uint8_t protocol : {kTcp, kUdp}) {
      std::uint32_t used = 0;
      for (const std::uint8_t snat : snat_choices_) {
        const std::unique_ptr<SnatLine>& line = lines[line_index(snat, protocol)];
        if (line) used += line->used();
      }
      most = std::max(most, used);
    }
  }
  return most;
}

}  // namespace perigee
