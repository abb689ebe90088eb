// Links and endpoints that go: established flows change links, new ones change candidates, and what cannot go
// on is reset so that both ends know.
#include <gtest/gtest.h>

#include <set>

#include "test/dataplane/forward_lab.h"

namespace perigee::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::uint16_t link_of(const Outcome& outcome) { return outcome.result.egress.segment.index; }

TEST(ForwardFailover, EstablishedFlowKeepsItsEndpointOverItsNextLink) {
  ForwardLab lab;
  const Outcome syn = lab.establish(40000);
  EXPECT_EQ(link_of(syn), kSydMelA);
  const FrameSpec data = ForwardLab::from_client(40000, kAck, 1001, 5001, {1});
  lab.links = {0b110, 0};
  Outcome outcome = lab.send(data);
  ASSERT_TRUE(outcome.sent());
  EXPECT_EQ(outcome.destination(), syn.destination());
  EXPECT_EQ(link_of(outcome), kSydMelB);
  EXPECT_EQ(outcome.result.egress.next_hop, ip4("172.31.2.2"));
  lab.links = {0b100, 0b001};  // what is up comes before what is unknown
  EXPECT_EQ(link_of(lab.send(data)), kSydPer);
  lab.links = {0, 0b010};
  EXPECT_EQ(link_of(lab.send(data)), kSydMelB);
  lab.links = {0, 0};
  outcome = lab.send(data);
  EXPECT_TRUE(outcome.dropped());
  EXPECT_EQ(outcome.result.reason, DropReason::no_live_link);
  lab.links = kAllUp;
  EXPECT_EQ(link_of(lab.send(data)), kSydMelA);
}

TEST(ForwardFailover, NewFlowsTakeTheNextTierWhenAllLinksOfTheFirstAreDown) {
  ForwardLab lab;
  lab.links = {0b110, 0};  // the candidates of tier one name syd-mel-a
  EXPECT_EQ(lab.send(ForwardLab::from_client(1, kSyn, 1)).destination(), ip4("10.3.1.1"));
  lab.links = {0b010, 0b101};  // unknown: usable, ranked last, in the order of the tiers
  EXPECT_NE(lab.send(ForwardLab::from_client(2, kSyn, 1)).destination(), ip4("10.3.1.1"));
  lab.links = {0b100, 0b001};
  EXPECT_EQ(lab.send(ForwardLab::from_client(3, kSyn, 1)).destination(), ip4("10.3.1.1"));
}

TEST(ForwardFailover, NewFlowLeavesOverItsCandidatesLinkAndAnEstablishedOneOverItsEndpointsFirst) {
  table::Table records = lab_table();
  records.candidates[0].link = records.candidates[1].link = kSydMelB;
  ForwardLab lab(records);
  const FrameSpec syn = ForwardLab::from_client(40000, kSyn, 1000);
  const Outcome first = lab.send(syn);
  EXPECT_EQ(link_of(first), kSydMelB);
  EXPECT_EQ(first.result.egress.next_hop, ip4("172.31.2.2"));
  lab.adopt(records);
  EXPECT_EQ(link_of(lab.send(syn)), kSydMelB);  // a repeated one, too
  lab.establish(40001);
  EXPECT_EQ(link_of(lab.send(ForwardLab::from_client(40001, kAck, 1001, 5001, {1}))), kSydMelA);
}

TEST(ForwardFailover, UnansweredFlowWhoseCandidatesLinkDiesLeavesOverAnotherOfItsEndpoint) {
  table::Table records = lab_table();
  records.candidates[0].link = records.candidates[1].link = kSydMelB;
  ForwardLab lab(records);
  const FrameSpec syn = ForwardLab::from_client(40000, kSyn, 1000);
  const Outcome first = lab.send(syn);
  lab.links = {0b101, 0};
  const Outcome again = lab.send(syn);
  EXPECT_EQ(link_of(again), kSydMelA);
  EXPECT_EQ(again.destination(), first.destination());
}

TEST(ForwardFailover, RepliesNeedNoPathBack) {
  ForwardLab lab;
  const Outcome syn = lab.establish(40000);
  lab.links = {0, 0};
  EXPECT_TRUE(lab.send(ForwardLab::from_endpoint(syn, kAck, 5001, 1001, {1})).sent());
}

struct Resets {
  Octets client, endpoint;
};
Resets sort(const std::vector<Octets>& emitted) {
  Resets out;
  for (const Octets& octets : emitted) {
    EXPECT_EQ(octets.size(), 40U);
    EXPECT_TRUE(checksums_ok(octets));
    (octets[12] == 203 ? out.client : out.endpoint) = octets;
  }
  return out;
}
std::uint32_t at(const Octets& octets, std::size_t offset) {
  return static_cast<std::uint32_t>(octets.at(offset)) << 24U |
         static_cast<std::uint32_t>(octets.at(offset + 1)) << 16U |
         static_cast<std::uint32_t>(octets.at(offset + 2)) << 8U | octets.at(offset + 3);
}

