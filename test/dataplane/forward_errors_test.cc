// ICMP errors about packets of our flows, translated.
#include <gtest/gtest.h>

#include "test/dataplane/forward_lab.h"

namespace perigee::test {
namespace {

constexpr std::uint32_t kRouter = 0x0a020001;  // 10.2.0.1, somewhere on the way

// An error about `original` (an IPv4 packet), sent to its source.
FrameSpec error_about(const Octets& original, std::uint8_t type, std::uint8_t code, std::uint32_t rest,
                      std::size_t quote) {
  FrameSpec spec;
  spec.protocol = kIcmp;
  spec.source = kRouter;
  spec.destination = Outcome{{}, original}.source();
  spec.icmp_type = type;
  spec.icmp_code = code;
  spec.icmp_rest = rest;
  spec.payload.assign(original.begin(),
                      original.begin() + static_cast<std::ptrdiff_t>(std::min(quote, original.size())));
  return spec;
}

Octets inner_of(const Outcome& outcome) { return {outcome.ip.begin() + 28, outcome.ip.end()}; }

TEST(ForwardErrors, FragmentationNeededReachesTheClientAsItsOwn) {
  ForwardLab lab;
  lab.establish(40000);
  FrameSpec data = ForwardLab::from_client(40000, kAck, 1001, 5001, Octets(900, 7));
  const Octets original = build_ip(data);
  const Outcome there = lab.send(data);
  for (const std::size_t quote : {std::size_t{28}, std::size_t{60}, std::size_t{2000}}) {
    const Outcome outcome = lab.send(error_about(there.ip, 3, 4, 1400, quote));
    ASSERT_TRUE(outcome.sent()) << quote;
    EXPECT_TRUE(checksums_ok(outcome.ip)) << quote;
    EXPECT_EQ(outcome.source(), kVip);
    EXPECT_EQ(outcome.destination(), kClient);
    EXPECT_EQ(outcome.ip[8], 63);
    EXPECT_EQ(outcome.ip[20], 3);
    EXPECT_EQ(outcome.ip[21], 4);
    EXPECT_EQ(outcome.be32(24), 1400U);
    EXPECT_EQ(outcome.result.egress.segment, (Segment{Segment::Kind::interface, kEdge}));
    // The quote is the client's own packet, but for the TTL it had at the router.
    Octets expected = original;
    expected[8] = 63;
    set16(expected, 10, 0);
    set16(expected, 10, plain_checksum(std::span(expected).first(20)));
    expected.resize(std::min(quote, expected.size()));
    EXPECT_EQ(to_hex(inner_of(outcome)), to_hex(expected)) << quote;
  }
}

TEST(ForwardErrors, ClientsErrorReachesTheEndpoint) {
  ForwardLab lab;
  const Outcome syn = lab.establish(40000);
  const FrameSpec data = ForwardLab::from_endpoint(syn, kAck, 5001, 1001, Octets(900, 7));
  const Octets original = build_ip(data);
  const Outcome there = lab.send(data);
  FrameSpec error = error_about(there.ip, 3, 4, 1300, 548);
  error.source = kClient;
  const Outcome outcome = lab.send(error);
  ASSERT_TRUE(outcome.sent());
  EXPECT_TRUE(checksums_ok(outcome.ip));
  EXPECT_EQ(outcome.source(), kSnat);
  EXPECT_EQ(outcome.destination(), syn.destination());
  EXPECT_EQ(outcome.result.egress.segment, (Segment{Segment::Kind::link, kSydMelA}));
  const Octets inner = inner_of(outcome);
  EXPECT_EQ(to_hex(std::span(inner).subspan(12, 40)), to_hex(std::span(original).subspan(12, 40)));
}

TEST(ForwardErrors, SoftErrorsOfTcpEndHere) {
  ForwardLab lab;
  const Outcome syn = lab.establish(40000);
  for (const int code : {0, 1, 5, 9, 13}) {
    const Outcome outcome = lab.send(error_about(syn.ip, 3, static_cast<std::uint8_t>(code), 0, 28));
    EXPECT_TRUE(outcome.dropped());
    EXPECT_EQ(outcome.result.reason, DropReason::icmp_soft_error);
  }
  for (const int code : {2, 3})
    EXPECT_TRUE(lab.send(error_about(syn.ip, 3, static_cast<std::uint8_t>(code), 0, 28)).sent());
  EXPECT_TRUE(lab.send(error_about(syn.ip, 11, 0, 0, 28)).sent());
  EXPECT_TRUE(lab.send(error_about(syn.ip, 12, 0, 0, 28)).sent());
  EXPECT_EQ(lab.send(error_about(syn.ip, 5, 1, 0, 28)).result.reason, DropReason::icmp_soft_error);
}

TEST(ForwardErrors, UdpLearnsOfUnreachableHosts) {
  table::Table records = lab_table();
  records.services[0].protocol = kUdp;
  ForwardLab lab(records);
  FrameSpec spec = ForwardLab::from_client(5000, 0, 0);
  spec.protocol = kUdp;
  spec.payload = {1, 2, 3};
  const Octets original = build_ip(spec);
  const Outcome there = lab.send(spec);
  const Outcome outcome = lab.send(error_about(there.ip, 3, 1, 0, 28));
  ASSERT_TRUE(outcome.sent());
  EXPECT_TRUE(checksums_ok(outcome.ip));
  const Octets inner = inner_of(outcome);
  EXPECT_EQ(to_hex(std::span(inner).subspan(12)), to_hex(std::span(original).subspan(12, 16)));
}

TEST(ForwardErrors, MeansNothingWithoutItsFlow) {
  ForwardLab lab;
  const Outcome syn = lab.establish(40000);
  Octets other = syn.ip;
  other[20] ^= 1U;  // another port
  EXPECT_EQ(lab.send(error_about(other, 3, 4, 1400, 28)).result.reason, DropReason::icmp_no_flow);
  // A sequence that was never sent (RFC 5927 section 4.1).
  other = syn.ip;
  other[24] ^= 0x40U;
  EXPECT_EQ(lab.send(error_about(other, 3, 4, 1400, 28)).result.reason, DropReason::icmp_no_flow);
  // About a packet that its destination did not send.
  other = syn.ip;
  FrameSpec stray = error_about(other, 3, 4, 1400, 28);
  stray.payload[12] ^= 1U;
  EXPECT_EQ(lab.send(stray).result.reason, DropReason::icmp_no_flow);
}

}  // namespace
}  // namespace perigee::test
