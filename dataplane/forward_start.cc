// Opening the state, taking over what a previous process left, and each new table.
#include <algorithm>
#include <utility>

#include "dataplane/forward_state.h"
#include "dataplane/packet.h"

namespace perigee {

namespace {

// Freed ports that rest at once: those of a minute, and a table full of flows that end together.
std::uint32_t rests_for(std::uint32_t flow_capacity) {
  constexpr std::uint32_t kMax = 1U << 22U;
  return std::min(2 * flow_capacity + 1024, kMax);
}

constexpr LinkView kNeverSeen = {~std::uint64_t{0}, ~std::uint64_t{0}};

}  // namespace

Forwarder::Impl::Impl(const Options& given, FlowFile opened, Instant now)
    : options(given),
      file(std::move(opened)),
      notices(file.notices()),
      flows(file.entries(), given.flow_capacity, file.header().seed),
      openings(given.flow_capacity),
      ports(given.worker, given.worker_count),
      rests(rests_for(given.flow_capacity)),
      share(file.header().seed),
      ends(file.header().snat_addresses, ports, rests, given.endpoints,
           // Another one each start, unlike the seed of the file.
           static_cast<std::uint32_t>(fold_multiply(file.header().seed.a ^ static_cast<std::uint64_t>(now.ns),
                                                    file.header().seed.b | 1U))),
      times(given.paths),
      seed(file.header().seed),
      links(kNeverSeen),
      swept(now) {}

Forwarder::Forwarder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Forwarder::~Forwarder() = default;

Result<std::unique_ptr<Forwarder>> Forwarder::open(const Options& options, Instant now) {
  Result<FlowFile> file =
      FlowFile::open({options.state_directory, options.flow_capacity, options.worker, options.worker_count});
  if (!file) return file.error();
  auto impl = std::make_unique<Impl>(options, std::move(*file), now);
  if (impl->flows.size() != 0) {
    impl->notices.push_back(std::to_string(impl->flows.size()) + " flows found in " +
                            options.state_directory);
  }
  return std::unique_ptr<Forwarder>(new Forwarder(std::move(impl)));
}

const std::vector<std::string>& Forwarder::notices() const { return impl_->notices; }

void Forwarder::adopt(const ServingTable& table, Instant now) { impl_->adopt(table, now); }

void Forwarder::Impl::adopt(const ServingTable& next, Instant now) {
  const ServingTable* const before = table;
  const bool first = before == nullptr;
  table = &next;
  smallest_mtu = next.smallest_mtu();
  const table::Settings& settings = next.table().settings;
  path_gone = Nanos(static_cast<std::int64_t>(settings.path_gone_ns));
  const auto set_idle = [&](FlowPhase phase, std::uint64_t ns) {
    idle[static_cast<std::size_t>(phase)] = flow_ticks(ns);
  };
  set_idle(FlowPhase::opening, settings.idle_tcp_opening_ns);
  set_idle(FlowPhase::answered, settings.idle_tcp_opening_ns);
  for (const FlowPhase open : {FlowPhase::established, FlowPhase::connected, FlowPhase::asked})
    set_idle(open, settings.idle_tcp_ns);
  set_idle(FlowPhase::closing, settings.idle_tcp_closing_ns);
  set_idle(FlowPhase::closed,
           std::min(settings.idle_tcp_closing_ns, static_cast<std::uint64_t>(kClosedLinger.count())));
  set_idle(FlowPhase::datagrams, settings.idle_udp_ns);
  if (settings.refuse_per_second != refusals_per_second) {
    refusals_per_second = settings.refuse_per_second;
    refusals = RateLimit(refusals_per_second, refusals_per_second);
  }
  if (first) for_each_flow([&](std::uint32_t slot) { hold_snat_address(flows.entry(slot), true); });
  ends.adopt(next);
  const std::uint32_t total = ends.snat_ports_total();
  options.counters->snat_ports_total.store(total, std::memory_order_relaxed);
  share.set_limit(static_cast<std::uint32_t>(std::uint64_t{total} * settings.snat_share_percent / 100));
  if (first) take_over();
  times.adopt(before, next, ends, now);
  // Paths are looked at anew when the first packet or sweep brings the links of this table.
  links = kNeverSeen;
  ends.judge(path_gone, now);
}

// The flows of a previous process: what they refer to, their ports, and the way back to them.
void Forwarder::Impl::take_over() {
  for_each_flow([&](std::uint32_t slot) {
    FlowEntry& flow = flows.entry(slot);
    hold_snat_address(flow, false);
    if (!take_over(flow)) return flows.erase(slot);
    note_port(flow, slot);
    count_flow(flow, true);
    if (flow.protocol == kTcp) openings.push({slot, flow.since});
    bump(options.counters->flows_recovered);
  });
  options.counters->flows.store(flows.size(), std::memory_order_relaxed);
}

// So that the first table does not give the place of an address with flows to another one.
void Forwarder::Impl::hold_snat_address(const FlowEntry& flow, bool hold) {
  if (flow.snat_address < kMaxKnownSnatAddresses) ends.snat_refer(flow.snat_address, hold);
}

bool Forwarder::Impl::take_over(FlowEntry& flow) {
  const Place service = ends.find_service(ServiceId{flow.service});
  if (service == kNoPlace) return false;  // nobody knows the VIP any more, so not even a RST can be sent
  if (flow.snat_address >= kMaxKnownSnatAddresses || ends.snat_address(flow.snat_address) == 0) return false;
  if (flow.protocol != ends.service(service).protocol) return false;
  const Place endpoint = ends.find_or_remember(EndpointId{flow.endpoint});
  if (endpoint == kNoPlace) return false;
  if (!ends.line(endpoint, flow.snat_address, flow.protocol).claim(flow.snat_port)) return false;
  flow.service_hint = service;
  flow.endpoint_hint = endpoint;
  return true;
}

}  // namespace perigee
