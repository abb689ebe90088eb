// Flows of an endpoint over links that are as good.
#include <gtest/gtest.h>

#include <array>
#include <map>

#include "test/dataplane/forward_lab.h"

namespace perigee::test {
namespace {

constexpr std::uint16_t kFlows = 200;

std::uint16_t link_of(const Outcome& outcome) { return outcome.result.egress.segment.index; }
FrameSpec data_of(std::uint16_t port) { return ForwardLab::from_client(port, kAck, 1001, 5001, {1}); }

table::Table two_equal() {
  table::Table records = lab_table();
  for (table::Endpoint& endpoint : records.endpoints) endpoint.equal_links = 2;
  return records;
}

// Established flows from ports 1, 2, ... and the link of each.
std::map<std::uint16_t, std::uint16_t> open_flows(ForwardLab& lab) {
  std::map<std::uint16_t, std::uint16_t> links;
  for (std::uint16_t port = 1; port <= kFlows; ++port) {
    links[port] = link_of(lab.establish(port));
    EXPECT_EQ(link_of(lab.send(data_of(port))), links[port]) << "the SYN and what follows go one way";
  }
  return links;
}

TEST(ForwardSpread, FlowsShareEqualLinksAndEachKeepsToItsOwn) {
  ForwardLab lab(two_equal());
  std::array<int, 3> count{};
  for (const auto& [port, link] : open_flows(lab)) ++count.at(link);
  EXPECT_GT(count[kSydMelA], kFlows / 3);
  EXPECT_GT(count[kSydMelB], kFlows / 3);
  EXPECT_EQ(count[kSydPer], 0);
}

TEST(ForwardSpread, ADeadLinksFlowsMoveAndOthersStay) {
  ForwardLab lab(two_equal());
  const auto links = open_flows(lab);
  lab.links = {0b101, 0};
  for (const auto& [port, link] : links) EXPECT_EQ(link_of(lab.send(data_of(port))), kSydMelA);
  lab.links = {0b110, 0};
  for (const auto& [port, link] : links) EXPECT_EQ(link_of(lab.send(data_of(port))), kSydMelB);
  lab.links = {0b100, 0};
  EXPECT_EQ(link_of(lab.send(data_of(1))), kSydPer) << "the next in order, when all equal ones are dead";
  lab.links = kAllUp;
  for (const auto& [port, link] : links) EXPECT_EQ(link_of(lab.send(data_of(port))), link);
}

TEST(ForwardSpread, ACandidateOverAnotherLinkOpensThereAndItsFlowsMove) {
  table::Table records = two_equal();
  records.candidates[0].link = records.candidates[1].link = kSydPer;
  ForwardLab lab(records);
  EXPECT_EQ(link_of(lab.establish(40000)), kSydPer);
  EXPECT_NE(link_of(lab.send(data_of(40000))), kSydPer);
}

TEST(ForwardSpread, ANewTableSpreadsFlowsThatGoOn) {
  ForwardLab lab;
  for (const auto& [port, link] : open_flows(lab)) ASSERT_EQ(link, kSydMelA);
  lab.adopt(two_equal());
  std::array<int, 3> count{};
  for (std::uint16_t port = 1; port <= kFlows; ++port) {
    const Outcome outcome = lab.send(data_of(port));
    ASSERT_TRUE(outcome.sent());
    ++count.at(link_of(outcome));
  }
  EXPECT_GT(count[kSydMelB], kFlows / 3);
}

}  // namespace
}  // namespace perigee::test