table::Table without(std::uint32_t endpoint_address) {
  table::Table table = lab_table();
  table.endpoints[endpoint_address == ip4("10.2.1.1") ? 0 : 1].reset_established = 1;
  return table;
}

TEST(ForwardReset, BothEndsGetAResetTheyMustAcceptWithinASecond) {
  ForwardLab lab;
  const Outcome syn = lab.establish(40000);
  lab.send(ForwardLab::from_client(40000, kAck | kPsh, 1001, 5001, Octets(100)));
  lab.send(ForwardLab::from_endpoint(syn, kAck, 5001, 1101, Octets(700)));
  lab.send(ForwardLab::from_endpoint(syn, kAck, 5001, 1101, Octets(50)));  // an older one, repeated
  lab.adopt(without(syn.destination()));
  const Resets resets = sort(lab.sweep(milliseconds(400)));
  ASSERT_FALSE(resets.client.empty());
  EXPECT_EQ(at(resets.client, 12), kVip);
  EXPECT_EQ(at(resets.client, 16), kClient);
  EXPECT_EQ(at(resets.client, 20), 8000U << 16U | 40000U);
  EXPECT_EQ(at(resets.client, 24), 5701U);  // the end of what was forwarded to it
  EXPECT_EQ(at(resets.client, 28), 1101U);
  EXPECT_EQ(resets.client[33], kRst | kAck);
  ASSERT_FALSE(resets.endpoint.empty());
  EXPECT_EQ(at(resets.endpoint, 12), kSnat);
  EXPECT_EQ(at(resets.endpoint, 16), syn.destination());
  EXPECT_EQ(at(resets.endpoint, 20), static_cast<std::uint32_t>(syn.source_port()) << 16U | 8000U);
  EXPECT_EQ(at(resets.endpoint, 24), 1101U);
  EXPECT_EQ(lab.worker.resets_sent.load(), 2U);
}

TEST(ForwardReset, ManyAtOnceAreSpreadOverSteps) {
  ForwardLab lab(lab_table(), 4000);
  for (std::uint16_t port = 10000; port < 13000; ++port) lab.establish(port);
  table::Table next = lab_table();
  for (table::Endpoint& endpoint : next.endpoints) endpoint.reset_established = 1;
  lab.adopt(next);
  std::set<std::uint32_t> told;  // clients' ports
  for (int step = 0; step < 6; ++step) {
    lab.now = lab.now + milliseconds(step == 0 ? 200 : 2);
    std::size_t sent = 0;
    const bool more =
        lab.forwarder->sweep(lab.links, lab.now, 4000, [&](std::span<const std::uint8_t> reset) {
          ++sent;
          if (reset[12] == 203) told.insert(static_cast<std::uint32_t>(reset[22]) << 8U | reset[23]);
        });
    EXPECT_LE(sent, 1024U) << step;
    EXPECT_EQ(more, sent >= 1023) << step;
  }
  EXPECT_EQ(told.size(), 3000U);
}

TEST(ForwardReset, OtherEndpointsFlowsGoOn) {
  ForwardLab lab;
  const Outcome one = lab.establish(40000);
  std::uint16_t port = 40001;
  while (lab.establish(port).destination() == one.destination()) ++port;
  lab.adopt(without(one.destination()));
  lab.sweep(seconds(1));
  EXPECT_TRUE(lab.send(ForwardLab::from_client(port, kAck, 1001, 5001, {1})).sent());
  EXPECT_TRUE(lab.send(ForwardLab::from_client(40000, kAck, 1001, 5001, {1})).refused());
}

