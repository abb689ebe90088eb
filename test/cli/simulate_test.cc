// perigee simulate: what it takes, what it refuses, what it prints.
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <fstream>

#include "test/cli/run_words.h"

namespace perigee::cli {
namespace {

TEST(Simulate, SaysAllThatIsWrongAtOnce) {
  const Ran ran =
      run_words({"simulate", "--scenario", "steady-0.3-equal-wan-2,nowhere", "--rule", "best", "--seeds", "0",
                 "--requests", "x", "--threads", "-1", "--format", "azure", "--markdown", "--json"});
  EXPECT_EQ(ran.code, kUsage);
  for (const char* fault : {"\"nowhere\"", "\"best\"", "--seeds: \"0\"", "--requests: \"x\"",
                            "--threads: \"-1\"", "--trace and --format", "without --markdown"})
    EXPECT_NE(ran.err.find(fault), std::string::npos) << fault << " in\n" << ran.err;
  EXPECT_EQ(ran.out, "");
}

TEST(Simulate, NamesScenariosAndRules) {
  const Ran ran = run_words({"simulate", "--list"});
  EXPECT_EQ(ran.code, kOk);
  EXPECT_NE(ran.out.find("scenario noise-hour\n"), std::string::npos);
  EXPECT_NE(ran.out.find("rule ours\n"), std::string::npos);
}

const std::vector<std::string> kSmall = {"simulate", "--scenario",       "steady-0.3-equal-metro-2",
                                         "--rule",   "round-robin,ours", "--requests",
                                         "100",      "--seeds",          "2"};

Ran small(const std::string& option) {
  std::vector<std::string> words = kSmall;
  if (!option.empty()) words.push_back(option);
  return run_words(words);
}

TEST(Simulate, PrintsEveryCellInEachForm) {
  const Ran text = small("");
  EXPECT_EQ(text.code, kOk) << text.err;
  EXPECT_NE(text.out.find("changes of first tiers: 0.0 a run"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("round-robin"), std::string::npos);
  const Ran markdown = small("--markdown");
  EXPECT_NE(markdown.out.find("| steady-0.3-equal-metro-2 | round-robin | 1.000 [1.000, 1.000] |"),
            std::string::npos)
      << markdown.out;
  const auto json = boost::json::parse(small("--json").out);
  const auto& rules = json.at_pointer("/scenarios/0/rules").as_array();
  ASSERT_EQ(rules.size(), 2U);
  EXPECT_EQ(rules[1].at("rule"), "ours");
  EXPECT_EQ(rules[1].at("runs").as_array().size(), 2U);
  EXPECT_TRUE(rules[1].at("p95_to_oracle").is_null()) << "there was none";
  EXPECT_LT(rules[1].at_pointer("/p95_to_best_simple/mean").as_double(), 1);
}

TEST(Simulate, TunesOnOtherSeedsAndPrintsTheWinner) {
  const Ran ran = run_words({"simulate", "--tune", "--scenario", "steady-0.3-equal-metro-2", "--rule",
                             "rtt-only,round-robin", "--requests", "60", "--seeds", "1"});
  EXPECT_EQ(ran.code, kOk) << ran.err;
  EXPECT_EQ(ran.out.rfind("rtt-only: power ", 0), 0U) << ran.out;
  EXPECT_EQ(ran.out.find("round-robin"), std::string::npos) << "it has nothing to tune";
}

TEST(Simulate, ReplaysATraceOrSaysWhereItIsWrong) {
  const std::string path = ::testing::TempDir() + "simulate_test.csv";
  std::ofstream(path) << "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,374,44\n"
                         "2023-11-16 18:15:47,900,10\n";
  const std::vector<std::string> words = {"simulate", "--trace",    path, "--format", "azure", "--rule",
                                          "ours",     "--requests", "50", "--seeds",  "1"};
  const Ran good = run_words(words);
  EXPECT_EQ(good.code, kOk) << good.err;
  EXPECT_EQ(good.out.rfind("trace: ", 0), 0U) << good.out;
  std::ofstream(path) << "TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,374,44\n";
  const Ran bad = run_words(words);
  EXPECT_EQ(bad.code, kUsage);
  EXPECT_NE(bad.err.find(path + ":2:1: a time was expected"), std::string::npos) << bad.err;
}

}  // namespace
}  // namespace perigee::cli
