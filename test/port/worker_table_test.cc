// Tables come into force, are refused, and change under running traffic.
#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "contract/table_file.h"
#include "contract/telemetry_file.h"
#include "dataplane/reload.h"
#include "test/port/software_pop.h"

namespace perigee::test {
namespace {

TEST(WorkerTable, ASwapKeepsFlowsAndCounts) {
  SoftwarePop pop;
  pop.settle();
  pop.send(kEdgePort, FrameSpec{});
  pop.look();
  const Out before = pop.take_one(kLink0Port);
  const std::uint64_t sent = pop.telemetry->links[kSydMelA].sent.load();

  table::Table table = lab_table();
  table.candidates[0].weight = table.candidates[1].weight = 0;  // both drain: new flows go to per-1
  pop.offer(table);
  pop.take();
  EXPECT_GE(pop.telemetry->links[kSydMelA].sent.load(), sent);
  EXPECT_EQ(pop.state(kSydMelA), telemetry::LinkState::up);

  FrameSpec repeated;
  pop.send(kEdgePort, repeated);
  FrameSpec fresh;
  fresh.source_port = 40001;
  pop.send(kEdgePort, fresh);
  pop.look();
  const std::vector<Out> out = pop.take();
  ASSERT_EQ(out.size(), 2U);
  for (const Out& frame : out) {
    EXPECT_EQ(frame.packet.destination,
              frame.port == kLink0Port ? before.packet.destination : ip4("10.3.1.1"));
  }
}

TEST(WorkerTable, TheOldTableIsFreedOnceTheWorkerLetGo) {
  SoftwarePop pop;
  std::shared_ptr<const ServingTable> first(serving());
  std::weak_ptr<const ServingTable> watch = first;
  ASSERT_TRUE(pop.tables.offer(std::move(first)));
  EXPECT_FALSE(pop.tables.offer(serving()));  // one at a time
  pop.look();
  EXPECT_TRUE(pop.tables.settled());
  ASSERT_TRUE(pop.tables.offer(serving()));
  EXPECT_FALSE(pop.tables.settled());
  EXPECT_FALSE(watch.expired());
  pop.look();
  EXPECT_TRUE(pop.tables.settled());
  EXPECT_TRUE(watch.expired());
}

// The control thread's half, with a directory of its own.
class Reload : public ::testing::Test {
 protected:
  Reload() {
    char name[] = "/dev/shm/perigee-reload-XXXXXX";
    root_ = mkdtemp(name);
    std::filesystem::create_directory(table_dir());
    std::filesystem::create_directory(root_ + "/telemetry");
    telemetry_.emplace(telemetry::Writer::create(root_ + "/telemetry", {1, 1024, {"link0"}}).value());
    reader_.emplace(root_ + "/telemetry");
  }
  ~Reload() override { std::filesystem::remove_all(root_); }

  [[nodiscard]] std::string table_dir() const { return root_ + "/table"; }
  Reloader make() {
    return Reloader(
        {table_dir(),
         std::nullopt,
         lab_ports(),
         {1500, 1500, 1500, 1500},
         tables_,
         *telemetry_,
         [this] { ++woken_; },
         [this](std::string_view event, const std::vector<LogField>&) { log_.emplace_back(event); }});
  }
  table::Identity write(std::uint64_t generation, table::Table table = lab_table()) {
    table.identity = {1, generation, 0};
    const auto identity = table::write_file(table_dir(), table);
    EXPECT_TRUE(identity) << identity.error().text();
    return *identity;
  }
  void worker_takes() {
    tables_.take([](const ServingTable&) {});
  }
  telemetry::Snapshot read() { return reader_->read().value(); }

