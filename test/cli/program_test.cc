#include "cli/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "perigee_version.h"
#include "test/cli/run_words.h"

namespace perigee::cli {
namespace {

using testing::HasSubstr;

TEST(Program, HelpAndVersion) {
  const Ran version = run_words({"version"});
  EXPECT_EQ(version.code, kOk);
  EXPECT_EQ(version.out, std::string("perigee ") + kVersion + "\n");
  for (const char* word : {"help", "--help", "-h"}) {
    const Ran help = run_words({word});
    EXPECT_EQ(help.code, kOk);
    for (const char* verb : {"check FILE", "compile FILE --pop NAME --table-dir DIR", "apply FILE", "status",
                             "links", "endpoints", "services", "explain SERVICE --client IP"}) {
      EXPECT_THAT(help.out, HasSubstr(std::string("perigee ") + verb));
    }
  }
  EXPECT_THAT(run_words({"help", "explain"}).out, HasSubstr("--client IP"));
  EXPECT_THAT(run_words({"links", "--help"}).out, HasSubstr("usage: perigee links"));
}

TEST(Program, WrongUsageSaysWhatWouldBeRight) {
  struct Case {
    std::vector<std::string> words;
    const char* says;
  };
  const std::vector<Case> cases = {
      {{}, "usage:"},
      {{"lnks"}, "no verb \"lnks\"; there are check, compile, apply, status, links"},
      {{"help", "lnks"}, "no verb \"lnks\""},
      {{"links", "--jsn"}, "unknown option --jsn; usage: perigee links [--admin URL] [--json]"},
      {{"links", "all"}, "\"all\" is one word too many; usage: perigee links"},
      {{"links", "--json", "--json"}, "--json is given twice"},
      {{"links", "--json=yes"}, "--json takes no value"},
      {{"links", "--admin"}, "--admin needs a value"},
      {{"links", "--admin="}, "--admin needs a value"},
      {{"check"}, "FILE is missing; usage: perigee check FILE"},
      {{"check", "--", "-a", "b"}, "\"b\" is one word too many"},
      {{"compile", "p.yaml", "--table-dir", "d"}, "--pop NAME is missing"},
      {{"compile", "p.yaml", "--pop", "syd"}, "--table-dir DIR is missing"},
      {{"explain", "chat"}, "--client IP is missing"},
      {{"explain", "--client", "10.0.0.1"}, "SERVICE is missing"},
      {{"explain", "chat", "--client", "localhost"},
       "--client localhost is no address such as 198.51.100.10"},
  };
  for (const Case& wrong : cases) {
    const Ran ran = run_words(wrong.words);
    EXPECT_EQ(ran.code, kUsage) << wrong.says;
    EXPECT_THAT(ran.err, HasSubstr(wrong.says));
    EXPECT_EQ(ran.out, "");
  }
}

}  // namespace
}  // namespace perigee::cli
