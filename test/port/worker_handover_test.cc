// Two workers: a packet of a flow that the other one owns crosses a ring and is served there.
#include "dataplane/snat.h"
#include "test/port/software_pop.h"

namespace perigee::test {
namespace {

TEST(WorkerHandover, AFlowIsServedByItsOwner) {
  HandoverRing<Handover> first_to_second(8);
  HandoverRing<Handover> second_to_first(8);
  SoftwarePop::Options options;
  options.workers = 2;
  options.inbound = {nullptr, &second_to_first};
  options.outbound = {nullptr, &first_to_second};
  SoftwarePop first(options);
  first.settle();

  // Of 64 clients some are the second worker's: they wait in its ring, which holds 8.
  for (std::uint32_t i = 0; i < 64; ++i) {
    FrameSpec syn;
    syn.source = ip4("198.51.100.20") + i;
    first.send(kEdgePort, syn);
  }
  first.look();
  first.look();
  const std::size_t kept = first.take().size();
  std::vector<Handover> crossed;
  for (Handover next; first_to_second.pop(next);) crossed.push_back(next);
  ASSERT_EQ(crossed.size(), 8U);
  EXPECT_GT(kept, 0U);
  EXPECT_EQ(kept + 8 + first.drops(DropReason::not_owner_queue_full), 64U);

  // One that comes over by mistake goes back to its owner.
  EXPECT_EQ(crossed[0].port, kEdgePort);
  ASSERT_TRUE(second_to_first.push(crossed[0]));
  first.look();
  Handover back;
  ASSERT_TRUE(first_to_second.pop(back));
  EXPECT_EQ(back.buffer, crossed[0].buffer);
  for (const Handover& handover : crossed) rte_pktmbuf_free(handover.buffer);
}

TEST(WorkerHandover, WhatIsHandedOverIsForwarded) {
  HandoverRing<Handover> inbound(8);
  HandoverRing<Handover> outbound(kHandoverRing);
  SoftwarePop::Options options;
  options.workers = 2;
  options.worker = 1;
  options.inbound = {&inbound, nullptr};
  options.outbound = {&outbound, nullptr};
  SoftwarePop second(options);
  second.settle();
  // One of 16 clients at least is this worker's; its SNAT port says so.
  for (std::uint32_t i = 0; i < 16; ++i) {
    FrameSpec syn;
    syn.source = ip4("198.51.100.20") + i;
    second.send(kEdgePort, syn);
  }
  second.look();
  const std::vector<Out> sent = second.take();
  ASSERT_FALSE(sent.empty());
  EXPECT_EQ(SnatPorts::owner_of(sent[0].packet.source_port, 2), 1U);
  for (Handover next; outbound.pop(next);) rte_pktmbuf_free(next.buffer);

  // The other worker received the reply and passes it on.
  FrameSpec reply;
  reply.source = sent[0].packet.destination;
  reply.destination = sent[0].packet.source;
  reply.source_port = 8000;
  reply.destination_port = sent[0].packet.source_port;
  reply.tcp_flags = kSyn | kAck;
  reply.acknowledgement = 1001;
  ASSERT_TRUE(inbound.push({second.buffer(kLink0Port, reply), kLink0Port, second.now}));
  second.look();
  second.look();
  EXPECT_EQ(second.take_one(kEdgePort).packet.source, ip4("203.0.113.10"));
}

}  // namespace
}  // namespace perigee::test
