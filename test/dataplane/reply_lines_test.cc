#include "dataplane/reply_lines.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "dataplane/packet.h"

namespace perigee {
namespace {

constexpr std::uint32_t kSnat = 0x0a01ff01;
constexpr std::uint16_t kPort = 4000;

TcpPath path_to(std::uint32_t endpoint, std::uint16_t port = kPort) {
  return {kSnat, 0x0a020000 + endpoint, port, 8000};
}

TEST(ReplyLines, FindsTheFlowOfEachOfManyLines) {
  const SnatPorts ports(0, 1);
  std::vector<std::unique_ptr<SnatLine>> lines;
  ReplyLines replies(ports);
  for (std::uint32_t i = 0; i < 300; ++i) {  // more than there were cells at first
    lines.push_back(std::make_unique<SnatLine>(ports, 0));
    lines.back()->note(kPort, i);
    replies.add(path_to(i), kTcp, *lines.back());
  }
  for (std::uint32_t i = 0; i < 300; ++i) {
    EXPECT_EQ(replies.find_flow(path_to(i), kTcp), i);
    EXPECT_EQ(replies.flow(replies.find_line(path_to(i), kTcp), kPort), i);
    EXPECT_EQ(replies.find_flow(path_to(i), kUdp), kNoSlot);
    EXPECT_EQ(replies.find_flow(path_to(i, kPort + 1), kTcp), kNoSlot);
  }
  EXPECT_EQ(replies.find_line(path_to(300), kTcp), ReplyLines::kNone);
  replies.clear();
  EXPECT_EQ(replies.find_flow(path_to(7), kTcp), kNoSlot);
}

TEST(ReplyLines, TwoEndpointsMayHaveOneAddressAndPort) {
  const SnatPorts ports(0, 1);
  SnatLine one(ports, 0), other(ports, 0);
  ReplyLines replies(ports);
  replies.add(path_to(1), kTcp, one);
  replies.add(path_to(1), kTcp, other);
  one.note(kPort, 5);
  other.note(kPort + 1, 6);
  EXPECT_EQ(replies.find_flow(path_to(1, kPort), kTcp), 5U);
  EXPECT_EQ(replies.find_flow(path_to(1, kPort + 1), kTcp), 6U);
}

TEST(ReplyLines, APortThatIsGivenBackHasNoFlow) {
  const SnatPorts ports(1, 2);  // 32768 and above
  SnatRests rests(4);
  SnatLine line(ports, 0);
  ReplyLines replies(ports);
  replies.add(path_to(1), kTcp, line);
  const std::uint16_t port = line.take(rests, 0)->port;
  line.note(port, 9);
  EXPECT_EQ(replies.find_flow(path_to(1, port), kTcp), 9U);
  line.give(rests, port, 0);
  EXPECT_EQ(replies.find_flow(path_to(1, port), kTcp), kNoSlot);
  EXPECT_EQ(replies.find_flow(path_to(1, 2000), kTcp), kNoSlot);  // another worker's
}

}  // namespace
}  // namespace perigee
