#include "dataplane/flow_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

namespace perigee {
namespace {

class FlowFileTest : public testing::Test {
 protected:
  FlowFileTest() {
    std::string pattern = "/dev/shm/perigee-flow-file-XXXXXX";
    directory_ = mkdtemp(pattern.data());
  }
  ~FlowFileTest() override { std::filesystem::remove_all(directory_); }

  FlowFile::Options options() const { return {directory_, 100, 0, 1, boot_}; }
  std::string path() const { return directory_ + "/flows-0.bin"; }

  // A file with one mark in its first entry.
  void leave_one() {
    auto file = FlowFile::open(options());
    ASSERT_TRUE(file) << file.error().text();
    file->entries()[0].service = 77;
    file->header().snat_addresses[0] = IpAddress::v4(1);
  }
  void expect_forgotten(const FlowFile::Options& with) {
    auto file = FlowFile::open(with);
    ASSERT_TRUE(file) << file.error().text();
    EXPECT_TRUE(file->discarded());
    EXPECT_EQ(file->notices().size(), 1U);
    EXPECT_EQ(file->entries()[0].service, 0U);
    EXPECT_TRUE(file->header().snat_addresses[0].none());
    EXPECT_EQ(file->header().complete.load(), 1U);
  }

  std::string directory_;
  BootId boot_ = read_boot_id();
};

TEST_F(FlowFileTest, ContinuesItself) {
  HashSeed seed;
  {
    auto file = FlowFile::open(options());
    ASSERT_TRUE(file);
    EXPECT_FALSE(file->discarded());
    EXPECT_TRUE(file->notices().empty());
    EXPECT_EQ(file->entries().size(), FlowTable::slots_for(100));
    seed = file->header().seed;
    EXPECT_NE(seed, HashSeed{});
    file->entries()[3].service = 77;
  }
  auto file = FlowFile::open(options());
  ASSERT_TRUE(file);
  EXPECT_FALSE(file->discarded());
  EXPECT_EQ(file->entries()[3].service, 77U);
  EXPECT_EQ(file->header().seed, seed);
}

TEST_F(FlowFileTest, AnotherBoot) {
  leave_one();
  boot_[0] ^= 1;
  expect_forgotten(options());
}

TEST_F(FlowFileTest, AnotherCapacityOrSize) {
  leave_one();
  FlowFile::Options other = options();
  other.capacity = 101;  // the same number of slots
  ASSERT_EQ(FlowTable::slots_for(101), FlowTable::slots_for(100));
  expect_forgotten(other);
  other.capacity = 1000;
  leave_one();
  expect_forgotten(other);
}

TEST_F(FlowFileTest, AnotherSetOfWorkers) {
  leave_one();
  FlowFile::Options other = options();
  other.worker_count = 2;
  expect_forgotten(other);
}

TEST_F(FlowFileTest, AnotherMagicVersionOrUnfinished) {
  const std::vector<std::function<void(FlowFileHeader&)>> spoilers = {
      [](FlowFileHeader& header) { header.magic[3] = 'x'; }, [](FlowFileHeader& header) { ++header.version; },
      [](FlowFileHeader& header) { header.complete = 0; }, [](FlowFileHeader& header) { ++header.slots; }};
  for (const auto& spoil : spoilers) {
    leave_one();
    {
      auto file = FlowFile::open(options());
      ASSERT_TRUE(file);
      ASSERT_FALSE(file->discarded());
      spoil(file->header());
    }
    expect_forgotten(options());
  }
}

TEST_F(FlowFileTest, RubbishAndCutFiles) {
  leave_one();
  std::filesystem::resize_file(path(), 5000);
  expect_forgotten(options());
  std::ofstream(path()) << "no flows here";
  expect_forgotten(options());
}

TEST_F(FlowFileTest, IsReadableByNobodyElse) {
  leave_one();
  struct stat info {};
  ASSERT_EQ(stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(FlowFileTest, FollowsNoLinkAndTakesNoStrangeFile) {
  std::ofstream(directory_ + "/elsewhere") << "x";
  ASSERT_EQ(symlink("elsewhere", path().c_str()), 0);
  EXPECT_FALSE(FlowFile::open(options()));
  std::filesystem::remove(path());
  ASSERT_EQ(mkfifo(path().c_str(), 0600), 0);
  EXPECT_FALSE(FlowFile::open(options()));
  std::filesystem::remove(path());
  leave_one();
  ASSERT_EQ(chmod(path().c_str(), 0666), 0);
  EXPECT_FALSE(FlowFile::open(options()));
}

TEST_F(FlowFileTest, DirectoryMustBeSafe) {
  ASSERT_EQ(chmod(directory_.c_str(), 0777), 0);
  EXPECT_FALSE(FlowFile::open(options()));
  FlowFile::Options other = options();
  other.directory = directory_ + "/missing";
  EXPECT_FALSE(FlowFile::open(other));
}

TEST_F(FlowFileTest, CapacityHasLimits) {
  FlowFile::Options other = options();
  other.capacity = 0;
  EXPECT_FALSE(FlowFile::open(other));
  other.capacity = FlowTable::kMaxCapacity + 1;
  EXPECT_FALSE(FlowFile::open(other));
}

TEST_F(FlowFileTest, PlainMemoryWithoutADirectory) {
  FlowFile::Options other = options();
  other.directory.clear();
  auto file = FlowFile::open(other);
  ASSERT_TRUE(file);
  EXPECT_FALSE(file->discarded());
  EXPECT_EQ(file->entries()[0].service, 0U);
}

TEST_F(FlowFileTest, WarnsWhenNotOnTmpfs) {
  const std::string disk = std::string(PERIGEE_BINARY_DIR) + "/flow_file_test.state";
  std::filesystem::create_directories(disk);
  std::filesystem::permissions(disk, std::filesystem::perms::owner_all);
  FlowFile::Options other = options();
  other.directory = disk;
  {
    auto file = FlowFile::open(other);
    ASSERT_TRUE(file) << file.error().text();
    struct stat info {};
    ASSERT_EQ(stat("/dev/shm", &info), 0);
    const bool tmpfs = std::filesystem::space(disk).capacity == std::filesystem::space("/dev/shm").capacity;
    if (!tmpfs) {
      ASSERT_EQ(file->notices().size(), 1U);
      EXPECT_NE(file->notices()[0].find("tmpfs"), std::string::npos);
    }
  }
  std::filesystem::remove_all(disk);
}

}  // namespace
}  // namespace perigee
