#include "router/access_log.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <boost/json/parse.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "router/line_log.h"

namespace perigee::router {
namespace {

using namespace std::chrono_literals;

RequestRecord record_of(std::string request_id) {
  RequestRecord record;
  record.begun = Instant{1'000'000'000};
  record.ended = record.begun + 12'345'678ns;
  record.wall = std::chrono::system_clock::time_point(1'700'000'000'007ms);
  record.request_id = std::move(request_id);
  record.status = 200;
  return record;
}

std::string line_of(const RequestRecord& record) {
  std::string out;
  append_access_line(out, record);
  return out;
}

TEST(AccessLine, TellsOfAHedge) {
  RequestRecord record = record_of("abc");
  EXPECT_EQ(line_of(record).find("hedge"), std::string::npos);
  record.hedge = "won";
  record.hedge_endpoint = "mel-1";
  EXPECT_NE(line_of(record).find(R"("hedge":"won","hedge_endpoint":"mel-1")"), std::string::npos);
}

TEST(AccessLine, IsOneJsonObject) {
  RequestRecord record = record_of("abc");
  record.operation = Operation::chat;
  record.key = "team";
  record.model = "m";
  record.usage = TokenUsage{3, 4, 1, 0};
  record.sent = record.begun + 1ms;
  const std::string line = line_of(record);
  ASSERT_EQ(line.back(), '\n');
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const auto object = boost::json::parse(line).as_object();
  EXPECT_EQ(object.at("time").as_string(), "2023-11-14T22:13:20.007Z");
  EXPECT_EQ(object.at("request_id").as_string(), "abc");
  EXPECT_EQ(object.at("operation").as_string(), "chat");
  EXPECT_EQ(object.at("key").as_string(), "team");
  EXPECT_EQ(object.at("status").as_int64(), 200);
  EXPECT_EQ(object.at("ending").as_string(), "completed");
  EXPECT_DOUBLE_EQ(object.at("total_ms").as_double(), 12.345);
  EXPECT_DOUBLE_EQ(object.at("sent_ms").as_double(), 1.0);
  EXPECT_EQ(object.at("prompt_tokens").as_int64(), 3);
  EXPECT_FALSE(object.contains("first_event_ms"));
  EXPECT_FALSE(object.contains("error"));
}

TEST(AccessLine, LetsNoTextOfOthersBreakIt) {
  RequestRecord record = record_of("a");
  record.model_asked = "x\",\"status\":500,\n\x1b[31m\\ \xff" + std::string(1000, 'y');
  const std::string line = line_of(record);
  EXPECT_LT(line.size(), 600U);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
  const auto object = boost::json::parse(line).as_object();
  EXPECT_EQ(object.at("status").as_int64(), 200);
  EXPECT_EQ(object.at("model_asked").as_string().size(), 128U);
}

class AccessLogTest : public ::testing::Test {
 protected:
  ~AccessLogTest() override { std::filesystem::remove_all(folder); }
  static std::string text(const std::filesystem::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void take(LineLog& log, std::size_t thread, const char* id) {
    log.take(thread, [id](std::string& out) { append_access_line(out, record_of(id)); });
  }
  // Until `part` is in the file.
  static bool comes(const std::filesystem::path& path, std::string_view part) {
    for (int i = 0; i < 5000; ++i) {
      if (text(path).find(part) != std::string::npos) return true;
      std::this_thread::sleep_for(1ms);
    }
    return false;
  }

  const std::filesystem::path folder = [] {
    std::string name = "/tmp/access-log-XXXXXX";
    return std::filesystem::path(::mkdtemp(name.data()));
  }();
};

TEST_F(AccessLogTest, WritesToItsFileAndAfterRotationToTheNewOne) {
  const auto path = folder / "log";
  LineLog log(2);
  take(log, 0, "nobody-asked");
  ASSERT_TRUE(log.open(path));
  take(log, 0, "first");
  take(log, 1, "second");
  EXPECT_TRUE(comes(path, "\"second\""));
  EXPECT_TRUE(comes(path, "\"first\""));
  std::filesystem::rename(path, folder / "log.1");
  ASSERT_TRUE(log.open(path));
  take(log, 0, "third");
  EXPECT_TRUE(comes(path, "\"third\""));
  EXPECT_EQ(text(path).find("first"), std::string::npos);
  EXPECT_EQ(text(folder / "log.1").find("nobody"), std::string::npos);
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & S_IRWXO, 0U);
  EXPECT_EQ(log.lost(), 0U);
}

TEST_F(AccessLogTest, AnErrorLeavesTheLogAsItWas) {
  const auto path = folder / "log";
  LineLog log(1);
  ASSERT_TRUE(log.open(path));
  const auto failed = log.open(folder / "absent" / "log");
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().text().find("absent/log"), std::string::npos);
  take(log, 0, "still");
  EXPECT_TRUE(comes(path, "\"still\""));
}

TEST_F(AccessLogTest, CountsWhatTheDiskDoesNotTake) {
  LineLog log(1);
  ASSERT_TRUE(log.open("/dev/full"));
  take(log, 0, "a");
  take(log, 0, "b");
  for (int i = 0; i < 5000 && log.lost() < 2; ++i) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(log.lost(), 2U);
}

}  // namespace
}  // namespace perigee::router