TEST(ForwardReset, SegmentsAreAnsweredWithWhatTheyExpectForFiveSeconds) {
  ForwardLab lab;
  const Outcome syn = lab.establish(40000);
  lab.adopt(without(syn.destination()));
  lab.sweep(milliseconds(400));
  // A challenge ACK (RFC 5961): something was lost behind us, and this is what it expects.
  Outcome outcome = lab.send(ForwardLab::from_client(40000, kAck, 1001, 4990));
  ASSERT_TRUE(outcome.refused());
  EXPECT_EQ(outcome.result.reason, DropReason::flow_reset);
  const Octets answer = lab.answer(outcome);
  EXPECT_EQ(at(answer, 24), 4990U);
  EXPECT_EQ(answer[33], kRst);
  outcome = lab.send(ForwardLab::from_endpoint(syn, kAck, 5001, 1001, {1}));
  EXPECT_TRUE(outcome.refused());
  EXPECT_EQ(outcome.result.reason, DropReason::flow_reset);
  outcome = lab.send(ForwardLab::from_client(40000, kRst, 1001));
  EXPECT_TRUE(outcome.dropped());
  EXPECT_EQ(outcome.result.reason, DropReason::flow_reset);
  // Pushed again meanwhile, for a client that only receives and missed the first; then forgotten.
  EXPECT_GE(lab.sweep(seconds(4)).size(), 6U);
  EXPECT_EQ(lab.worker.flows.load(), 1U);
  lab.sweep(seconds(3));
  EXPECT_EQ(lab.worker.flows.load(), 0U);
  EXPECT_EQ(lab.send(ForwardLab::from_client(40000, kAck, 1001, 4990)).result.reason, DropReason::no_flow);
}

TEST(ForwardReset, ClientThatReconnectsFromTheSamePortIsServed) {
  ForwardLab lab;
  const Outcome syn = lab.establish(40000);
  lab.adopt(without(syn.destination()));
  lab.sweep(milliseconds(400));
  table::Table next = without(syn.destination());
  next.endpoints[syn.destination() == ip4("10.2.1.1") ? 0 : 1].accepts_new = 0;
  lab.adopt(next);
  const Outcome again = lab.send(ForwardLab::from_client(40000, kSyn, 99));
  ASSERT_TRUE(again.sent());
  EXPECT_NE(again.destination(), syn.destination());
}

TEST(ForwardReset, EndpointGoneFromTheTable) {
  ForwardLab lab;
  const Outcome syn = lab.establish(40000);
  table::Table next = lab_table();
  const std::size_t gone = syn.destination() == ip4("10.2.1.1") ? 0 : 1;
  next.endpoints.erase(next.endpoints.begin() + static_cast<std::ptrdiff_t>(gone));
  next.candidates = {{1, 0, kSydMelA, 100}, {1, 1, kSydPer, 100}};
  next.tiers = {{0, 1}, {1, 1}};
  lab.adopt(next);
  const Outcome outcome = lab.send(ForwardLab::from_client(40000, kAck, 1001, 5001, {1}));
  EXPECT_TRUE(outcome.refused());
  EXPECT_EQ(outcome.result.reason, DropReason::flow_reset);
  EXPECT_EQ(at(lab.answer(outcome), 24), 5001U);
  const Resets resets = sort(lab.sweep(milliseconds(400)));
  EXPECT_EQ(at(resets.client, 24), 5001U);
  EXPECT_EQ(at(resets.endpoint, 16), syn.destination());
}

TEST(ForwardReset, EndpointThatMovedIsAnotherEndpoint) {
  ForwardLab lab;
  const Outcome syn = lab.establish(40000);
  table::Table next = lab_table();
  next.endpoints[0].address = ip("10.2.7.1");
  next.endpoints[1].address = ip("10.2.7.2");
  lab.adopt(next);
  const Resets resets = sort(lab.sweep(milliseconds(400)));
  EXPECT_EQ(at(resets.client, 24), 5001U);
  EXPECT_EQ(at(resets.endpoint, 16), syn.destination());
  lab.sweep(seconds(7));
  EXPECT_EQ(lab.worker.flows.load(), 0U);
}

TEST(ForwardReset, FlowsToTheNewAddressOutliveThoseToTheOld) {
  ForwardLab lab;
  for (std::uint16_t port = 40000; port < 40016; ++port) lab.establish(port);  // some to each endpoint
  table::Table next = lab_table();
  next.endpoints[0].address = ip("10.2.7.1");
  next.endpoints[1].address = ip("10.2.7.2");
  lab.adopt(next);
  for (std::uint16_t port = 50000; port < 50016; ++port) lab.establish(port);
  lab.adopt(next);  // the old flows are still known
  lab.sweep(seconds(7));
  EXPECT_EQ(lab.worker.flows.load(), 16U);
  lab.adopt(next);  // and now they are not
  EXPECT_TRUE(lab.sweep(seconds(1)).empty());
  EXPECT_EQ(lab.worker.flows.load(), 16U);
}

TEST(ForwardReset, FlowsToTheNewPortOfAServiceOutliveThoseToTheOld) {
  ForwardLab lab;
  lab.establish(40000);
  table::Table next = lab_table();
  next.services[0].port = 8001;
  lab.adopt(next);
  FrameSpec syn = ForwardLab::from_client(50000, kSyn, 1000);
  syn.destination_port = 8001;
  ASSERT_TRUE(lab.send(syn).sent());
  lab.adopt(next);
  lab.sweep(seconds(7));
  lab.adopt(next);
  EXPECT_TRUE(lab.sweep(seconds(1)).empty());
  EXPECT_EQ(lab.worker.flows.load(), 1U);
}

