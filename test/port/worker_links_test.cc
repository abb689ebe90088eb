// Probes, reflection, link state, and what follows from it for new flows.
#include "dataplane/udp_frame.h"
#include "test/port/software_pop.h"

namespace perigee::test {
namespace {

using telemetry::LinkState;

TEST(WorkerLinks, ProbesGoOutAndRepliesBringTheLinkUp) {
  SoftwarePop pop;
  pop.offer();
  EXPECT_EQ(pop.state(kSydMelA), LinkState::unknown);
  pop.run_for(seconds(2));
  for (const std::uint32_t link : {kSydMelA, kSydMelB, kSydPer}) {
    EXPECT_EQ(pop.state(link), LinkState::up) << link;
    const telemetry::LinkSlot& slot = pop.telemetry->links[link];
    EXPECT_GT(slot.received.load(), 300U);  // 4 ports, every 20 ms
    EXPECT_LE(slot.sent.load() - slot.received.load(), 4U);
    EXPECT_GT(slot.tx_packets.load(), slot.sent.load());  // ARP too
    EXPECT_GT(slot.rx_octets.load(), slot.received.load() * 86);
  }
}

TEST(WorkerLinks, SilenceTakesTheLinkDownAndNewFlowsTakeAnother) {
  SoftwarePop pop;
  pop.settle();
  for (Event event; pop.events.pop(event);) {
  }
  pop.silent = {kSydMelA};
  pop.run_for(milliseconds(100));  // 3 x 20 ms, jitter and the interval of a probe
  EXPECT_EQ(pop.state(kSydMelA), LinkState::down);
  EXPECT_EQ(pop.state(kSydMelB), LinkState::up);
  Event event;
  LinkState last = LinkState::up;
  while (pop.events.pop(event)) {
    EXPECT_EQ(event.kind, Event::Kind::link_state);
    EXPECT_EQ(event.subject.view(), "syd-mel-a");
    last = event.to;
  }
  EXPECT_EQ(last, LinkState::down);

  pop.take();
  pop.send(kEdgePort, FrameSpec{});
  pop.look();
  const Out syn = pop.take_one(kLink1Port);
  EXPECT_NE(syn.packet.vlan, 0);
}

// The port is never found empty; its own frames come first, then what the peer answered.
void flood(SoftwarePop& pop, std::uint16_t port, Nanos span) {
  const Instant end = pop.now + span;
  while (pop.now < end) {
    pop.now = pop.now + milliseconds(1);
    for (std::uint16_t i = 0; i < kBurst; ++i) pop.send(port, Octets(64, 0));
    pop.look();
  }
}

TEST(WorkerLinks, SilenceIsSeenWhileAnotherPortHasMoreThanIsTaken) {
  for (const std::uint16_t port : {kEdgePort, kLink1Port}) {
    SoftwarePop pop;
    pop.settle();
    pop.silent = {kSydMelA};
    flood(pop, port, milliseconds(100));
    EXPECT_EQ(pop.state(kSydMelA), LinkState::down) << port;
    EXPECT_EQ(pop.state(kSydMelB), LinkState::up) << port;
  }
}

TEST(WorkerLinks, SilenceIsSeenBehindWhatMayWaitAtItsOwnPort) {
  SoftwarePop pop;
  pop.settle();
  pop.silent = {kSydMelA};
  flood(pop, kLink0Port, milliseconds(100));
  EXPECT_EQ(pop.state(kSydMelA), LinkState::up);  // a reply may still wait
  // 32 frames a millisecond: after 128 ms all that came in before is taken; and silence lasts 60 ms.
  flood(pop, kLink0Port, milliseconds(250));
  EXPECT_EQ(pop.state(kSydMelA), LinkState::down);
}

TEST(WorkerLinks, AnEstablishedFlowMovesToItsEndpointsOtherLink) {
  SoftwarePop pop;
  pop.settle();
  pop.send(kEdgePort, FrameSpec{});
  pop.look();
  const Out syn = pop.take_one(kLink0Port);
  FrameSpec answer;
  answer.source = syn.packet.destination;
  answer.destination = syn.packet.source;
  answer.source_port = 8000;
  answer.destination_port = syn.packet.source_port;
  answer.tcp_flags = kSyn | kAck;
  answer.acknowledgement = 1001;
  pop.send(kLink0Port, answer);
  pop.look();
  pop.silent = {kSydMelA};
  pop.run_for(milliseconds(100));
  pop.take();
  FrameSpec data;
  data.tcp_flags = kAck;
  data.sequence = 1001;
  data.acknowledgement = 1;
  pop.send(kEdgePort, data);
  pop.look();
  const Out moved = pop.take_one(kLink1Port);
  EXPECT_EQ(moved.packet.vlan, 20);
  EXPECT_EQ(moved.packet.destination, syn.packet.destination);
}

FrameSpec peer_test(std::span<const std::uint8_t> payload) {
  FrameSpec test;
  test.source = ip4("172.31.1.2");
  test.destination = ip4("172.31.1.1");
  test.protocol = kUdp;
  test.ttl = 255;
  test.source_port = 50000;
  test.destination_port = 862;
  test.payload.assign(payload.begin(), payload.end());
  return test;
}

TEST(WorkerLinks, APeersTestIsReflected) {
  SoftwarePop pop;
  pop.settle();
  std::array<std::uint8_t, stamp::kBaseSize> payload{};
  stamp::encode(stamp::TestPacket{77, Timestamp{12345}, NtpClock::error_estimate(), 0}, payload);
  pop.send(kLink0Port, peer_test(payload));
  pop.look();
  const Out out = pop.take_one(kLink0Port);
  EXPECT_EQ(out.packet.source, ip4("172.31.1.1"));
  EXPECT_EQ(out.packet.destination, ip4("172.31.1.2"));
  EXPECT_EQ(out.packet.source_port, 862);
  EXPECT_EQ(out.packet.destination_port, 50000);
  EXPECT_EQ(out.packet.ttl, 255);
  EXPECT_TRUE(checksums_ok(std::span(out.octets).subspan(out.packet.l3)));
  const auto reply = stamp::decode_reply(std::span(out.octets).subspan(out.packet.payload));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->sender_sequence, 77U);
  EXPECT_EQ(reply->sender_sent, Timestamp{12345});
  EXPECT_EQ(reply->sender_ttl, 255);
  EXPECT_EQ(pop.telemetry->links[kSydMelA].reflected.load(), 1U);
}

TEST(WorkerLinks, AShortTestWithIpOptionsGetsTheBase) {
  SoftwarePop pop;
  pop.settle();
  FrameSpec test = peer_test(Octets(14, 0));
  test.ip_options = hex("01010101");
  pop.send(kLink0Port, test);
  pop.look();
  const Out out = pop.take_one(kLink0Port);
  EXPECT_EQ(out.octets.size(), 14 + kUdpOverhead + stamp::kBaseSize);
  EXPECT_TRUE(checksums_ok(std::span(out.octets).subspan(out.packet.l3)));
}

TEST(WorkerLinks, OthersTestsAreNot) {
  SoftwarePop pop;
  pop.settle();
  FrameSpec test = peer_test(Octets(44, 0));
  test.source = ip4("172.31.1.9");
  pop.send(kLink0Port, test);
  FrameSpec spoiled = peer_test(Octets(44, 0));
  spoiled.to = pop.own_mac(kLink0Port);
  Octets frame = build(spoiled);
  frame.back() ^= 1U;  // the UDP checksum does not fit any more
  pop.send(kLink0Port, frame);
  pop.look();
  EXPECT_TRUE(pop.take().empty());
  EXPECT_EQ(pop.drops(DropReason::bad_l4_checksum), 1U);
  EXPECT_EQ(pop.telemetry->links[kSydMelA].reflected.load(), 0U);
}

TEST(WorkerLinks, AnUnresolvedNextHopSendsNoProbe) {
  SoftwarePop pop;
  pop.answer_arp = false;
  pop.offer();
  pop.run_for(seconds(2));  // the loss deadline, before which the first reply could come, and the detection
  EXPECT_EQ(pop.telemetry->links[kSydMelA].sent.load(), 0U);
  EXPECT_GT(pop.drops(DropReason::neighbor_unresolved), 0U);
  EXPECT_EQ(pop.state(kSydMelA), LinkState::down);
}

TEST(WorkerLinks, AMovedNextHopIsAnEvent) {
  SoftwarePop pop;
  pop.settle();
  for (Event event; pop.events.pop(event);) {
  }
  pop.neighbor_octet = 88;
  pop.run_for(seconds(40));  // known neighbours are asked again every 30 s
  bool moved = false;
  for (Event event; pop.events.pop(event);) moved = moved || event.kind == Event::Kind::neighbor_moved;
  EXPECT_TRUE(moved);
}

}  // namespace
}  // namespace perigee::test
