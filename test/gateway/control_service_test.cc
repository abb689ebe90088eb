#include "gateway/control_service.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <functional>

#include "test/gateway/fake_dataplane.h"

namespace perigee::gateway::test {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

class ControlServiceTest : public testing::Test {
 protected:
  void start(Nanos acknowledge_within = 5s) {
    auto loop = ControlLoop::open(around_.places(), log_, cell_);
    service_.emplace(io_, std::move(loop.value()), PolicyFile(around_.policy_file()), log_,
                     acknowledge_within);
    started_ = service_->start();
  }

  // Runs `work` beside a data plane that does `behave` all the time.
  Change run(asio::awaitable<Change> work, const std::function<void()>& behave) {
    std::optional<Change> change;
    asio::co_spawn(io_, std::move(work), [&](std::exception_ptr failed, Change result) {
      if (failed) std::rethrow_exception(failed);
      change = std::move(result);
    });
    for (int turns = 0; !change && turns < 5000; ++turns) {
      behave();
      io_.run_one_for(5ms);
    }
    return change.value();
  }
  // Lets the ticks go on until `done`, or for ever and a day.
  bool run_until(const std::function<bool()>& done) {
    for (int turns = 0; !done() && turns < 2000; ++turns) io_.run_one_for(5ms);
    return done();
  }

