#include "router/usage_spool.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>

#include <boost/json/parse.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace perigee::router {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::IsEmpty;
namespace fs = std::filesystem;

RequestRecord request_of(std::string id) {
  RequestRecord record;
  record.request_id = std::move(id);
  record.key = "team";
  record.tenant = "acme";
  record.service = "ai";
  record.operation = Operation::chat;
  record.model = record.model_asked = "m";
  record.endpoint = "e1";
  record.region = "au";
  record.attempts = 2;
  record.status = 200;
  record.tokens_prompt = 30;
  record.tokens_completion = 40;
  return record;
}

boost::json::object line_of(const RequestRecord& record) {
  std::string out;
  append_usage_line(out, usage_record_of(record));
  EXPECT_EQ(out.find('\n'), out.size() - 1);
  return boost::json::parse(out).as_object();
}

struct UsageSpoolTest : testing::Test {
  UsageSpoolTest() : directory(fs::path(testing::TempDir()) / ("usage_" + std::to_string(::getpid()))) {
    fs::remove_all(directory);
    fs::create_directory(directory);
    fs::permissions(directory, fs::perms(0755));
  }
  ~UsageSpoolTest() override { fs::remove_all(directory); }
  [[nodiscard]] Policy::Router::UsageRecords settings(std::uint64_t file_octets = 1U << 20U,
                                                      std::uint64_t octets = 1U << 22U) const {
    return {directory.string(), file_octets, octets};
  }
  [[nodiscard]] std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  // All lines of all whole files, in the order of their names.
  [[nodiscard]] std::vector<std::string> ids() const {
    std::vector<std::string> ids;
    for (const std::string& name : files()) {
      if (!name.ends_with(".jsonl")) continue;
      std::ifstream file(directory / name);
      for (std::string line; std::getline(file, line);)
        ids.emplace_back(boost::json::parse(line).as_object().at("request_id").as_string());
    }
    return ids;
  }

  fs::path directory;
};

TEST(UsageLine, SaysWhatARequestUsed) {
  RequestRecord record = request_of("abc");
  auto line = line_of(record);
  EXPECT_EQ(line.at("tenant").as_string(), "acme");
  EXPECT_EQ(line.at("key").as_string(), "team");
  EXPECT_EQ(line.at("region").as_string(), "au");
  EXPECT_EQ(line.at("attempts").as_int64(), 2);
  EXPECT_EQ(line.at("prompt_tokens").as_int64(), 30);
  EXPECT_EQ(line.at("completion_tokens").as_int64(), 40);
  EXPECT_EQ(line.at("tokens").as_string(), "estimated");
  EXPECT_EQ(line.at("outcome").as_string(), "completed");
  record.usage = TokenUsage{3, 4, 1, 2};
  line = line_of(record);
  EXPECT_EQ(line.at("prompt_tokens").as_int64(), 3);
  EXPECT_EQ(line.at("cached_tokens").as_int64(), 1);
  EXPECT_EQ(line.at("reasoning_tokens").as_int64(), 2);
  EXPECT_EQ(line.at("tokens").as_string(), "exact");
}

TEST(UsageLine, ARequestOfNobodyHasNone) {
  RequestRecord record;
  EXPECT_FALSE(has_usage(record));
  record.attempts = 1;
  EXPECT_TRUE(has_usage(record));
  record = {};
  record.key = "team";
  EXPECT_TRUE(has_usage(record));
}

TEST_F(UsageSpoolTest, WhatIsWrittenGetsItsNameOnceItIsWhole) {
  {
    UsageSpool spool(2);
    ASSERT_TRUE(spool.open(settings()));
    ASSERT_EQ(files().size(), 1U);
    EXPECT_THAT(files()[0], EndsWith(".part"));
    spool.take(0, request_of("a"));
    spool.take(1, request_of("b"));
  }
  ASSERT_EQ(files().size(), 1U);
  EXPECT_THAT(files()[0], EndsWith(".jsonl"));
  EXPECT_THAT(ids(), testing::UnorderedElementsAre("a", "b"));
}

TEST_F(UsageSpoolTest, WithoutADirectoryThereIsNothing) {
  UsageSpool spool(1);
  ASSERT_TRUE(spool.open({}));
  spool.take(0, request_of("a"));
  ASSERT_TRUE(spool.open(settings()));
  ASSERT_TRUE(spool.open({}));
  EXPECT_THAT(files(), IsEmpty()) << "an empty file goes";
  EXPECT_FALSE(spool.open({(directory / "none").string(), 4096, 65536}));
}

TEST_F(UsageSpoolTest, FilesAreRotatedAndBoundedAndGapsCounted) {
  std::size_t line = 0;
  {
    std::string text;
    append_usage_line(text, usage_record_of(request_of("0000")));
    line = text.size();
  }
  {
    UsageSpool spool(1);
    ASSERT_TRUE(spool.open(settings(4 * line, 10 * line)));
    for (int i = 0; i < 12; ++i) {
      spool.take(0, request_of(std::to_string(1000 + i)));
      std::this_thread::sleep_for(std::chrono::milliseconds(25));  // longer than it gathers: one write each
    }
    EXPECT_EQ(spool.lost(), 2U);
    EXPECT_EQ(ids().size(), 8U);
    fs::remove(directory / files()[0]);  // whoever takes them away makes room
    spool.take(0, request_of("2000"));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_EQ(spool.lost(), 2U);
  }
  EXPECT_THAT(ids(), ElementsAre("1004", "1005", "1006", "1007", "1008", "1009", "2000"));
}

TEST_F(UsageSpoolTest, WhatADeadProcessLeftIsFinished) {
  std::string whole;
  append_usage_line(whole, usage_record_of(request_of("left")));
  std::ofstream(directory / "usage-0000000000001-1-1.part") << whole << whole.substr(0, 20);
  std::ofstream(directory / "usage-0000000000002-1-2.part") << "";
  std::ofstream(directory / "usage-0000000000003-1-3.part") << whole;
  const int held = ::open((directory / "usage-0000000000003-1-3.part").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(held, LOCK_EX), 0);
  UsageSpool spool(1);
  ASSERT_TRUE(spool.open(settings()));
  EXPECT_THAT(ids(), ElementsAre("left"));
  EXPECT_TRUE(fs::exists(directory / "usage-0000000000003-1-3.part")) << "a living one is at it";
  EXPECT_EQ(files().size(), 3U);
  ::close(held);
}

}  // namespace
}  // namespace perigee::router
