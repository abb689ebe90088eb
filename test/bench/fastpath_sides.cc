#include "test/bench/fastpath_sides.h"

#include <rte_cycles.h>
#include <rte_prefetch.h>

#include <string>

#include "contract/table_file.h"

namespace perigee::bench {

namespace {

IpAddress v4(std::uint32_t value) { return IpAddress::v4(value); }

table::Link make_link(std::uint32_t index) {
  table::Link link;
  link.id = index + 1;
  link.peer_pop = 1;
  link.name = table::Name::of("to-there-" + std::to_string(index));
  link.port = table::Name::of("link" + std::to_string(index));
  link.local = v4(kNextHops[index] - 1);
  link.next_hop = link.peer = v4(kNextHops[index]);
  link.probe_interval_ns = 20'000'000;
  link.loss_deadline_ns = 1'000'000'000;
  link.max_residence_ns = 20'000'000;
  link.window_ns = 2'000'000'000;
  return link;
}

table::Table make_table() {
  table::Table table;
  table.identity.gateway_instance = table.identity.generation = 1;
  table.pop = table::Name::of("here");
  constexpr std::uint64_t kHour = 3'600'000'000'000;
  table.settings = {.idle_tcp_ns = kHour,
                    .idle_tcp_closing_ns = kHour,
                    .idle_tcp_opening_ns = kHour,
                    .idle_udp_ns = kHour,
                    .path_gone_ns = kHour,
                    .snat_share_percent = 100,
                    .refuse_per_second = 1'000'000'000,
                    .reflect_per_second = 100};
  table::Interface edge;
  edge.port = table::Name::of("edge0");
  edge.prefix_length = kEdgeLength;
  edge.local = v4(kEdge);
  table.interfaces = {edge};
  table.links = {make_link(0), make_link(1)};
  table.link_order = {0, 1};
  for (std::uint32_t i = 0; i < kSnatAddresses; ++i) table.snat_addresses.push_back(v4(kSnat + i));
  for (std::uint32_t i = 0; i < kEndpoints.size(); ++i) {
    table::Endpoint endpoint;
    endpoint.id = i + 1;
    endpoint.pop = 1;
    endpoint.name = table::Name::of("ep" + std::to_string(i));
    endpoint.address = v4(kEndpoints[i]);
    endpoint.port = kServicePort;
    endpoint.link_count = 2;
    table.endpoints.push_back(endpoint);
    table.candidates.push_back({.endpoint = i, .link = 0, .weight = 100});
  }
  table.tiers = {{0, static_cast<std::uint32_t>(kEndpoints.size())}};
  table::Service service;
  service.id = 1;
  service.name = table::Name::of("chat");
  service.vip = v4(kVip);
  service.port = kServicePort;
  service.protocol = kTcp;
  service.tier_count = 1;
  table.services = {service};
  return table;
}

// The worker's prefetch of a burst's headers.
void fetch(Frames& frames, std::size_t first, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) rte_prefetch0(frames.frame(first + i).data());
}

void take_refusal(const Packet& packet, Answer answer, Sent& sent) {
  std::array<std::uint8_t, kMaxRefusal> refusal;
  if (build_refusal(packet, answer, refusal) != 0) ++sent.refusals;
  sent.seen += refusal[36];
}

}  // namespace

Ours::Ours() {
  std::vector<PortSetting> ports(3);
  ports[0] = {"edge0", PortRole::edge, "", ""};
  ports[1] = {"link0", PortRole::link, "", ""};
  ports[2] = {"link1", PortRole::link, "", ""};
  table_ = ServingTable::build(make_table(), ports).value();
  Forwarder::Options options;
  options.flow_capacity = kCapacity;
  options.counters = &counters_;
  options.paths = paths_.get();
  forwarder_ = Forwarder::open(options, Instant{kNow - 1000}).value();
  forwarder_->adopt(*table_, Instant{kNow - 1000});  // before what is timed
}

void Ours::process(Frames& frames, std::size_t first, std::size_t count, bool reply, Sent& sent,
                   Stages* stages) {
  std::uint64_t mark = stages != nullptr ? rte_rdtsc() : 0;
  const auto done = [&](Stage stage) {
    if (stages == nullptr) return;
    const std::uint64_t now = rte_rdtsc();
    (*stages)[static_cast<std::size_t>(stage)] += now - mark;
    mark = now;
  };
  fetch(frames, first, count);
  const std::span<Packet> packets = std::span(packets_).first(count);
  const std::span<Forwarding> burst = std::span(burst_).first(count);
  const Arrival arrival{.port = static_cast<std::uint16_t>(reply), .received = Instant{kNow}};
  for (std::size_t i = 0; i < count; ++i) parse(frames.frame(first + i), arrival, packets[i]);
  done(Stage::parse);
  for (std::size_t i = 0; i < count; ++i) {
    burst[i].packet = &packets[i];
    burst[i].service = classify(packets[i], *table_).service;
  }
  done(Stage::classify);
  forwarder_->process(burst, kLinksUp, Instant{kNow});
  for (const Forwarding& item : burst) {
    const ForwardResult& result = item.result;
    if (result.verdict == ForwardResult::Verdict::send) ++sent.packets;
    if (result.verdict == ForwardResult::Verdict::refuse) take_refusal(*item.packet, result.answer, sent);
    sent.seen += result.egress.next_hop;
  }
  done(Stage::forward);
}

Theirs::Theirs(int socket)
    : prototype_(kCapacity,
                 {kVip, kServicePort, kEndpoints, kNextHops, kSnat, kSnatAddresses, kEdge,
                  ~std::uint32_t{0} << (32U - kEdgeLength)},
                 socket) {}

void Theirs::process(Frames& frames, std::size_t first, std::size_t count, bool reply, Sent& sent) {
  fetch(frames, first, count);
  const std::span<Packet> packets = std::span(burst_).first(count);
  const Arrival arrival{.port = static_cast<std::uint16_t>(reply), .received = Instant{kNow}};
  for (std::size_t i = 0; i < count; ++i) parse(frames.frame(first + i), arrival, packets[i]);
  std::array<RteHashPrototype::Out, kBurst> out;
  prototype_.process(packets, std::span(out).first(count), reply, static_cast<std::uint32_t>(kLinksUp.up),
                     kNow);
  for (std::size_t i = 0; i < count; ++i) {
    if (out[i].verdict == RteHashPrototype::Verdict::send) ++sent.packets;
    if (out[i].verdict == RteHashPrototype::Verdict::refuse) {
      take_refusal(packets[i], Answer::tcp_reset, sent);
    }
    sent.seen += out[i].next_hop;
  }
}

}  // namespace perigee::bench