  std::string root_;
  std::optional<telemetry::Writer> telemetry_;
  std::optional<telemetry::Reader> reader_;
  Mailbox<ServingTable> tables_;
  int woken_ = 0;
  std::vector<std::string> log_;
};

TEST_F(Reload, ATableIsInForceOnceTheWorkerHasIt) {
  Reloader reloader = make();
  reloader.look(Instant{1});
  EXPECT_FALSE(read().in_force);
  const table::Identity first = write(7);
  reloader.look(Instant{2});
  EXPECT_TRUE(reloader.waiting());
  EXPECT_EQ(woken_, 1);
  reloader.look(Instant{2});
  EXPECT_TRUE(reloader.waiting());
  EXPECT_FALSE(read().in_force);
  worker_takes();
  reloader.look(Instant{3});
  EXPECT_FALSE(reloader.waiting());
  ASSERT_TRUE(read().in_force);
  EXPECT_EQ(read().in_force->identity, first);
  EXPECT_EQ(log_, std::vector<std::string>{"table_in_force"});
}

TEST_F(Reload, ATableThatCannotBeServedIsRefusedAndTheOldOneStays) {
  Reloader reloader = make();
  const table::Identity first = write(1);
  reloader.look(Instant{1});
  worker_takes();
  table::Table bad = lab_table();
  bad.links[0].port = table::Name::of("nowhere0");
  const table::Identity second = write(2, bad);
  reloader.look(Instant{2});
  EXPECT_EQ(read().in_force->identity, first);
  ASSERT_TRUE(read().refused);
  EXPECT_EQ(read().refused->identity, second);
  EXPECT_NE(read().refused->reason.find("nowhere0"), std::string::npos) << read().refused->reason;

  const table::Identity third = write(1);  // generations need not grow
  reloader.look(Instant{3});
  worker_takes();
  reloader.look(Instant{4});
  EXPECT_EQ(read().in_force->identity, third);
}

TEST_F(Reload, ATableBeyondADevicesMtuIsRefused) {
  Reloader reloader = make();
  table::Table jumbo = lab_table();
  jumbo.links[2].mtu = 9000;
  write(1, jumbo);
  reloader.look(Instant{1});
  ASSERT_TRUE(read().refused);
  EXPECT_NE(read().refused->reason.find("link syd-per: has mtu 9000; its port link1 carries 1500"),
            std::string::npos)
      << read().refused->reason;
  table::Table wide = lab_table();
  wide.interfaces[0].mtu = 1501;
  write(2, wide);
  reloader.look(Instant{2});
  EXPECT_NE(read().refused->reason.find("edge0 carries 1500"), std::string::npos) << read().refused->reason;
  EXPECT_FALSE(reloader.waiting());
}

TEST_F(Reload, AFileThatIsNoTableIsRefusedOnce) {
  Reloader reloader = make();
  std::FILE* file = std::fopen((table_dir() + "/" + table::kFileName).c_str(), "w");
  std::fputs("not a table", file);
  std::fclose(file);
  std::filesystem::permissions(table_dir() + "/" + table::kFileName, std::filesystem::perms(0644));
  reloader.look(Instant{1});
  reloader.look(Instant{2});
  EXPECT_EQ(log_, std::vector<std::string>{"table_refused"});
  EXPECT_TRUE(read().refused);
  EXPECT_FALSE(read().in_force);
}

TEST_F(Reload, RightsOfTheDirectoryThatAreMendedAreNoticed) {
  using std::filesystem::perm_options, std::filesystem::perms;
  Reloader reloader = make();
  const table::Identity identity = write(1);
  std::filesystem::permissions(table_dir(), perms::group_write, perm_options::add);
  for (int i = 1; i < 4; ++i) reloader.look(Instant{i});
  EXPECT_EQ(log_, std::vector<std::string>{"table_refused"});
  std::filesystem::permissions(table_dir(), perms::group_write, perm_options::remove);
  reloader.look(Instant{4});
  worker_takes();
  reloader.look(Instant{5});
  ASSERT_TRUE(read().in_force);
  EXPECT_EQ(read().in_force->identity, identity);
}

TEST_F(Reload, ADirectoryThatAppearsLaterIsFollowed) {
  std::filesystem::remove(table_dir());
  Reloader reloader = make();
  reloader.look(Instant{1});
  EXPECT_LT(reloader.descriptor(), 0);
  reloader.look(Instant{1});
  EXPECT_EQ(log_, std::vector<std::string>{"table_directory_missing"});
  std::filesystem::create_directory(table_dir());
  write(1);
  reloader.look(Instant{2});
  EXPECT_GE(reloader.descriptor(), 0);
  EXPECT_TRUE(reloader.waiting());
}

TEST(WorkerRun, StopsWhenToldAndTakesATableWhileAsleep) {
  SoftwarePop pop;
  std::atomic<bool> stop{false};
  pop.answer_arp = false;
  std::thread control([&] {
    EXPECT_TRUE(pop.tables.offer(serving()));
    pop.worker->wake();
    while (!pop.tables.settled()) std::this_thread::yield();
    stop.store(true);
    pop.worker->wake();
  });
  pop.worker->run(stop);
  control.join();
  EXPECT_TRUE(pop.tables.settled());
}

}  // namespace
}  // namespace perigee::test