TEST(ForwardReset, ServiceAndSnatAddressGone) {
  for (const bool service : {true, false}) {
    ForwardLab lab;
    const Outcome syn = lab.establish(40000);
    table::Table next = lab_table();
    if (service) {
      next.services[0].port = 8001;
    } else {
      next.snat_addresses = {ip("10.1.255.2")};
    }
    lab.adopt(next);
    const Resets resets = sort(lab.sweep(milliseconds(400)));
    ASSERT_FALSE(resets.client.empty()) << service;
    EXPECT_EQ(at(resets.client, 20), 8000U << 16U | 40000U);
    EXPECT_EQ(at(resets.endpoint, 12), kSnat);
    EXPECT_EQ(at(resets.endpoint, 16), syn.destination());
    lab.sweep(seconds(7));
    EXPECT_EQ(lab.worker.flows.load(), 0U);
  }
}

TEST(ForwardReset, EveryPathGoneForLongerThanTheLimit) {
  ForwardLab lab;
  lab.establish(40000);
  lab.links = {0, 0};
  EXPECT_TRUE(lab.sweep(seconds(29)).empty());
  const Resets resets = sort(lab.sweep(seconds(3)));
  EXPECT_FALSE(resets.client.empty());
  EXPECT_TRUE(resets.endpoint.empty());  // no path to it
}

TEST(ForwardReset, PathsThatComeBackInTimeSaveTheFlow) {
  ForwardLab lab;
  lab.establish(40000);
  for (int i = 0; i < 4; ++i) {
    lab.links = {0, 0};
    EXPECT_TRUE(lab.sweep(seconds(20)).empty());
    lab.links = {0b010, 0};
    EXPECT_TRUE(lab.sweep(seconds(1)).empty());
  }
  EXPECT_TRUE(lab.send(ForwardLab::from_client(40000, kAck, 1001, 5001, {1})).sent());
}

TEST(ForwardReset, UnansweredAndDatagramFlowsSimplyMove) {
  table::Table records = lab_table();
  ForwardLab lab(records);
  const Outcome syn = lab.send(ForwardLab::from_client(40000, kSyn, 1000));
  table::Table next = without(syn.destination());
  next.endpoints[syn.destination() == ip4("10.2.1.1") ? 0 : 1].accepts_new = 0;
  lab.adopt(next);
  EXPECT_TRUE(lab.sweep(seconds(1)).empty());
  EXPECT_EQ(lab.worker.flows.load(), 0U);
  const Outcome again = lab.send(ForwardLab::from_client(40000, kSyn, 1000));
  ASSERT_TRUE(again.sent());
  EXPECT_NE(again.destination(), syn.destination());
}

TEST(ForwardReset, DrainedEndpointKeepsItsFlows) {
  ForwardLab lab;
  const Outcome syn = lab.establish(40000);
  table::Table next = lab_table();
  for (table::Endpoint& endpoint : next.endpoints) endpoint.accepts_new = 0;
  for (table::Candidate& candidate : next.candidates) candidate.weight = 0;
  lab.adopt(next);
  EXPECT_TRUE(lab.sweep(seconds(2)).empty());
  EXPECT_EQ(lab.send(ForwardLab::from_client(40000, kAck, 1001, 5001, {1})).destination(), syn.destination());
}

TEST(Adopt, EndpointsThatGoGiveTheirSlotsBack) {
  ForwardLab lab;  // with 8 slots
  lab.establish(40000);
  table::Table records = lab_table();
  for (std::uint32_t change = 1; change <= 4; ++change) {
    for (table::Endpoint& endpoint : records.endpoints) endpoint.id += 1000;
    lab.adopt(records);
  }
  std::set<std::uint32_t> held;
  for (const telemetry::EndpointSlot& slot : lab.endpoints)
    if (const std::uint32_t id = slot.id.load(); id != 0) held.insert(id);
  EXPECT_EQ(held.size(), records.endpoints.size() + 1) << "and the one that still has a flow";
  for (const table::Endpoint& endpoint : records.endpoints) EXPECT_TRUE(held.contains(endpoint.id));
  lab.sweep(std::chrono::seconds(20));  // the flow was reset
  lab.adopt(records);
  held.clear();
  for (const telemetry::EndpointSlot& slot : lab.endpoints)
    if (const std::uint32_t id = slot.id.load(); id != 0) held.insert(id);
  EXPECT_EQ(held.size(), records.endpoints.size());
}

}  // namespace
}  // namespace perigee::test
