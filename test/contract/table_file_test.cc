#include "contract/table_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "test/contract/run_directory.h"
#include "test/contract/small_table.h"

namespace perigee::table {
namespace {

template <class T>
T at(const std::vector<std::byte>& octets, std::size_t offset) {
  T value{};
  std::memcpy(&value, octets.data() + offset, sizeof value);
  return value;
}

// Offsets are written out: a change of the layout must be a change of kVersion and of this test.
TEST(TableFile, GoldenOctetsOfTheHeader) {
  const std::vector<std::byte> octets = encode(small_table());
  ASSERT_EQ(octets.size(), 168U + 2 * 80 + 2 * 176 + 2 * 4 + 2 * 32 + 16 + 2 * 72 + 2 * 72 + 2 * 8 + 3 * 16);
  EXPECT_EQ(std::memcmp(octets.data(), "PRGTABLE", 8), 0);
  EXPECT_EQ(at<std::uint32_t>(octets, 8), 1U);  // version
  EXPECT_EQ(at<std::uint32_t>(octets, 12), octets.size());
  EXPECT_EQ(at<std::uint64_t>(octets, 16), 0x1122334455667788U);  // gateway instance
  EXPECT_EQ(at<std::uint64_t>(octets, 24), 7U);                   // generation
  EXPECT_EQ(at<std::uint64_t>(octets, 32), checksum_of(octets));
  EXPECT_EQ(std::memcmp(octets.data() + 40, "syd\0", 4), 0);
  const std::array<std::uint32_t, 10> counts = {2, 2, 2, 2, 1, 2, 2, 2, 3, 0};
  EXPECT_EQ((at<std::array<std::uint32_t, 10>>(octets, 72)), counts);
  EXPECT_EQ(at<std::uint64_t>(octets, 112), 3'600'000'000'000U);  // idle_tcp
  EXPECT_EQ(at<std::uint32_t>(octets, 152), 25U);                 // snat_share_percent
}

TEST(TableFile, GoldenOctetsOfRecords) {
  const std::vector<std::byte> octets = encode(small_table());
  const auto text = [&](std::size_t offset) {
    return std::string(reinterpret_cast<const char*>(octets.data()) + offset);
  };
  std::size_t offset = 168;  // interfaces
  EXPECT_EQ(text(offset), "edge0");
  EXPECT_EQ(at<std::uint16_t>(octets, offset + 34), 1500U);
  EXPECT_EQ(at<std::uint8_t>(octets, offset + 36), 24U);
  EXPECT_EQ(at<IpAddress>(octets, offset + 40), IpAddress::v4(198, 51, 100, 1));
  offset += 2 * 80;  // links
  EXPECT_EQ(at<std::uint32_t>(octets, offset), stable_id_of("syd-mel-a"));
  EXPECT_EQ(text(offset + 8), "syd-mel-a");
  EXPECT_EQ(text(offset + 40), "link0");
  EXPECT_EQ(at<std::uint16_t>(octets, offset + 80), 862U);
  EXPECT_EQ(at<IpAddress>(octets, offset + 88), IpAddress::v4(172, 31, 1, 1));
  EXPECT_EQ(at<std::uint64_t>(octets, offset + 136), 100'000'000U);  // probe_interval
  offset += 2 * 176;                                                 // link_order
  EXPECT_EQ(at<std::uint32_t>(octets, offset + 4), 1U);
  offset += 2 * 4;  // prefixes
  EXPECT_EQ(at<std::uint8_t>(octets, offset + 16), 16U);
  EXPECT_EQ(at<std::uint32_t>(octets, offset + 20), kNone);
  offset += 2 * 32 + 16;  // endpoints, after the SNAT address
  EXPECT_EQ(text(offset + 8), "mel-1");
  EXPECT_EQ(at<std::uint16_t>(octets, offset + 56), 8000U);
  offset += 2 * 72;  // services
  EXPECT_EQ(text(offset + 4), "chat");
  EXPECT_EQ(at<std::uint8_t>(octets, offset + 54), 6U);
  offset += 2 * 72 + 2 * 8;  // candidates, after the tiers
  EXPECT_EQ(at<std::uint32_t>(octets, offset), 1U);
  EXPECT_EQ(at<std::uint32_t>(octets, offset + 12), 100U);
}

TEST(TableFile, ChecksumIsFnv1a) {
  EXPECT_EQ(checksum_of({}), 0xcbf29ce484222325U);
  const std::array<std::byte, 3> foo = {std::byte{'f'}, std::byte{'o'}, std::byte{'o'}};
  EXPECT_EQ(checksum_of(foo), 0xdcb27518fed9d577U);  // from the FNV reference vectors
}

TEST(TableFile, DecodesWhatItEncodes) {
  const std::vector<std::byte> octets = encode(small_table());
  const auto table = decode(octets);
  ASSERT_TRUE(table) << table.error().text();
  EXPECT_EQ(encode(*table), octets);
  EXPECT_EQ(table->identity.checksum, at<std::uint64_t>(octets, 32));
  EXPECT_EQ(table->links[1].name.view(), "syd-mel-b");
  EXPECT_EQ(table->candidates[2].link, kNone);
}

TEST(TableFile, AnyFlippedByteIsRefusedWithAReason) {
  const std::vector<std::byte> octets = encode(small_table());
  for (std::size_t i = 0; i < octets.size(); ++i) {
    for (const unsigned flip : {0x01U, 0x80U, 0xffU}) {
      std::vector<std::byte> damaged = octets;
      damaged[i] ^= static_cast<std::byte>(flip);
      const auto table = decode(damaged);
      ASSERT_FALSE(table) << "octet " << i << " flipped by " << flip;
      ASSERT_FALSE(table.error().what.empty()) << i;
    }
  }
}

TEST(TableFile, AnyCutIsRefusedWithAReason) {
  const std::vector<std::byte> octets = encode(small_table());
  for (std::size_t size = 0; size < octets.size(); ++size) {
    // A copy of exactly this size, so that a read beyond it is seen by the sanitizer.
    const std::vector<std::byte> cut(octets.begin(), octets.begin() + static_cast<std::ptrdiff_t>(size));
    const auto table = decode(cut);
    ASSERT_FALSE(table) << "cut at " << size;
    ASSERT_FALSE(table.error().what.empty()) << size;
  }
  std::vector<std::byte> longer = octets;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(decode(longer));
}

// The same damage with size and checksum made good again, as by a faulty writer: still no crash, and what is
// accepted is exactly what would be written.
TEST(TableFile, FlippedBytesUnderAGoodChecksumAreRefusedOrExact) {
  const std::vector<std::byte> octets = encode(small_table());
  for (std::size_t i = 0; i < octets.size(); ++i) {
    for (const unsigned flip : {0x01U, 0x80U, 0xffU}) {
      std::vector<std::byte> damaged = octets;
      damaged[i] ^= static_cast<std::byte>(flip);
      const std::uint64_t checksum = checksum_of(damaged);
      std::memcpy(damaged.data() + 32, &checksum, sizeof checksum);
      if (const auto table = decode(damaged)) {
        ASSERT_EQ(encode(*table), damaged) << i;
      }
    }
  }
}

TEST(TableFile, ClaimedCountsAllocateNothing) {
  std::vector<std::byte> octets = encode(small_table());
  const std::uint32_t huge = 0xffffffffU;
  for (const std::size_t count :
       {std::size_t{80}, std::size_t{104}}) {  // link_order, candidates: no own limit
    std::vector<std::byte> lying = octets;
    std::memcpy(lying.data() + count, &huge, sizeof huge);
    const std::uint64_t checksum = checksum_of(lying);
    std::memcpy(lying.data() + 32, &checksum, sizeof checksum);
    const auto table = decode(lying);
    ASSERT_FALSE(table);
    EXPECT_NE(table.error().what.find("counts need"), std::string::npos) << table.error().what;
  }
}

class TableDirectory : public testing::Test {
 protected:
  RunDirectory directory_;
};

TEST_F(TableDirectory, ReadsWhatWasWritten) {
  const auto identity = write_file(directory_.path(), small_table());
  ASSERT_TRUE(identity) << identity.error().text();
  const auto table = read_file(directory_.path());
  ASSERT_TRUE(table) << table.error().text();
  EXPECT_EQ(table->identity, *identity);
  EXPECT_NE(identity->checksum, 0U);
  EXPECT_EQ(directory_.entries(), std::vector<std::string>{kFileName}) << "no temporary file stays";
}

TEST_F(TableDirectory, AnInvalidTableChangesNothing) {
  ASSERT_TRUE(write_file(directory_.path(), small_table()));
  Table broken = small_table();
  broken.links[1].id = broken.links[0].id;
  const auto refused = write_file(directory_.path(), broken);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().where, directory_.path() + "/table.bin");
  EXPECT_NE(refused.error().what.find("links[1] syd-mel-b"), std::string::npos) << refused.error().text();
  EXPECT_TRUE(read_file(directory_.path()));
  EXPECT_EQ(directory_.entries(), std::vector<std::string>{kFileName});
}

TEST_F(TableDirectory, AFailedRenameLeavesNoTemporaryFile) {
  ASSERT_EQ(mkdir((directory_.path() + "/table.bin").c_str(), 0755), 0);  // rename cannot replace it
  EXPECT_FALSE(write_file(directory_.path(), small_table()));
  EXPECT_EQ(directory_.entries(), std::vector<std::string>{kFileName});
}

TEST_F(TableDirectory, NamesThePathOfWhatItRefuses) {
  EXPECT_FALSE(read_file(directory_.path())) << "nothing there yet";
  std::ofstream(directory_.path() + "/table.bin") << "not a table";
  const auto table = read_file(directory_.path());
  ASSERT_FALSE(table);
  EXPECT_EQ(table.error().where, directory_.path() + "/table.bin");
  std::filesystem::resize_file(directory_.path() + "/table.bin", kMaxFileSize + 1);
  EXPECT_FALSE(read_file(directory_.path()));
}

TEST(TableName, IsCutBetweenCharacters) {
  EXPECT_EQ(Name::of("chat").view(), "chat");
  EXPECT_EQ(Name::of(std::string(40, 'x')).view(), std::string(31, 'x'));
  EXPECT_EQ(Name::of(std::string(30, 'x') + "\xc3\xa9").view(), std::string(30, 'x'));
  EXPECT_EQ(Name::of(std::string(29, 'x') + "\xc3\xa9").view(), std::string(29, 'x') + "\xc3\xa9");
}

}  // namespace
}  // namespace perigee::table
