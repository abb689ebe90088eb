#include "router/ticket_keys.h"

#include <gtest/gtest.h>

#include <chrono>

namespace perigee::router {
namespace {

using std::chrono::minutes;

constexpr Instant kStart{1'000'000'000'000};

TEST(TicketKeys, SealsWithOneKeyForAnHourThenWithAnother) {
  const auto keys = TicketKeys::create(kStart).value();
  const auto first = keys->newest(kStart);
  EXPECT_EQ(keys->newest(kStart + minutes(59)).name, first.name);
  const auto second = keys->newest(kStart + minutes(60));
  EXPECT_NE(second.name, first.name);
  EXPECT_NE(second.cipher, first.cipher);
  EXPECT_NE(second.mac, first.mac);
}

TEST(TicketKeys, OpensWithOlderOnesUntilTheyAreThreeHoursOld) {
  const auto keys = TicketKeys::create(kStart).value();
  const auto first = keys->newest(kStart);
  EXPECT_TRUE(keys->find(first.name, kStart).value().newest);
  for (const int hour : {1, 2}) {
    const Instant now = kStart + std::chrono::hours(hour);
    (void)keys->newest(now);
    const auto found = keys->find(first.name, now);
    ASSERT_TRUE(found.has_value()) << hour;
    EXPECT_FALSE(found->newest);
    EXPECT_EQ(found->key.cipher, first.cipher);
  }
  (void)keys->newest(kStart + std::chrono::hours(3));
  EXPECT_FALSE(keys->find(first.name, kStart + std::chrono::hours(3)).has_value());
}

TEST(TicketKeys, ForgetsByAgeThoughNobodySealed) {
  const auto keys = TicketKeys::create(kStart).value();
  const auto first = keys->newest(kStart);
  EXPECT_TRUE(keys->find(first.name, kStart + minutes(179)).has_value());
  EXPECT_FALSE(keys->find(first.name, kStart + minutes(180)).has_value());
}

TEST(TicketKeys, KnowsOnlyItsOwnNames) {
  const auto keys = TicketKeys::create(kStart).value();
  const auto others = TicketKeys::create(kStart).value();
  EXPECT_FALSE(keys->find(others->newest(kStart).name, kStart).has_value());
  // The slots never filled have a name of zeros: not a key.
  EXPECT_FALSE(keys->find(TicketKeys::Key{}.name, kStart).has_value());
}

}  // namespace
}  // namespace perigee::router
