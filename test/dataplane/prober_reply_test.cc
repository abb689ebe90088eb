// Which replies count: every test of a reply fails once, and is counted under its own name.
#include <gtest/gtest.h>

#include "contract/telemetry_file.h"
#include "test/dataplane/probe_network.h"

namespace perigee {
namespace {

using namespace std::chrono_literals;
using telemetry::InvalidReply;
using test::Network;
using Verdict = Prober::Verdict;

table::Link strict_link() {
  table::Link link = test::make_link(11);
  link.min_ttl = 250;
  link.rtt_floor_ns = 1'000'000;
  return link;
}

// A network whose first test has left, and the good reply to it.
struct OneTest {
  Network network{{strict_link(), test::make_link(12, 3)}};
  Network::Answer answer;

  OneTest() {
    network.lost = [](const Network::Sent&) { return true; };
    network.run_for(20ms);
    answer = network.answer(first(), 5ms);
  }
  const Network::Sent& first() {
    return *std::find_if(network.sent.begin(), network.sent.end(),
                         [](const auto& sent) { return sent.link == 0; });
  }
  Verdict deliver() { return network.deliver(answer.finish()); }
  std::uint64_t invalid(InvalidReply reason) {
    return network.slot(0).invalid[static_cast<std::size_t>(reason)].load();
  }
};

TEST(ProberReply, AGoodOneIsCountedOnce) {
  OneTest t;
  EXPECT_EQ(t.deliver(), Verdict::received);
  EXPECT_EQ(t.network.slot().received.load(), 1U);
  EXPECT_EQ(t.network.slot().rtt_sum_ns.load(), 5'000'000U);
  EXPECT_EQ(t.network.slot().last_sample_ns.load(), (t.first().at + 5ms).ns);
  EXPECT_EQ(t.deliver(), Verdict::duplicate);
  EXPECT_EQ(t.network.slot().received.load(), 1U);
  EXPECT_EQ(t.network.slot().duplicate.load(), 1U);
  for (const auto& count : t.network.slot().invalid) EXPECT_EQ(count.load(), 0U);
}

struct Spoiled {
  const char* name;
  InvalidReply reason;
  std::function<void(OneTest&)> spoil;
};

class Invalid : public testing::TestWithParam<Spoiled> {};

TEST_P(Invalid, IsCountedUnderItsReasonAndNothingElse) {
  OneTest t;
  GetParam().spoil(t);
  EXPECT_EQ(t.deliver(), Verdict::invalid);
  EXPECT_EQ(t.invalid(GetParam().reason), 1U);
  std::uint64_t all = 0;
  for (const auto& count : t.network.slot().invalid) all += count.load();
  EXPECT_EQ(all, 1U);
  EXPECT_EQ(t.network.slot().received.load(), 0U);
  EXPECT_EQ(t.network.slot().last_sample_ns.load(), 0);
  // The test is still outstanding: its true reply counts.
  Network::Answer good = t.network.answer(t.first(), 5ms);
  EXPECT_EQ(t.network.deliver(good.finish()), Verdict::received);
}

Timestamp plus(Timestamp stamp, std::uint64_t bits) { return {stamp.bits + bits}; }

INSTANTIATE_TEST_SUITE_P(
    Replies, Invalid,
    testing::Values(
        Spoiled{"another_address", InvalidReply::wrong_link,
                [](OneTest& one) { one.answer.datagram.source = IpAddress::v4(172, 31, 1, 3); }},
        Spoiled{"another_source_port", InvalidReply::wrong_link,
                [](OneTest& one) { one.answer.datagram.source_port = 863; }},
        Spoiled{"another_destination_port", InvalidReply::wrong_link,
                [](OneTest& one) { one.answer.datagram.destination_port = 49151; }},
        Spoiled{"a_session_of_the_other_link", InvalidReply::wrong_link,
                [](OneTest& one) {
                  for (const auto& sent : one.network.sent) {
                    if (sent.link == 1) one.answer.datagram.destination_port = sent.port;
                  }
                  if (one.answer.datagram.destination_port == one.first().port) FAIL();
                }},
        Spoiled{"sequence_never_sent", InvalidReply::unknown_sequence,
                [](OneTest& one) { one.answer.reply.sender_sequence += 1; }},
        Spoiled{"sequence_before_the_first", InvalidReply::unknown_sequence,
                [](OneTest& one) { one.answer.reply.sender_sequence -= 1; }},
        Spoiled{"t1_off_by_one_bit", InvalidReply::timestamp_echo,
                [](OneTest& one) { one.answer.reply.sender_sent = plus(one.answer.reply.sender_sent, 1); }},
        Spoiled{"t1_and_t3_swapped", InvalidReply::timestamp_echo,
                [](OneTest& one) { std::swap(one.answer.reply.sender_sent, one.answer.reply.sent); }},
        Spoiled{"ttl_too_small", InvalidReply::ttl, [](OneTest& one) { one.answer.datagram.ttl = 249; }},
        Spoiled{"residence_negative", InvalidReply::residence,
                [](OneTest& one) { one.answer.reply.received = plus(one.answer.reply.sent, 1U << 16U); }},
        Spoiled{
            "residence_beyond_the_round_trip", InvalidReply::residence,
            [](OneTest& one) { one.answer.reply.sent = plus(one.answer.reply.received, 6ULL * 4'294'968); }},
        Spoiled{"residence_beyond_its_limit", InvalidReply::residence,
                [](OneTest& one) { one.answer = one.network.answer(one.first(), 5ms, 20ms + 1us); }},
        Spoiled{"residence_in_a_format_it_is_not", InvalidReply::residence,
                [](OneTest& one) {
                  one.answer.reply.error.bits |= ErrorEstimate::kPtpFormat;
                  one.answer.reply.sent.bits |= 0xffffffffU;
                }},
        Spoiled{"answered_before_it_was_sent", InvalidReply::residence,
                [](OneTest& one) { one.answer.datagram.received = one.first().at - 1us; }},
        Spoiled{"faster_than_the_link", InvalidReply::rtt_floor,
                [](OneTest& one) { one.answer = one.network.answer(one.first(), 999us); }}),
    [](const auto& each) { return each.param.name; });

TEST(ProberReply, TooShortIsMalformed) {
  OneTest t;
  t.answer.finish();
  for (const std::size_t size : {0U, 1U, 13U, 14U, 37U}) {
    t.answer.datagram.payload = std::span(t.answer.octets).first(size);
    EXPECT_EQ(t.network.deliver(t.answer.datagram), Verdict::invalid);
  }
  EXPECT_EQ(t.invalid(InvalidReply::malformed), 5U);
  t.answer.datagram.payload = std::span(t.answer.octets).first(38);  // twampy ends here
  EXPECT_EQ(t.network.deliver(t.answer.datagram), Verdict::received);
}

TEST(ProberReply, ALinkThatIsNotThereIsInvalid) {
  OneTest t;
  t.answer.datagram.link = 2;
  EXPECT_EQ(t.deliver(), Verdict::invalid);
}

TEST(ProberReply, LimitsAreInclusive) {
  OneTest t;
  t.answer = t.network.answer(t.first(), 1ms, 20ms);
  t.answer.datagram.ttl = 250;
  EXPECT_EQ(t.deliver(), Verdict::received);
  EXPECT_EQ(t.network.slot().rtt_buckets[4].load(), 1U);  // 1 ms
}

TEST(ProberReply, PtpStampsOfThePeerAreReadAsSuch) {
  OneTest t;
  t.answer = t.network.answer(t.first(), 5ms, 3ms);
  t.answer.reply.error.bits |= ErrorEstimate::kPtpFormat;
  t.answer.reply.received.bits = 77ULL << 32U | 999'000'000U;
  t.answer.reply.sent.bits = 78ULL << 32U | 2'000'000U;  // 3 ms later
  EXPECT_EQ(t.deliver(), Verdict::received);
  EXPECT_EQ(t.network.slot().rtt_sum_ns.load(), 5'000'000U);
}

TEST(ProberReply, AStatefulReflectorsOwnSequenceDoesNotMatter) {
  OneTest t;
  t.answer.reply.sequence = 0;
  EXPECT_EQ(t.deliver(), Verdict::received);
}

class Residence : public testing::TestWithParam<int> {};

TEST_P(Residence, IsNotPartOfTheRoundTrip) {
  Network network;
  network.delay = 7ms;
  network.residence = std::chrono::milliseconds(GetParam());
  network.run_for(3s);
  const auto words = telemetry::load_block(network.slot().window);
  ASSERT_TRUE(words);
  EXPECT_GT((*words)[telemetry::kWindowSamples], 500U);
  EXPECT_NEAR(static_cast<double>((*words)[telemetry::kWindowMin]), 7e6, 2);
  EXPECT_NEAR(static_cast<double>((*words)[telemetry::kWindowP50]), 7e6, 0.02 * 7e6);
  EXPECT_NEAR(static_cast<double>((*words)[telemetry::kWindowP99]), 7e6, 0.02 * 7e6);
  const std::uint64_t received = network.slot().received.load();
  // A frame may wait for the loop's next look, at most one step of 50 us.
  EXPECT_NEAR(static_cast<double>(network.slot().rtt_sum_ns.load()) / static_cast<double>(received), 7e6,
              50e3);
}

INSTANTIATE_TEST_SUITE_P(Milliseconds, Residence, testing::Values(0, 1, 10));

}  // namespace
}  // namespace perigee
