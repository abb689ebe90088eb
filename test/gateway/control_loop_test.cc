#include "gateway/control_loop.h"

#include <gtest/gtest.h>

#include "steering/policy_yaml.h"
#include "test/gateway/fake_dataplane.h"

namespace perigee::gateway::test {
namespace {

using namespace std::chrono_literals;

class ControlLoopTest : public testing::Test {
 protected:
  ControlLoop open() { return ControlLoop::open(around_.places(), log_, cell_).value(); }

  void adopt(ControlLoop& loop, const std::string& text) {
    loop.adopt(std::make_shared<const Policy>(parse_policy(text, "test.yaml").value()),
               std::make_shared<const std::string>(text), now_);
  }
  void tick(ControlLoop& loop, Nanos later = 100ms) {
    now_ = now_ + later;
    loop.tick(now_, {});
  }
  // One turn of a living data plane that takes every table, measuring both links.
  void turn(ControlLoop& loop, FakeDataplane& dataplane, Nanos mel, Nanos per) {
    now_ = now_ + 100ms;
    dataplane.beat(now_);
    dataplane.measure("syd-mel", mel, now_);
    dataplane.measure("syd-per", per, now_);
    loop.tick(now_, {});
    dataplane.accept(now_);
  }
  [[nodiscard]] std::string first_endpoint() const {
    const auto snapshot = cell_.load();
    const auto* service = snapshot->route->service(id_from_name<ServiceId>("chat"));
    if (service == nullptr || service->tiers.empty()) return "";
    return snapshot->policy->endpoint(service->tiers.front().front().endpoint)->name;
  }
  [[nodiscard]] std::uint64_t generation() const { return cell_.load()->table->identity.generation; }