  Surroundings around_;
  Lines lines_;
  Log log_ = lines_.log();
  SnapshotCell cell_;
  asio::io_context io_;
  std::optional<ControlService> service_;
  bool started_ = false;
};

TEST_F(ControlServiceTest, StartsWithThePolicyAndPublishes) {
  around_.write_policy(policy_text());
  start();
  EXPECT_TRUE(cell_.load()->policy_status.last_reload_successful);
  EXPECT_EQ(cell_.load()->table->identity.generation, 1U);
  EXPECT_EQ(*cell_.load()->policy_text, policy_text());
}

TEST_F(ControlServiceTest, WhatATickThrowsIsNotLost) {
  around_.write_policy(policy_text());
  log_ = Log(LogLevel::debug, [](std::string_view line) {
    if (line.find("dataplane_alive") != std::string_view::npos) throw std::runtime_error("no memory");
  });
  start();
  FakeDataplane dataplane(around_);
  dataplane.beat(monotonic_now());
  EXPECT_THROW(run_until([] { return false; }), std::runtime_error);
}

TEST_F(ControlServiceTest, DoesNotStartWithoutAGoodPolicy) {
  start();
  EXPECT_FALSE(started_);
  EXPECT_EQ(lines_.count("policy_error"), 1) << lines_.text();
  around_.write_policy(policy_text("nonsense: 1\nmore: 2\n"));
  EXPECT_FALSE(service_->start());
  EXPECT_EQ(lines_.count("policy_error"), 3) << lines_.text();
  around_.write_policy(policy_text());
  EXPECT_TRUE(service_->start());
}

TEST_F(ControlServiceTest, ABadReloadLeavesAllAsItWas) {
  around_.write_policy(policy_text());
  start();
  const auto policy = service_->loop().policy();
  around_.write_policy(policy_text("nonsense: 1\nmore: 2\n"));
  const Change change = run(service_->reload(), [] {});
  EXPECT_EQ(change.result, ChangeResult::invalid);
  EXPECT_EQ(change.errors.size(), 2U);
  EXPECT_EQ(change.errors.front().find(around_.policy_file() + ":17:1: nonsense"), 0U)
      << change.errors.front();
  EXPECT_EQ(service_->loop().policy(), policy);
  EXPECT_EQ(lines_.count("policy_error"), 2);
  ASSERT_TRUE(run_until([&] { return !cell_.load()->policy_status.last_reload_successful; }));
  EXPECT_EQ(cell_.load()->policy_status.errors.size(), 2U);
  EXPECT_EQ(cell_.load()->table->identity.generation, 1U);

  around_.write_policy(policy_text());
  run(service_->reload(), [] {});
  ASSERT_TRUE(run_until([&] { return cell_.load()->policy_status.last_reload_successful; }));
}

TEST_F(ControlServiceTest, APolicyWhoseChecksCannotBeMadeIsInvalid) {
  std::string text = policy_text();
  const std::string plain = "10.3.1.1:8000";
  text.replace(text.find(plain), plain.size(),
               plain + ", health: {type: https}, tls: {ca: /nonexistent.pem}");
  around_.write_policy(policy_text());
  start();
  const Change change = run(service_->apply(text, "mine.yaml"), [] {});
  EXPECT_EQ(change.result, ChangeResult::invalid);
  ASSERT_EQ(change.errors.size(), 1U);
  EXPECT_EQ(change.errors[0].find("endpoints.per-1.tls: /nonexistent.pem: "), 0U) << change.errors[0];
}

TEST_F(ControlServiceTest, AnInvalidApplyTouchesNoFile) {
  around_.write_policy(policy_text());
  start();
  const Change change = run(service_->apply("version: 1\npop: [\n", "mine.yaml"), [] {});
  EXPECT_EQ(change.result, ChangeResult::invalid);
  ASSERT_FALSE(change.errors.empty());
  EXPECT_EQ(change.errors.front().find("mine.yaml:"), 0U) << change.errors.front();
  EXPECT_EQ(Surroundings::contents(around_.policy_file()), policy_text());
  EXPECT_FALSE(std::filesystem::exists(around_.policy_file() + ".previous"));
}

TEST_F(ControlServiceTest, ApplyKeepsThePreviousFileAndWaitsForTheDataPlane) {
  around_.write_policy(policy_text());
  FakeDataplane dataplane(around_);
  start();
  const std::string next = policy_text("flows: {tcp_idle: 2h}\n");
  const Change change = run(service_->apply(next, "p.yaml"), [&] { dataplane.accept(monotonic_now()); });
  EXPECT_EQ(change.result, ChangeResult::accepted) << change.reason;
  EXPECT_EQ(change.generation, 2U);
  EXPECT_EQ(Surroundings::contents(around_.policy_file()), next);
  EXPECT_EQ(Surroundings::contents(around_.policy_file() + ".previous"), policy_text());
}

TEST_F(ControlServiceTest, AChangeThatDoesNotReachTheTableIsAcceptedAtOnce) {
  around_.write_policy(policy_text());
  FakeDataplane dataplane(around_);
  start();
  const Change change =
      run(service_->apply(policy_text("# a remark\n"), "p.yaml"), [&] { dataplane.accept(monotonic_now()); });
  EXPECT_EQ(change.result, ChangeResult::accepted);
  EXPECT_EQ(change.generation, 1U);
}

TEST_F(ControlServiceTest, ARefusedApplyPutsThePolicyBack) {
  around_.write_policy(policy_text());
  FakeDataplane dataplane(around_);
  start();
  dataplane.accept(monotonic_now());
  const std::string next = policy_text("flows: {tcp_idle: 2h}\n");
  const Change change = run(service_->apply(next, "p.yaml"), [&] {
    if (dataplane.table_on_disk().generation == 1) {
      dataplane.beat(monotonic_now());
    } else {
      dataplane.refuse("no port named link1", monotonic_now());
    }
  });
  EXPECT_EQ(change.result, ChangeResult::refused);
  EXPECT_EQ(change.reason, "the data plane refused the table: no port named link1");
  EXPECT_EQ(Surroundings::contents(around_.policy_file()), policy_text());
  EXPECT_EQ(service_->loop().policy()->flows.tcp_idle, Policy::Flows{}.tcp_idle);
  ASSERT_TRUE(run_until([&] { return cell_.load()->table->identity.generation == 3; }));
  EXPECT_EQ(table::read_file(around_.table_directory()).value().settings.idle_tcp_ns, 3600'000'000'000U);
  EXPECT_FALSE(cell_.load()->policy_status.last_reload_successful);
}

TEST_F(ControlServiceTest, ATableThatCannotBeWrittenPutsThePolicyBack) {
  around_.write_policy(policy_text());
  FakeDataplane dataplane(around_);
  start();
  dataplane.accept(monotonic_now());
  std::filesystem::rename(around_.table_directory(), around_.path() + "/gone");
  const std::string next = policy_text("flows: {tcp_idle: 2h}\n");
  const Change applied = run(service_->apply(next, "p.yaml"), [&] { dataplane.beat(monotonic_now()); });
  EXPECT_EQ(applied.result, ChangeResult::refused);
  EXPECT_EQ(applied.reason.find("the table cannot be published: " + around_.table_directory()), 0U)
      << applied.reason;
  EXPECT_EQ(Surroundings::contents(around_.policy_file()), policy_text());
  EXPECT_EQ(service_->loop().policy()->flows.tcp_idle, Policy::Flows{}.tcp_idle);

  around_.write_policy(next);
  const Change reloaded = run(service_->reload(), [&] { dataplane.beat(monotonic_now()); });
  EXPECT_EQ(reloaded.result, ChangeResult::refused);
  EXPECT_EQ(service_->loop().policy()->flows.tcp_idle, Policy::Flows{}.tcp_idle);
  ASSERT_TRUE(run_until([&] { return !cell_.load()->policy_status.last_reload_successful; }));
}

TEST_F(ControlServiceTest, AppliesWithoutADataPlaneAndSaysSo) {
  around_.write_policy(policy_text());
  start();
  const std::string next = policy_text("flows: {tcp_idle: 2h}\n");
  const Change change = run(service_->apply(next, "p.yaml"), [] {});
  EXPECT_EQ(change.result, ChangeResult::no_dataplane);
  EXPECT_EQ(change.generation, 2U);
  EXPECT_EQ(Surroundings::contents(around_.policy_file()), next);
}

TEST_F(ControlServiceTest, ADataPlaneThatSaysNothingIsNotWaitedForLong) {
  around_.write_policy(policy_text());
  FakeDataplane dataplane(around_);
  start(300ms);
  const Change change = run(service_->apply(policy_text("flows: {tcp_idle: 2h}\n"), "p.yaml"),
                            [&] { dataplane.beat(monotonic_now()); });
  EXPECT_EQ(change.result, ChangeResult::no_dataplane);
  EXPECT_NE(change.reason.find("in time"), std::string::npos);
}

TEST_F(ControlServiceTest, ChangesAreMadeOneAfterTheOther) {
  around_.write_policy(policy_text());
  FakeDataplane dataplane(around_);
  start();
  std::vector<std::uint64_t> generations;
  for (const char* idle : {"2h", "3h"}) {
    asio::co_spawn(io_,
                   service_->apply(policy_text(std::string("flows: {tcp_idle: ") + idle + "}\n"), "p.yaml"),
                   [&](std::exception_ptr, Change change) { generations.push_back(change.generation); });
  }
  for (int turns = 0; generations.size() < 2 && turns < 2000; ++turns) {
    dataplane.accept(monotonic_now());
    io_.run_one_for(5ms);
  }
  EXPECT_EQ(generations, (std::vector<std::uint64_t>{2, 3}));
}

}  // namespace
}  // namespace perigee::gateway::test
