#include "dataplane/reflector.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "test/dataplane/probe_network.h"

namespace perigee {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using test::make_link;

struct Fixture {
  std::unique_ptr<telemetry::Layout> layout = std::make_unique<telemetry::Layout>();
  std::mt19937_64 random{1};
  NtpClock clock{Instant{0}, seconds(1'700'000'000)};
  LinkSlots slots{*layout, random};
  Reflector reflector{slots, clock};
  table::Table table;
  Instant t2{5'000'000'000};
  Instant t3 = t2 + microseconds(30);
  std::vector<std::uint8_t> payload = std::vector<std::uint8_t>(stamp::kBaseSize, 0);
  std::array<std::uint8_t, 2000> out{};
  stamp::TestPacket packet{0x01020304, {0xaabbccdd11223344}, {0x8f01}, 0x5566};
  stamp::Datagram datagram{0, IpAddress::v4(172, 31, 1, 2), 50123, 862, 251, {}, t2};

  Fixture() {
    table.links = {make_link(11), make_link(12, 3)};
    table.settings.reflect_per_second = 1000;
    adopt();
    encode(packet, std::span<std::uint8_t, stamp::kBaseSize>(payload));
  }
  void adopt() { reflector.adopt(table, slots.adopt(table.links, t2)); }
  Reflector::Reflection reflect() {
    datagram.payload = payload;
    return reflector.reflect(datagram, t3, out);
  }
};

TEST(Reflector, CopiesWhatTheSenderNeeds) {
  Fixture f;
  ASSERT_EQ(f.reflect().size, stamp::kBaseSize);
  const auto reply = stamp::decode_reply(std::span(f.out).first(stamp::kBaseSize));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->sequence, f.packet.sequence);
  EXPECT_EQ(reply->sender_sequence, f.packet.sequence);
  EXPECT_EQ(reply->sender_sent, f.packet.sent);
  EXPECT_EQ(reply->sender_error, f.packet.error);
  EXPECT_EQ(reply->ssid, f.packet.ssid);
  EXPECT_EQ(reply->sender_ttl, 251);
  EXPECT_EQ(reply->received, f.clock.at(f.t2));
  EXPECT_EQ(reply->sent, f.clock.at(f.t3));
  EXPECT_EQ(f.slots.at(0).reflected.load(), 1U);
  EXPECT_EQ(f.slots.at(1).reflected.load(), 0U);
}

TEST(Reflector, IsNeverLongerThanTheLongerOfTestAndBase) {
  Fixture f;
  for (std::size_t size = 0; size <= 1472; ++size) {
    f.payload.assign(size, 0x5a);
    f.payload.shrink_to_fit();
    f.out.fill(0xee);
    f.t2 = f.t3 = f.t3 + milliseconds(1);
    const Reflector::Reflection made = f.reflect();
    if (size < stamp::kMinTestSize) {
      EXPECT_EQ(made.size, 0U);
      EXPECT_EQ(made.dropped, DropReason::stamp_malformed);
      continue;
    }
    ASSERT_EQ(made.size, std::max(size, stamp::kBaseSize));
    EXPECT_EQ(f.out[made.size], 0xee);
    // The rest comes back as it was: TLVs we do not know keep their U flag (RFC 8972 section 4).
    for (std::size_t i = stamp::kBaseSize; i < size; ++i) ASSERT_EQ(f.out[i], 0x5a);
  }
}

TEST(Reflector, FitsItsBuffer) {
  Fixture f;
  f.payload.assign(100, 0x5a);
  f.datagram.payload = f.payload;
  EXPECT_EQ(f.reflector.reflect(f.datagram, f.t3, std::span(f.out).first(60)).size, 60U);
  const auto too_small = f.reflector.reflect(f.datagram, f.t3, std::span(f.out).first(43));
  EXPECT_EQ(too_small.size, 0U);
  EXPECT_EQ(too_small.dropped, DropReason::no_buffer);
}

TEST(Reflector, MayBuildInTheBufferOfTheTest) {
  Fixture f;
  f.payload.resize(80, 0x77);
  ASSERT_EQ(f.reflect().size, 80U);
  std::vector<std::uint8_t> in_place = f.payload;
  f.datagram.payload = in_place;
  ASSERT_EQ(f.reflector.reflect(f.datagram, f.t3, in_place).size, 80U);
  EXPECT_TRUE(std::equal(in_place.begin(), in_place.end(), f.out.begin()));
}

TEST(Reflector, AnswersConfiguredPeersOnly) {
  Fixture f;
  const auto refused = [&f] {
    const Reflector::Reflection made = f.reflect();
    return made.size == 0 && made.dropped == DropReason::stamp_not_configured;
  };
  f.datagram.source = IpAddress::v4(172, 31, 1, 3);  // the other link's peer, but on this link
  EXPECT_TRUE(refused());
  f.datagram.source = IpAddress::v4(172, 31, 1, 2);
  f.datagram.destination_port = 863;
  EXPECT_TRUE(refused());
  f.datagram.destination_port = 862;
  f.datagram.link = 2;
  EXPECT_TRUE(refused());
  f.datagram.link = 0;
  EXPECT_EQ(f.reflect().size, stamp::kBaseSize);
  EXPECT_EQ(f.slots.at(0).reflected.load(), 1U);
}

TEST(Reflector, ReflectorsDoNotAnswerEachOther) {
  Fixture f;
  f.datagram.source_port = 862;
  ASSERT_EQ(f.reflect().size, stamp::kBaseSize);  // a test packet from there is one like any other
  f.payload.assign(f.out.begin(), f.out.begin() + stamp::kBaseSize);
  Reflector::Reflection made = f.reflect();
  EXPECT_EQ(made.size, 0U);
  EXPECT_EQ(made.dropped, DropReason::stamp_malformed);
  f.payload.resize(stamp::kMinReplySize);  // as short as a reply may be
  EXPECT_EQ(f.reflect().size, 0U);
  f.datagram.source_port = 50123;  // no reflector's port: padding may be anything (RFC 5357 section 4.1.2)
  EXPECT_NE(f.reflect().size, 0U);
}

TEST(Reflector, IsRateLimitedPerLink) {
  Fixture f;
  int answered = 0;
  for (int i = 0; i < 5000; ++i) {
    f.t3 = f.t3 + microseconds(200);  // 5000 a second
    answered += f.reflect().size != 0 ? 1 : 0;
  }
  EXPECT_GE(answered, 1000);
  EXPECT_LE(answered, 1101);
  EXPECT_EQ(f.reflect().dropped, DropReason::stamp_rate_limited);
  f.datagram.link = 1;
  f.datagram.source = IpAddress::v4(172, 31, 1, 3);
  EXPECT_NE(f.reflect().size, 0U);
}

TEST(Reflector, ATableSwapFillsNoBucket) {
  Fixture f;
  int answered = 0;
  for (int swap = 0; swap < 10; ++swap) {
    f.adopt();
    for (int i = 0; i < 500; ++i) answered += f.reflect().size != 0 ? 1 : 0;
  }
  EXPECT_EQ(answered, 100);
  f.table.settings.reflect_per_second = 10;
  f.adopt();
  EXPECT_NE(f.reflect().size, 0U);  // another rate is another bucket
}

}  // namespace
}  // namespace perigee
