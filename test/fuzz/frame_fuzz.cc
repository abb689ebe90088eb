// Any octets as a frame, through everything the packet path does with one: parse, classify, and then ARP,
// echo, ICMP errors, MSS, transit, delivery to the host and NAT, in buffers of exactly the frame's size.
// Besides what the sanitizers see: what is sent has right checksums and parses again.
//
// Octet 0: port (2 bits), repair checksums (1 bit: random octets seldom have right ones), device took the tag
// off (1 bit), links up (3 bits). Then the frame.
#include <cstdio>
#include <cstdlib>

#include "dataplane/arp.h"
#include "dataplane/classify.h"
#include "dataplane/forward.h"
#include "dataplane/mss.h"
#include "dataplane/refuse.h"
#include "dataplane/transit.h"
#include "dataplane/udp_frame.h"
#include "test/dataplane/lab_table.h"

namespace perigee::test {
namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

// Header checksum and, of ICMP, TCP and UDP, the other one, as far as the frame's lengths allow.
void repair(Octets& frame) {
  const bool tagged = frame.size() >= 18 && frame[12] == 0x81 && frame[13] == 0;
  const std::size_t l3 = tagged ? 18 : 14;
  if (frame.size() < l3 + 20) return;
  const std::size_t header = (frame[l3] & 15U) * 4U;
  const std::size_t total = static_cast<std::size_t>(frame[l3 + 2] << 8U | frame[l3 + 3]);
  if (header < 20 || total < header || l3 + total > frame.size()) return;
  const auto ip = std::span(frame).subspan(l3, total);
  set16(frame, l3 + 10, 0);
  set16(frame, l3 + 10, plain_checksum(ip.first(header)));
  const std::uint8_t protocol = ip[9];
  const std::size_t at = protocol == kTcp ? 16 : protocol == kUdp ? 6 : 2;
  if ((protocol != kTcp && protocol != kUdp && protocol != kIcmp) || header + at + 2 > total) return;
  set16(frame, l3 + header + at, 0);
  const std::uint16_t sum = protocol == kIcmp ? plain_checksum(ip.subspan(header)) : l4_checksum(ip);
  set16(frame, l3 + header + at, protocol == kUdp && sum == 0 ? 0xffff : sum);
}

struct World {
  std::unique_ptr<const ServingTable> table = serving();
  std::unique_ptr<telemetry::WorkerSlot> counters = std::make_unique<telemetry::WorkerSlot>();
  std::unique_ptr<Forwarder> forwarder;
  Instant now{1'000'000'000'000};

  World() {
    Forwarder::Options options;
    options.flow_capacity = 1024;
    options.counters = counters.get();
    forwarder = std::move(Forwarder::open(options, now)).value();
    forwarder->adopt(*table, now);
  }
};

bool sums_right(const Packet& packet) {
  return packet.fragment || checksums_ok({packet.ip(), packet.length - packet.l3});
}

// What was sent in place is still a packet, with right checksums where they were right.
void check_sent(Octets& frame, const Packet& packet, bool were_right) {
  Packet again;
  require(parse(frame, {packet.port, 0, {}}, again).kind == FrameKind::ipv4, "a sent packet parses");
  require(again.source == packet.source && again.destination == packet.destination,
          "fields follow the octets");
  require(!were_right || sums_right(again), "checksums stay right");
}

void check_error(const Packet& packet, const IcmpError& error) {
  Octets out(kMaxIcmpError);
  const std::size_t size = build_icmp_error(packet, error, ip4("198.51.100.1"), out);
  require((size != 0) == may_answer_with_error(packet), "an error is built where it is allowed");
  require(size == 0 || checksums_ok(std::span(out).first(size)), "errors have right checksums");
}

void check_transit(const TransitResult& result, Octets& frame, Packet& packet, const World& world,
                   bool right) {
  if (!result.send) {
    if (result.error) check_error(packet, *result.error);
    return;
  }
  require(packet.ip_total_length <= world.table->mtu_of(result.egress.segment), "within the MTU");
  require(result.egress.next_hop != 0, "someone to send to");
  clamp_mss(packet, world.table->path_mtu(packet.in, result.egress.segment));
  check_sent(frame, packet, right);
}

void check_forward(Octets& frame, Packet& packet, std::uint32_t service, World& world, LinkView view,
                   bool right) {
  const Octets before = frame;
  std::array<Forwarding, 1> burst = {Forwarding{&packet, service, {}}};
  world.forwarder->process(burst, view, world.now);
  const ForwardResult& result = burst[0].result;
  if (result.verdict == ForwardResult::Verdict::send) {
    require(packet.ip_total_length <= world.table->mtu_of(result.egress.segment), "within the MTU");
    clamp_mss(packet, 1400);
    return check_sent(frame, packet, right);
  }
  require(frame == before, "what is not sent is unchanged");
  if (result.verdict != ForwardResult::Verdict::refuse) return;
  std::array<std::uint8_t, kMaxRefusal> out{};
  const std::size_t size = build_refusal(packet, result.answer, out);
  require(size == 0 || checksums_ok(std::span(out).first(size)), "refusals have right checksums");
}

void check_ipv4(Octets& frame, Packet& packet, World& world, LinkView view) {
  const bool right = sums_right(packet);
  const Classified found = classify(packet, *world.table);
  switch (found.journey) {
    case Journey::echo:
      make_echo_reply(packet);
      return check_sent(frame, packet, right);
    case Journey::stamp_test:
    case Journey::stamp_reply:
      require(packet.in.is_link(), "STAMP on links only");
      require(udp_checksum_ok(packet) == right, "two ways to see a UDP checksum");
      return;
    case Journey::nat:
    case Journey::snat_return:
      return check_forward(frame, packet, found.service, world, view, right);
    case Journey::host:
      return check_transit(deliver_to_host(packet, *world.table, found.service), frame, packet, world, right);
    case Journey::transit:
      return check_transit(forward_transit(packet, *world.table, view), frame, packet, world, right);
    case Journey::refuse:
      check_error(packet, {kUnreachable, kPortUnreachable, 0});
      return;
    case Journey::drop:
      require(found.reason < DropReason::count_, "a drop has its reason");
  }
}

void check_arp(Packet& packet, const World& world) {
  const auto message = parse_arp(packet);
  if (!message) return;
  const Segment in = world.table->segment(packet.port, packet.vlan);
  if (judge_arp(*message, *world.table, in) != ArpAction::answer) return;
  make_arp_reply(packet, *message, mac(1));
  require(!parse_arp(packet).has_value(), "the reply is ours, not the frame's sender's");
}

void check_frame(std::uint8_t control, Octets frame) {
  static World world;
  world.now = world.now + std::chrono::milliseconds(7);
  const LinkView view = {control >> 4U & 7U, control >> 5U & 2U};
  world.forwarder->sweep(view, world.now, 8, [](std::span<const std::uint8_t> packet) {
    require(checksums_ok(packet), "resets have right checksums");
  });
  if ((control & 4U) != 0) repair(frame);
  frame.shrink_to_fit();
  Packet packet;
  const auto tag = static_cast<std::uint16_t>((control & 8U) != 0 ? 20 : 0);
  switch (parse(frame, {static_cast<std::uint16_t>(control & 3U), tag, world.now}, packet).kind) {
    case FrameKind::arp:
      return check_arp(packet, world);
    case FrameKind::ipv4:
      return check_ipv4(frame, packet, world, view);
    case FrameKind::dropped:
      break;
  }
}

}  // namespace
}  // namespace perigee::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  perigee::test::check_frame(data[0], perigee::test::Octets(data + 1, data + size));
  return 0;
}
