#include "gateway/policy_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/query.h"
#include "test/gateway/fake_dataplane.h"

namespace perigee::gateway::test {
namespace {

class PolicyFileTest : public testing::Test {
 protected:
  Surroundings around_;
  PolicyFile file_{around_.policy_file()};
};

TEST_F(PolicyFileTest, ReadsWhatIsThere) {
  EXPECT_FALSE(file_.read());
  around_.write_policy("version: 1\n");
  EXPECT_EQ(file_.read().value(), "version: 1\n");
}

TEST_F(PolicyFileTest, RefusesWhatIsTooLargeOrNoFile) {
  around_.write_policy(std::string(kMaxPolicySize + 1, '#'));
  EXPECT_NE(file_.read().error().what.find("larger than"), std::string::npos);
  around_.write_policy(std::string(kMaxPolicySize, '#'));
  EXPECT_TRUE(file_.read());
  EXPECT_FALSE(PolicyFile(around_.path()).read());
  const std::string fifo = around_.path() + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_NE(PolicyFile(fifo).read().error().what.find("regular"), std::string::npos);
}

TEST_F(PolicyFileTest, ReplacesAndKeepsThePreviousOne) {
  around_.write_policy("one");
  ::chmod(around_.policy_file().c_str(), 0604);
  ASSERT_TRUE(file_.replace("two"));
  ASSERT_TRUE(file_.replace("three"));
  EXPECT_EQ(file_.read().value(), "three");
  EXPECT_EQ(Surroundings::contents(file_.previous_path()), "two");
  struct stat status {};
  ASSERT_EQ(::stat(around_.policy_file().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0604U);
  ASSERT_TRUE(file_.put_back());
  EXPECT_EQ(file_.read().value(), "two");
}

TEST_F(PolicyFileTest, KeepsAFileThatAnotherUserOwns) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to be another user";
  around_.write_policy("of root");
  ::chmod(around_.policy_file().c_str(), 0644);
  constexpr uid_t kNobody = 65534;
  ASSERT_EQ(::chown(around_.path().c_str(), kNobody, kNobody), 0);
  ASSERT_EQ(::seteuid(kNobody), 0);
  const auto replaced = file_.replace("ours");
  ASSERT_EQ(::seteuid(0), 0);
  ASSERT_TRUE(replaced) << replaced.error().text();
  EXPECT_EQ(file_.read().value(), "ours");
  EXPECT_EQ(Surroundings::contents(file_.previous_path()), "of root");
}

TEST_F(PolicyFileTest, ReplacesWhatASymbolicLinkLeadsTo) {
  around_.write_policy("one");
  const std::string link = around_.path() + "/link.yaml";
  ASSERT_EQ(::symlink(around_.policy_file().c_str(), link.c_str()), 0);
  const PolicyFile through(link);
  ASSERT_TRUE(through.replace("two"));
  EXPECT_EQ(file_.read().value(), "two");
  struct stat status {};
  ASSERT_EQ(::lstat(link.c_str(), &status), 0);
  EXPECT_TRUE(S_ISLNK(status.st_mode));
  ASSERT_TRUE(through.put_back());
  EXPECT_EQ(file_.read().value(), "one");
}

TEST_F(PolicyFileTest, PuttingBackNothingRemovesTheFile) {
  std::ofstream(file_.previous_path()) << "of another time";
  ASSERT_TRUE(file_.replace("first"));
  ASSERT_TRUE(file_.put_back());
  EXPECT_FALSE(std::filesystem::exists(around_.policy_file()));
}

TEST_F(PolicyFileTest, AFailedReplaceLeavesTheFile) {
  EXPECT_FALSE(PolicyFile(around_.path() + "/none/policy.yaml").replace("x"));
}

TEST(QueryTest, FindsAndDecodesParameters) {
  EXPECT_EQ(path_of("/a/b?c=d"), "/a/b");
  EXPECT_EQ(query_value("/a?client=10.0.0.1&port=1", "client"), "10.0.0.1");
  EXPECT_EQ(query_value("/a?client=10.0.0.1&port=1", "port"), "1");
  EXPECT_EQ(query_value("/a?x=2001%3Adb8%3a%3A1", "x"), "2001:db8::1");
  EXPECT_EQ(query_value("/a?client", "client"), std::nullopt);
  EXPECT_EQ(query_value("/a?xclient=1", "client"), std::nullopt);
  for (const char* bad : {"%", "%4", "%4g", "%g4", "a%2"})
    EXPECT_EQ(percent_decoded(bad), std::nullopt) << bad;
  EXPECT_EQ(percent_decoded(std::string_view("%41").substr(0, 2)), std::nullopt);
  EXPECT_EQ(percent_decoded("%41%4a+"), "AJ+");
}

TEST(LogTest, WritesOneJsonLineAtOrAboveTheLevel) {
  std::string text;
  const Log log(LogLevel::warning, [&](std::string_view line) { text += line; });
  log.write(LogLevel::info, "quiet");
  EXPECT_EQ(text, "");
  log.write(LogLevel::error, "loud", {{"reason", "a \"quote\"\n"}, {"count", 2}});
  EXPECT_NE(text.find(R"("level":"error","event":"loud","reason":"a \"quote\"\n","count":2})"
                      "\n"),
            std::string::npos)
      << text;
  EXPECT_EQ(text.find("{\"time\":\"20"), 0U);
  EXPECT_EQ(parse_log_level("warning"), LogLevel::warning);
  EXPECT_EQ(parse_log_level("loud"), std::nullopt);
}

}  // namespace
}  // namespace perigee::gateway::test
