// What goes through: forwarded connections and their replies, transit, the host, refusals.
#include <cstdlib>
#include <filesystem>

#include "test/port/software_pop.h"

namespace perigee::test {
namespace {

constexpr std::uint8_t kMssOption[] = {2, 4, 0x05, 0xb4};  // 1460

FrameSpec client_syn(std::uint16_t port = 40000) {
  FrameSpec syn;
  syn.source_port = port;
  syn.tcp_options.assign(std::begin(kMssOption), std::end(kMssOption));
  return syn;
}

void expect_right(const Out& out) {
  EXPECT_EQ(out.parsed.kind, FrameKind::ipv4);
  EXPECT_TRUE(checksums_ok(std::span(out.octets).subspan(out.packet.l3)));
}

TEST(WorkerForward, AConnectionIsTranslatedBothWays) {
  SoftwarePop pop;
  pop.settle();
  pop.send(kEdgePort, client_syn());
  pop.look();
  const Out syn = pop.take_one(kLink0Port);
  expect_right(syn);
  EXPECT_EQ(syn.packet.source, ip4("10.1.255.1"));
  EXPECT_TRUE(syn.packet.destination == ip4("10.2.1.1") || syn.packet.destination == ip4("10.2.1.2"));
  EXPECT_EQ(syn.packet.destination_port, 8000);
  EXPECT_EQ(syn.packet.ttl, 63);
  EXPECT_TRUE(std::equal(syn.octets.begin(), syn.octets.begin() + 6, mac(77).octets.begin()));

  FrameSpec answer;
  answer.source = syn.packet.destination;
  answer.destination = syn.packet.source;
  answer.source_port = 8000;
  answer.destination_port = syn.packet.source_port;
  answer.tcp_flags = kSyn | kAck;
  answer.acknowledgement = 1001;
  pop.send(kLink0Port, answer);
  pop.look();
  pop.look();
  const Out reply = pop.take_one(kEdgePort);
  expect_right(reply);
  EXPECT_EQ(reply.packet.source, ip4("203.0.113.10"));
  EXPECT_EQ(reply.packet.source_port, 8000);
  EXPECT_EQ(reply.packet.destination, ip4("198.51.100.20"));
  EXPECT_EQ(reply.packet.destination_port, 40000);
  EXPECT_EQ(pop.verdicts(telemetry::Verdict::nat), 2U);
  EXPECT_EQ(pop.telemetry->workers[0].flows_created.load(), 1U);
}

TEST(WorkerForward, AReplyOverAnotherLinkBelongsToTheFlow) {
  SoftwarePop pop;
  pop.settle();
  pop.send(kEdgePort, client_syn());
  pop.look();
  const Out syn = pop.take_one(kLink0Port);
  FrameSpec answer;
  answer.tag = 20;  // syd-mel-b
  answer.source = syn.packet.destination;
  answer.destination = syn.packet.source;
  answer.source_port = 8000;
  answer.destination_port = syn.packet.source_port;
  answer.tcp_flags = kSyn | kAck;
  answer.acknowledgement = 1001;
  pop.send(kLink1Port, answer);
  pop.look();
  pop.look();
  EXPECT_EQ(pop.take_one(kEdgePort).packet.destination, ip4("198.51.100.20"));
}

TEST(WorkerForward, MssIsClampedToTheNarrowerSide) {
  SoftwarePop pop;
  table::Table table = lab_table();
  table.links[kSydMelA].mtu = 1400;
  pop.offer(table);
  pop.run_for(seconds(2));
  pop.take();
  pop.send(kEdgePort, client_syn());
  pop.look();
  const Out syn = pop.take_one(kLink0Port);
  expect_right(syn);
  EXPECT_EQ(load_be16(syn.octets.data() + syn.packet.l4 + 22), 1360);
}

TEST(WorkerForward, ASegmentTooLargeForTheLinkIsAnsweredAboutTheClientsPacket) {
  SoftwarePop pop;
  table::Table table = lab_table();
  table.links[kSydMelA].mtu = 1000;
  pop.offer(table);
  pop.run_for(seconds(2));
  pop.take();
  pop.send(kEdgePort, client_syn());
  pop.look();
  pop.take_one(kLink0Port);
  FrameSpec large;
  large.tcp_flags = kAck;
  large.sequence = 1001;
  large.payload.assign(1200, 0x55);
  pop.send(kEdgePort, large);
  pop.look();
  pop.look();
  const Out error = pop.take_one(kEdgePort);
  expect_right(error);
  EXPECT_EQ(error.packet.icmp_type, 3);
  EXPECT_EQ(error.packet.icmp_code, 4);
  const std::uint8_t* quoted = error.octets.data() + error.packet.l4 + 8;
  EXPECT_EQ(load_be16(error.octets.data() + error.packet.l4 + 6), 1000);
  EXPECT_EQ(load_be32(quoted + 16), ip4("203.0.113.10"));
  EXPECT_EQ(pop.drops(DropReason::mtu_exceeded), 1U);
}

TEST(WorkerForward, AClosedPortOfAVipIsRefused) {
  SoftwarePop pop;
  pop.settle();
  FrameSpec syn = client_syn();
  syn.destination_port = 81;
  pop.send(kEdgePort, syn);
  pop.look();
  pop.look();
  const Out reset = pop.take_one(kEdgePort);
  expect_right(reset);
  EXPECT_EQ(reset.packet.tcp_flags & kRst, kRst);
  EXPECT_EQ(reset.packet.source, ip4("203.0.113.10"));
  EXPECT_EQ(pop.drops(DropReason::port_unsupported), 1U);
}

TEST(WorkerForward, AnUnknownSegmentIsRefused) {
  SoftwarePop pop;
  pop.settle();
  FrameSpec late;
  late.tcp_flags = kAck;
  late.acknowledgement = 5;
  pop.send(kEdgePort, late);
  pop.look();
  pop.look();
  EXPECT_EQ(pop.take_one(kEdgePort).packet.tcp_flags & kRst, kRst);
  EXPECT_EQ(pop.drops(DropReason::no_flow), 1U);
}

TEST(WorkerForward, TransitGoesBothWays) {
  SoftwarePop pop;
  pop.settle();
  FrameSpec out;
  out.source = ip4("10.1.0.2");
  out.destination = ip4("10.3.1.1");
  pop.send(kHostPort, out);
  pop.look();
  const Out sent = pop.take_one(kLink1Port);
  expect_right(sent);
  EXPECT_EQ(sent.packet.vlan, 30);
  EXPECT_EQ(sent.packet.destination, ip4("10.3.1.1"));
  EXPECT_EQ(sent.packet.ttl, 63);

  FrameSpec back;
  back.tag = 30;
  back.source = ip4("10.3.1.1");
  back.destination = ip4("10.1.0.2");
  pop.send(kLink1Port, back);
  pop.look();
  pop.look();
  const Out delivered = pop.take_one(kHostPort);
  expect_right(delivered);
  EXPECT_EQ(delivered.packet.vlan, 0);
  EXPECT_EQ(pop.verdicts(telemetry::Verdict::transit), 2U);
}

TEST(WorkerForward, TimeExceededIsAnswered) {
  SoftwarePop pop;
  pop.settle();
  FrameSpec last;
  last.source = ip4("10.1.0.2");
  last.destination = ip4("10.3.1.1");
  last.ttl = 1;
  pop.send(kHostPort, last);
  pop.look();
  pop.look();
  const Out error = pop.take_one(kHostPort);
  expect_right(error);
  EXPECT_EQ(error.packet.icmp_type, 11);
  EXPECT_EQ(error.packet.source, ip4("10.1.0.1"));
  EXPECT_EQ(pop.drops(DropReason::ttl_exceeded), 1U);
}

TEST(WorkerForward, AVipOfTheHostIsDeliveredThere) {
  SoftwarePop pop;
  pop.settle();
  FrameSpec web;
  web.destination = ip4("203.0.113.11");
  web.destination_port = 443;
  pop.send(kEdgePort, web);
  pop.look();
  pop.look();
  const Out delivered = pop.take_one(kHostPort);
  expect_right(delivered);
  EXPECT_EQ(delivered.packet.destination, ip4("203.0.113.11"));
  EXPECT_EQ(pop.verdicts(telemetry::Verdict::host), 1U);

  FrameSpec answer;
  answer.source = ip4("203.0.113.11");
  answer.destination = ip4("198.51.100.20");
  answer.source_port = 443;
  answer.destination_port = 40000;
  answer.tcp_flags = kSyn | kAck;
  pop.send(kHostPort, answer);
  pop.look();
  pop.look();
  const Out back = pop.take_one(kEdgePort);
  expect_right(back);
  EXPECT_EQ(back.packet.source, ip4("203.0.113.11"));
}

TEST(WorkerForward, ABurstKeepsItsOrder) {
  SoftwarePop pop;
  pop.settle();
  FrameSpec out;
  out.source = ip4("10.1.0.2");
  out.destination = ip4("10.2.1.1");
  for (out.source_port = 41000; out.source_port < 41100; ++out.source_port) pop.send(kHostPort, out);
  for (int i = 0; i < 4; ++i) pop.look();  // bursts of 32
  const std::vector<Out> sent = pop.take();
  ASSERT_EQ(sent.size(), 100U);
  for (std::size_t i = 0; i < sent.size(); ++i) EXPECT_EQ(sent[i].packet.source_port, 41000 + i);
}

TEST(WorkerForward, ManyConnectionsAtOnce) {
  SoftwarePop pop;
  pop.settle();
  for (std::uint16_t i = 0; i < 100; ++i)
    pop.send(kEdgePort, client_syn(static_cast<std::uint16_t>(41000 + i)));
  for (int i = 0; i < 4; ++i) pop.look();
  EXPECT_EQ(pop.take().size(), 100U);
  EXPECT_EQ(pop.telemetry->workers[0].flows_created.load(), 100U);
}

TEST(WorkerForward, AnEstablishedFlowSurvivesARestart) {
  char directory[] = "/dev/shm/perigee-port-test-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  Out syn;
  const auto data = [] {
    FrameSpec spec;
    spec.tcp_flags = kAck | kPsh;
    spec.sequence = 1001;
    spec.acknowledgement = 5001;
    spec.payload = hex("68656c6c6f");
    return spec;
  }();
  Instant then;
  {
    SoftwarePop pop({directory});
    pop.settle();
    pop.send(kEdgePort, client_syn());
    pop.look();
    syn = pop.take_one(kLink0Port);
    FrameSpec answer;
    answer.source = syn.packet.destination;
    answer.destination = syn.packet.source;
    answer.source_port = 8000;
    answer.destination_port = syn.packet.source_port;
    answer.tcp_flags = kSyn | kAck;
    answer.sequence = 5000;
    answer.acknowledgement = 1001;
    pop.send(kLink0Port, answer);
    pop.look();
    pop.look();
    pop.take_one(kEdgePort);
    pop.send(kEdgePort, data);
    pop.look();
    pop.take_one(kLink0Port);
    then = pop.now;
  }
  SoftwarePop pop({directory, then + seconds(1)});
  pop.settle();
  EXPECT_EQ(pop.telemetry->workers[0].flows_recovered.load(), 1U);
  pop.send(kEdgePort, data);
  pop.look();
  const Out again = pop.take_one(kLink0Port);
  EXPECT_EQ(again.packet.destination, syn.packet.destination);
  EXPECT_EQ(again.packet.source_port, syn.packet.source_port);
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace perigee::test
