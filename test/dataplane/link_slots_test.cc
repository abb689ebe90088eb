#include "dataplane/link_slots.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

#include "contract/telemetry_file.h"

namespace perigee {
namespace {

constexpr Instant kNow{77};

table::Link link(std::uint32_t id, std::uint16_t mtu = 1500) {
  table::Link made;
  made.id = id;
  made.mtu = mtu;
  return made;
}

struct Fixture {
  std::unique_ptr<telemetry::Layout> layout = std::make_unique<telemetry::Layout>();
  std::mt19937_64 random{1};
  LinkSlots slots{*layout, random};

  std::vector<std::uint32_t> adopt(std::vector<table::Link> links) { return slots.adopt(links, kNow); }
};

TEST(LinkSlots, GivesEachLinkASlot) {
  Fixture f;
  EXPECT_EQ(f.adopt({link(5), link(6)}), (std::vector{table::kNone, table::kNone}));
  EXPECT_EQ(f.slots.at(0).id.load(), 5U);
  EXPECT_EQ(f.slots.at(1).id.load(), 6U);
  EXPECT_NE(f.slots.at(0).incarnation.load(), 0U);
  EXPECT_NE(f.slots.at(0).incarnation.load(), f.slots.at(1).incarnation.load());
  EXPECT_EQ(f.slots.at(0).state_since_ns.load(), 77);
}

TEST(LinkSlots, AnUnchangedLinkKeepsItsSlotAtAnotherIndex) {
  Fixture f;
  f.adopt({link(5), link(6)});
  telemetry::LinkSlot* slot = &f.slots.at(1);
  slot->sent.store(9);
  const std::uint64_t incarnation = slot->incarnation.load();
  EXPECT_EQ(f.adopt({link(6), link(7)}), (std::vector{1U, table::kNone}));
  EXPECT_EQ(&f.slots.at(0), slot);
  EXPECT_EQ(slot->sent.load(), 9U);
  EXPECT_EQ(slot->incarnation.load(), incarnation);
}

TEST(LinkSlots, AChangedLinkStartsAnewInItsSlot) {
  Fixture f;
  f.adopt({link(5)});
  telemetry::LinkSlot* slot = &f.slots.at(0);
  const std::uint64_t incarnation = slot->incarnation.load();
  slot->sent.store(9);
  slot->invalid[3].store(9);
  slot->rtt_buckets[20].store(9);
  slot->last_sample_ns.store(9);
  slot->state.store(1);
  telemetry::Window window;
  window.samples = 4;
  telemetry::store_window(*slot, window);
  EXPECT_EQ(f.adopt({link(5, 1400)}), std::vector{table::kNone});
  EXPECT_EQ(&f.slots.at(0), slot);
  EXPECT_NE(slot->incarnation.load(), incarnation);
  EXPECT_EQ(slot->id.load(), 5U);
  EXPECT_EQ(slot->sent.load() + slot->invalid[3].load() + slot->rtt_buckets[20].load(), 0U);
  EXPECT_EQ(slot->last_sample_ns.load(), 0);
  EXPECT_EQ(slot->state.load(), 0U);
  EXPECT_EQ(telemetry::load_block(slot->window)->at(telemetry::kWindowSamples), 0U);
}

TEST(LinkSlots, ALinkThatIsGoneFreesItsSlot) {
  Fixture f;
  f.adopt({link(5), link(6)});
  telemetry::LinkSlot* slot = &f.slots.at(0);
  const std::uint64_t incarnation = slot->incarnation.load();
  f.adopt({link(6)});
  EXPECT_EQ(slot->id.load(), 0U);
  f.adopt({link(6), link(9)});
  EXPECT_EQ(&f.slots.at(1), slot);
  EXPECT_NE(slot->incarnation.load(), incarnation);
}

TEST(LinkSlots, AsManyLinksAsThereAreCanAllBeReplaced) {
  Fixture f;
  for (const std::uint32_t base : {100U, 1000U}) {
    std::vector<table::Link> links;
    for (std::uint32_t i = 0; i < table::kMaxLinks; ++i) links.push_back(link(base + i));
    f.adopt(links);
    std::set<telemetry::LinkSlot*> distinct;
    for (std::size_t i = 0; i < table::kMaxLinks; ++i) {
      EXPECT_EQ(f.slots.at(i).id.load(), base + i);
      distinct.insert(&f.slots.at(i));
    }
    EXPECT_EQ(distinct.size(), table::kMaxLinks);
  }
}

}  // namespace
}  // namespace perigee
