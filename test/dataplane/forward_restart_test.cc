// Flow state survives the process: a Forwarder opened where another one ended, or was killed.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <set>
#include <thread>

#include "test/dataplane/forward_lab.h"

namespace perigee::test {
namespace {

class ForwardRestart : public testing::Test {
 protected:
  ForwardRestart() {
    std::string pattern = "/dev/shm/perigee-restart-XXXXXX";
    directory_ = mkdtemp(pattern.data());
  }
  ~ForwardRestart() override { std::filesystem::remove_all(directory_); }
  std::string directory_;
};

TEST_F(ForwardRestart, EstablishedFlowsGoOn) {
  ForwardLab lab(lab_table(), 1000, directory_);
  EXPECT_TRUE(lab.forwarder->notices().empty());
  const Outcome syn = lab.establish(40000);
  lab.establish(40001);
  lab.open();
  ASSERT_EQ(lab.forwarder->notices().size(), 1U);
  EXPECT_EQ(lab.worker.flows.load(), 2U);
  EXPECT_EQ(lab.worker.flows_recovered.load(), 2U);

  const Outcome data = lab.send(ForwardLab::from_client(40000, kAck, 1001, 5001, {1, 2}));
  ASSERT_TRUE(data.sent());
  EXPECT_EQ(data.destination(), syn.destination());
  EXPECT_EQ(data.source_port(), syn.source_port());
  EXPECT_TRUE(lab.send(ForwardLab::from_endpoint(syn, kAck, 5001, 1003, {1})).sent());
}

TEST_F(ForwardRestart, AReplyMayComeFirst) {
  ForwardLab lab(lab_table(), 1000, directory_);
  const Outcome syn = lab.establish(40000);
  lab.open();
  const Outcome reply = lab.send(ForwardLab::from_endpoint(syn, kAck, 5001, 1001, {1}));
  ASSERT_TRUE(reply.sent());
  EXPECT_EQ(reply.destination(), kClient);
  EXPECT_EQ(reply.destination_port(), 40000);
}

TEST_F(ForwardRestart, PortsInUseAreNotGivenOutAgain) {
  table::Table records = lab_table();
  records.candidates = {{1, 0, kSydMelA, 100}};
  records.tiers = {{0, 1}, {0, 0}};
  records.settings.snat_share_percent = 100;
  ForwardLab lab(records, 8000, directory_);
  lab.options.worker = 15;
  lab.options.worker_count = 16;
  lab.open();
  std::set<std::uint16_t> ports;
  for (std::uint16_t port = 1; port <= 4096; ++port) {
    if (port % 1000 == 0) lab.open();
    const Outcome outcome = lab.send(ForwardLab::from_client(port, kSyn, 1));
    ASSERT_TRUE(outcome.sent()) << port;
    ASSERT_TRUE(ports.insert(outcome.source_port()).second) << port;
  }
}

// What rested is forgotten with the process, so the next one starts its search somewhere else.
TEST_F(ForwardRestart, PortsFreedShortlyBeforeAreNotUsedAtOnce) {
  ForwardLab lab(lab_table(), 1000, directory_);
  const Outcome old = lab.establish(40000);
  lab.send(ForwardLab::from_client(40000, kRst, 1001));
  lab.sweep(std::chrono::seconds(12));
  ASSERT_EQ(lab.worker.flows.load(), 0U);
  lab.open();
  const Outcome again = lab.send(ForwardLab::from_client(40000, kSyn, 1000));
  ASSERT_EQ(again.destination(), old.destination());
  EXPECT_NE(again.source_port(), old.source_port());
}

TEST_F(ForwardRestart, WhatTheNewTableDoesNotHaveIsReset) {
  ForwardLab lab(lab_table(), 1000, directory_);
  const Outcome syn = lab.establish(40000);
  table::Table next = lab_table();
  const std::size_t gone = syn.destination() == ip4("10.2.1.1") ? 0 : 1;
  next.endpoints.erase(next.endpoints.begin() + static_cast<std::ptrdiff_t>(gone));
  next.candidates = {{1, 0, kSydMelA, 100}, {1, 1, kSydPer, 100}};
  next.tiers = {{0, 1}, {1, 1}};
  next.snat_addresses = {ip("10.1.255.2")};
  lab.table = serving(next);
  lab.open();
  const std::vector<Octets> resets = lab.sweep(std::chrono::milliseconds(400));
  ASSERT_EQ(resets.size(), 1U);  // nobody knows the endpoint's address any more
  EXPECT_EQ(Outcome({}, resets[0]).source(), kVip);
  EXPECT_EQ(Outcome({}, resets[0]).be32(24), 5001U);
  lab.sweep(std::chrono::seconds(7));
  EXPECT_EQ(lab.worker.flows.load(), 0U);
}

TEST_F(ForwardRestart, FlowsOfAServiceNobodyKnowsAreForgotten) {
  ForwardLab lab(lab_table(), 1000, directory_);
  lab.establish(40000);
  table::Table next = lab_table();
  next.services[0].id = stable_id_of("other");
  lab.table = serving(next);
  lab.open();
  EXPECT_EQ(lab.worker.flows.load(), 0U);
  EXPECT_EQ(lab.worker.flows_recovered.load(), 0U);
}

TEST_F(ForwardRestart, IdleTimeCountsThroughTheRestart) {
  ForwardLab lab(lab_table(), 1000, directory_);
  lab.establish(40000);
  lab.now = lab.now + std::chrono::minutes(61);
  lab.open();
  lab.sweep(std::chrono::seconds(2));
  EXPECT_EQ(lab.worker.flows.load(), 0U);
}

// A child opens, moves and ends flows until it is killed at any moment; the next one must open clean, and
// each flow must be whole: forwarded both ways to the ends it names.
TEST_F(ForwardRestart, KilledAtAnyMoment) {
  void* shared = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  auto* started = new (shared) std::atomic<std::uint32_t>(0);
  std::uint64_t recovered = 0;
  for (std::uint32_t round = 0; round < 200; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      ForwardLab lab(lab_table(), 60, directory_);
      for (std::uint32_t i = 0;; ++i) {
        const auto port = static_cast<std::uint16_t>(1 + (i * 7 + round) % 80);
        const Outcome syn = lab.send(ForwardLab::from_client(port, kSyn, i / 3));
        if (syn.sent() && i % 5 == 0) {
          lab.send(ForwardLab::from_endpoint(syn, kSyn | kAck, 5000, i / 3 + 1));
          lab.send(ForwardLab::from_client(port, kAck, i / 3 + 1, 5001));
        }
        lab.now = lab.now + std::chrono::milliseconds(200);
        lab.forwarder->sweep(lab.links, lab.now, 100, [](auto) {});
        if (i == 20) started->store(round + 1);
      }
    }
    while (started->load() != round + 1) std::this_thread::sleep_for(std::chrono::microseconds(100));
    std::this_thread::sleep_for(std::chrono::microseconds(round * 13 % 1000));
    ASSERT_EQ(kill(child, SIGKILL), 0);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);

    ForwardLab lab(lab_table(), 60, directory_);
    const std::uint64_t flows = lab.worker.flows.load();
    ASSERT_EQ(lab.worker.flows_recovered.load(), flows);
    recovered += flows;
    std::uint64_t seen = 0;
    for (std::uint16_t port = 1; port <= 80; ++port) {
      const Outcome data = lab.send(ForwardLab::from_client(port, kAck, 1, 1, {1}));
      if (!data.sent()) continue;
      ++seen;
      const Outcome reply = lab.send(ForwardLab::from_endpoint(data, kAck, 1, 1, {1}));
      ASSERT_TRUE(reply.sent());
      ASSERT_EQ(reply.destination_port(), port);
      ASSERT_TRUE(checksums_ok(reply.ip));
    }
    ASSERT_EQ(seen, flows) << round;
  }
  EXPECT_GT(recovered, 200U);
  munmap(shared, 4096);
}

}  // namespace
}  // namespace perigee::test
