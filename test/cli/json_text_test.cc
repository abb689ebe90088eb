#include "cli/json_text.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <sstream>

#include "cli/text_table.h"

namespace perigee::cli {
namespace {

const boost::json::value kAnswer = boost::json::parse(R"({
  "name": "mel-1", "empty": "", "null": null, "zero": 0, "yes": true, "count": 18446744073709551615,
  "ratio": 0.0125, "ms": 5.04, "nested": {"ms": 7}, "list": [1, 2], "escape": "a\u001b[2Jb"})");

TEST(JsonText, WhatIsUnknownIsNeverZero) {
  for (const char* path : {"/absent", "/null", "/nested/absent", "/name/below", "/list/9"}) {
    EXPECT_EQ(text_at(kAnswer, path), "-") << path;
    EXPECT_EQ(ms_at(kAnswer, path), "-") << path;
    EXPECT_EQ(percent_at(kAnswer, path), "-") << path;
    EXPECT_EQ(age_at(kAnswer, path), "-") << path;
    EXPECT_TRUE(list_at(kAnswer, path).empty()) << path;
    EXPECT_FALSE(is_true(kAnswer, path)) << path;
    EXPECT_TRUE(is_null(kAnswer, path)) << path;
  }
  EXPECT_EQ(text_at(kAnswer, "/empty"), "-");
  EXPECT_EQ(ms_at(kAnswer, "/name"), "-") << "of another type";
}

TEST(JsonText, WhatIsKnownIsItself) {
  EXPECT_EQ(text_at(kAnswer, "/name"), "mel-1");
  EXPECT_EQ(text_at(kAnswer, "/zero"), "0");
  EXPECT_EQ(text_at(kAnswer, "/yes"), "yes");
  EXPECT_EQ(text_at(kAnswer, "/count"), "18446744073709551615");
  EXPECT_EQ(ms_at(kAnswer, "/ms"), "5.040");
  EXPECT_EQ(ms_at(kAnswer, "/nested/ms"), "7.000");
  EXPECT_EQ(percent_at(kAnswer, "/ratio"), "1.25%");
  EXPECT_EQ(list_at(kAnswer, "/list").size(), 2U);
  EXPECT_TRUE(is_true(kAnswer, "/yes"));
  EXPECT_EQ(text_at(kAnswer, "/escape"), "a?[2Jb") << "no terminal control";
}

TEST(JsonText, AgesInTwoUnits) {
  const auto age = [](double seconds) { return age_at(boost::json::value(seconds), ""); };
  EXPECT_EQ(age(0.2), "0s");
  EXPECT_EQ(age(-0.4), "0s");
  EXPECT_EQ(age(59.4), "59s");
  EXPECT_EQ(age(59.6), "1m00s");
  EXPECT_EQ(age(192), "3m12s");
  EXPECT_EQ(age(7505), "2h05m");
  EXPECT_EQ(age(4 * 86400 + 3 * 3600), "4d03h");
  EXPECT_EQ(age(1e300), "-");
}

TEST(TextTable, AlignsByCharacters) {
  TextTable table({{"NAME"}, {"MS", true}, {"NOTE"}});
  table.add({"a", "1.5", ""});
  table.add({"b\xc3\xa9", "100.25", "x\ny"});
  std::ostringstream out;
  table.print(out, "nothing");
  EXPECT_EQ(out.str(),
            "NAME      MS  NOTE\n"
            "a        1.5\n"
            "b\xc3\xa9    100.25  x?y\n");
}

TEST(TextTable, SaysWhenThereIsNothing) {
  std::ostringstream out;
  TextTable({{"NAME"}}).print(out, "no links");
  EXPECT_EQ(out.str(), "no links\n");
}

}  // namespace
}  // namespace perigee::cli
