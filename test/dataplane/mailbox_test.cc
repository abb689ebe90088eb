#include "dataplane/mailbox.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>

namespace perigee {
namespace {

TEST(Mailbox, OneOfferAtATimeAndTheOldOneIsFreedByItsOwner) {
  Mailbox<int> mailbox;
  auto first = std::make_shared<const int>(1);
  const std::weak_ptr<const int> watch = first;
  EXPECT_TRUE(mailbox.settled());
  EXPECT_TRUE(mailbox.offer(std::move(first)));
  EXPECT_FALSE(mailbox.offer(std::make_shared<const int>(9)));
  EXPECT_FALSE(mailbox.settled());

  int adopted = 0;
  const auto adopt = [&](const int& value) { adopted = value; };
  EXPECT_TRUE(mailbox.take(adopt));
  EXPECT_EQ(adopted, 1);
  EXPECT_FALSE(mailbox.take(adopt));

  EXPECT_TRUE(mailbox.offer(std::make_shared<const int>(2)));
  EXPECT_TRUE(
      mailbox.take([&](const int&) { EXPECT_FALSE(watch.expired()) << "the old one is still in use"; }));
  EXPECT_FALSE(watch.expired()) << "a worker never frees";
  EXPECT_TRUE(mailbox.settled());
  EXPECT_TRUE(watch.expired());
}

// For ThreadSanitizer and AddressSanitizer: the reader never sees a value that is being built or was freed.
TEST(Mailbox, SwapsUnderAReader) {
  struct Value {
    explicit Value(int number) { words.fill(number); }
    ~Value() { words.fill(-1); }
    std::array<int, 16> words{};
  };
  constexpr int kSwaps = 500;
  Mailbox<Value> mailbox;
  std::thread worker([&] {
    const Value* held = nullptr;
    for (int seen = 0; seen < kSwaps;) {
      const bool taken = mailbox.take([&](const Value& next) {
        if (held != nullptr) {
          EXPECT_EQ(held->words.front(), seen);
        }
        held = &next;
        ++seen;
      });
      if (held == nullptr || !taken) {
        std::this_thread::yield();
        continue;
      }
      ASSERT_EQ(held->words.front(), seen);
      ASSERT_EQ(held->words.back(), seen);
    }
  });
  for (int i = 1; i <= kSwaps; ++i) {
    while (!mailbox.offer(std::make_shared<const Value>(i))) std::this_thread::yield();
  }
  worker.join();
}

}  // namespace
}  // namespace perigee