  Surroundings around_;
  Lines lines_;
  Log log_ = lines_.log();
  SnapshotCell cell_;
  Instant now_ = monotonic_now();
};

TEST_F(ControlLoopTest, PublishesOnceAndNotAgainWithoutAChange) {
  ControlLoop loop = open();
  adopt(loop, policy_text());
  tick(loop);
  const table::Table table = table::read_file(around_.table_directory()).value();
  EXPECT_EQ(table.identity, cell_.load()->table->identity);
  EXPECT_EQ(table.pop.view(), "syd");
  for (int i = 0; i < 20; ++i) tick(loop);
  EXPECT_EQ(generation(), 1U);
  EXPECT_EQ(lines_.count("table_published"), 1);
}

TEST_F(ControlLoopTest, AWindowBeginsAndEndsWithALineEach) {
  ControlLoop loop = open();
  std::string text = policy_text();
  text.replace(
      text.find("10.2.1.1:8000"), 13,
      "10.2.1.1:8000, maintenance: [{from: 2026-12-01T02:00:00Z, to: 2026-12-01T02:00:02Z, note: fans}]");
  adopt(loop, text);
  const WallTime from = parse_wall_time("2026-12-01T02:00:00Z").value();
  const auto at = [&](WallTime wall) {
    now_ = now_ + 1s;
    loop.tick(now_, {}, wall);
  };
  at(from - 1s);
  EXPECT_EQ(first_endpoint(), "mel-1");
  at(from);
  at(from + 1s);
  EXPECT_EQ(first_endpoint(), "per-1");
  EXPECT_EQ(lines_.count("maintenance_began"), 1);
  EXPECT_EQ(lines_.count("maintenance_ended"), 0);
  at(from + 2s);
  EXPECT_TRUE(cell_.load()->route->endpoints.at(0).accepts_new);
  EXPECT_EQ(lines_.count("maintenance_began"), 1);
  EXPECT_EQ(lines_.count("maintenance_ended"), 1);
  EXPECT_NE(lines_.text().find("\"endpoint\":\"mel-1\",\"reason\":\"policy\",\"until\":\"2026-12-01T02:00:"
                               "02Z\",\"note\":\"fans\""),
            std::string::npos)
      << lines_.text();
  EXPECT_EQ(lines_.count("service_switch"), 2) << "the first, and by policy";
  EXPECT_NE(lines_.text().find("\"reason\":\"policy\",\"from\":{\"pop\":\"mel\""), std::string::npos)
      << lines_.text();
}

TEST_F(ControlLoopTest, PublishesAChangeAtMostTenTimesASecond) {
  ControlLoop loop = open();
  adopt(loop, policy_text());
  tick(loop);
  adopt(loop, policy_text("flows: {tcp_idle: 2h}\n"));
  tick(loop, 40ms);
  EXPECT_EQ(generation(), 1U);
  tick(loop, 40ms);
  EXPECT_EQ(generation(), 1U);
  tick(loop, 40ms);
  EXPECT_EQ(generation(), 2U);
}

TEST_F(ControlLoopTest, WithoutADataPlaneEverythingIsUnknownAndTheTableStands) {
  ControlLoop loop = open();
  adopt(loop, policy_text());
  tick(loop);
  const auto snapshot = cell_.load();
  EXPECT_FALSE(snapshot->dataplane_alive());
  EXPECT_EQ(snapshot->conditions.link(0), Conditions::Link{});
  EXPECT_EQ(snapshot->table->state, TableState::no_dataplane);
  EXPECT_FALSE(snapshot->route->service(id_from_name<ServiceId>("chat"))->tiers.empty());
}

TEST_F(ControlLoopTest, TakesTheDataPlanesWordForTheTable) {
  ControlLoop loop = open();
  adopt(loop, policy_text());
  FakeDataplane dataplane(around_);
  dataplane.beat(now_ + 100ms);
  tick(loop);
  EXPECT_EQ(cell_.load()->table->state, TableState::pending);
  dataplane.refuse("no port named link1", now_ + 100ms);
  tick(loop);
  EXPECT_EQ(cell_.load()->table->state, TableState::refused);
  EXPECT_EQ(cell_.load()->table->reason, "no port named link1");
  dataplane.accept(now_ + 100ms);
  tick(loop);
  EXPECT_EQ(cell_.load()->table->state, TableState::in_force);
  EXPECT_TRUE(not_ready_reasons(*cell_.load(), now_).empty());

  adopt(loop, policy_text("flows: {tcp_idle: 2h}\n"));
  dataplane.beat(now_ + 100ms);
  tick(loop);
  EXPECT_EQ(cell_.load()->table->state, TableState::pending) << "in force is the one before";
  EXPECT_TRUE(not_ready_reasons(*cell_.load(), now_).empty()) << "not for so short a time";
  dataplane.beat(now_ + 3s);
  tick(loop, 3s);
  EXPECT_EQ(not_ready_reasons(*cell_.load(), now_).size(), 1U);
  EXPECT_TRUE(lines_.has("table_refused") && lines_.has("table_acknowledged"));
}

TEST_F(ControlLoopTest, SaysWhenTheDataPlaneIsLostAndBack) {
  ControlLoop loop = open();
  adopt(loop, policy_text());
  FakeDataplane dataplane(around_);
  turn(loop, dataplane, 5ms, 20ms);
  EXPECT_EQ(lines_.count("dataplane_alive"), 1);
  tick(loop, 5s);
  EXPECT_EQ(lines_.count("dataplane_lost"), 1);
  EXPECT_FALSE(loop.dataplane_alive());
  EXPECT_EQ(cell_.load()->conditions.link(0).state, telemetry::LinkState::unknown);
  turn(loop, dataplane, 5ms, 20ms);
  EXPECT_EQ(lines_.count("dataplane_alive"), 2);
}

TEST_F(ControlLoopTest, SteersByWhatIsMeasuredAndSaysWhy) {
  ControlLoop loop = open();
  adopt(loop, policy_text());
  FakeDataplane dataplane(around_);
  for (int i = 0; i < 20; ++i) turn(loop, dataplane, 20ms, 5ms);
  EXPECT_EQ(first_endpoint(), "per-1");
  EXPECT_EQ(cell_.load()->conditions.link(0).window->p50, 20ms);
  EXPECT_DOUBLE_EQ(cell_.load()->conditions.link(0).window->loss.value(), 0.01);

  lines_.clear();
  now_ = now_ + 100ms;
  dataplane.beat(now_);
  dataplane.cut("syd-per", now_);
  loop.tick(now_, {});
  EXPECT_EQ(first_endpoint(), "mel-1");
  EXPECT_TRUE(lines_.has("service_switch"));
  EXPECT_NE(lines_.text().find("\"reason\":\"failure\""), std::string::npos) << lines_.text();
  EXPECT_NE(lines_.text().find("\"rtt_ms\":2E1"), std::string::npos) << lines_.text();
  const auto& counts = cell_.load()->switches.at(id_from_name<ServiceId>("chat"));
  EXPECT_EQ(counts[static_cast<std::size_t>(SwitchReason::failure)], 1U);
}

TEST_F(ControlLoopTest, NamesTheModelOfARoutedServiceThatSwitches) {
  ControlLoop loop = open();
  adopt(loop, policy_text(kRouted));
  FakeDataplane dataplane(around_);
  for (int i = 0; i < 20; ++i) turn(loop, dataplane, 20ms, 5ms);
  lines_.clear();
  now_ = now_ + 100ms;
  dataplane.beat(now_);
  dataplane.cut("syd-per", now_);
  loop.tick(now_, {});
  const std::string named = R"("service":"ai","model":"llama","reason":"failure","from":{"pop":"per",)";
  EXPECT_NE(lines_.text().find(named), std::string::npos) << lines_.text();
  EXPECT_NE(lines_.text().find("\"model\":\"llama/canary\""), std::string::npos) << lines_.text();
  const auto& counts = cell_.load()->switches.at(id_from_name<ServiceId>("ai/llama"));
  EXPECT_EQ(counts[static_cast<std::size_t>(SwitchReason::failure)], 1U);
}

TEST_F(ControlLoopTest, ARestartMovesNoTrafficAndPublishesNothing) {
  FakeDataplane dataplane(around_);
  {
    ControlLoop loop = open();
    adopt(loop, policy_text());
    for (int i = 0; i < 20; ++i) turn(loop, dataplane, 20ms, 5ms);
    // Now the other is nearer, but not by enough to switch: only memory keeps the traffic where it is.
    for (int i = 0; i < 5; ++i) turn(loop, dataplane, 4700us, 5ms);
    ASSERT_EQ(first_endpoint(), "per-1");
  }
  const table::Identity before = dataplane.table_on_disk();
  lines_.clear();
  ControlLoop loop = open();
  adopt(loop, policy_text());
  for (int i = 0; i < 5; ++i) tick(loop, 1ms);
  EXPECT_EQ(first_endpoint(), "per-1");
  EXPECT_EQ(dataplane.table_on_disk(), before);
  EXPECT_EQ(generation(), before.generation);
  EXPECT_FALSE(lines_.has("table_published"));
}

TEST_F(ControlLoopTest, PublishesAgainWhenARestartedDataPlaneFindsNoTable) {
  ControlLoop loop = open();
  adopt(loop, policy_text());
  tick(loop);
  std::filesystem::remove(around_.table_directory() + "/" + table::kFileName);
  FakeDataplane dataplane(around_);
  dataplane.beat(now_ + 200ms);
  tick(loop, 200ms);
  EXPECT_EQ(dataplane.table_on_disk().generation, 2U);
}

TEST_F(ControlLoopTest, ASecondGatewayIsToldWhoHoldsTheTable) {
  const ControlLoop loop = open();
  const auto second = ControlLoop::open(around_.places(), log_, cell_);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().text().find(std::to_string(getpid())), std::string::npos) << second.error().text();
}

TEST_F(ControlLoopTest, ATableThatCannotBeWrittenIsAReasonNotToBeReady) {
  ControlLoop loop = open();
  adopt(loop, policy_text());
  std::filesystem::remove_all(around_.table_directory());
  tick(loop);
  tick(loop);
  EXPECT_FALSE(cell_.load()->table_error.empty());
  EXPECT_EQ(lines_.count("table_not_published"), 1);
  EXPECT_FALSE(cell_.load()->table);
}

TEST_F(ControlLoopTest, ARefusedPolicysSwitchesStayCounted) {
  ControlLoop loop = open();
  FakeDataplane dataplane(around_);
  adopt(loop, policy_text());
  turn(loop, dataplane, 10ms, 50ms);
  const ControlLoop::InForce before = loop.in_force();
  adopt(loop, policy_text("steering: {hold: 0s}\n"));
  for (int i = 0; i < 50 && first_endpoint() != "per-1"; ++i) turn(loop, dataplane, 90ms, 5ms);
  ASSERT_EQ(first_endpoint(), "per-1");
  const auto counted = loop.in_force().switches;
  ASSERT_NE(counted, before.switches);
  loop.put_back(before);
  EXPECT_EQ(loop.in_force().switches, counted) << "a counter never goes back";
}

}  // namespace
}  // namespace perigee::gateway::test
