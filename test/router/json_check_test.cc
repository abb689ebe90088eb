#include "router/json_check.h"

#include <gtest/gtest.h>

#include <string>

namespace perigee::router {
namespace {

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(JsonCheck, TakesWhatIsJson) {
  for (const std::string text :
       {"{}", "[]", " {\"a\" : [ 1 , -0.5e+3 , \"b\\u00e9\\n\" , true , false , null , { } ] } \n", "1",
        "\"x\"", "0", "{\"a\":{\"b\":[[],[{}]]},\"c\":\"\"}", "[1,\n2]", "\"\xe2\x82\"", "1.25E-2",
        "[NaN,Infinity]", "{\"logprob\": -Infinity}",
        "{\"long\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}"})
    EXPECT_TRUE(is_json(text)) << text;
  EXPECT_TRUE(is_json(nested(kMaxCheckedDepth + 1))) << "the innermost is empty";
}

TEST(JsonCheck, RefusesTheRest) {
  for (const std::string text : {"",
                                 " ",
                                 "{",
                                 "}",
                                 "[",
                                 "{\"a\"",
                                 "{\"a\":",
                                 "{\"a\":1",
                                 "{\"a\":1,",
                                 "{\"a\":1,}",
                                 "[1,]",
                                 "[,1]",
                                 "{,}",
                                 "{\"a\":\"b",
                                 "{\"a\":\"b\\",
                                 "{\"a\":\"b\\u12",
                                 "{a:1}",
                                 "{'a':1}",
                                 "{\"a\" 1}",
                                 "[1 2]",
                                 "[1}",
                                 "{\"a\":1]",
                                 "{}{}",
                                 "{} x",
                                 "nul",
                                 "truex",
                                 "tru",
                                 "01",
                                 "-",
                                 "1.",
                                 ".5",
                                 "1e",
                                 "+1",
                                 "\"\\x\"",
                                 "\"\\u12g4\"",
                                 "{\"a\":[}",
                                 "\"a\nb\"",
                                 "\"\x01\"",
                                 "[DONE",
                                 "{1:2}",
                                 "undefined",
                                 "nan",
                                 "NaNs",
                                 "-NaN",
                                 "+Infinity",
                                 "[-Infinit]",
                                 "-inf",
                                 "{\"a\":1 \"b\":2}",
                                 "\"a\" \"b\""})
    EXPECT_FALSE(is_json(text)) << text;
  EXPECT_FALSE(is_json(std::string_view("\"\0\"", 3)));
  EXPECT_FALSE(is_json(std::string_view("\0", 1)));
  EXPECT_FALSE(is_json(nested(kMaxCheckedDepth + 2)));
}

TEST(JsonCheck, NoPartOfATextPasses) {
  const std::string text =
      R"({"id":"c","choices":[{"delta":{"content":"a\"\\b é"},"index":0}],"n":-1.5e3,"u":null})";
  ASSERT_TRUE(is_json(text));
  for (std::size_t size = 0; size < text.size(); ++size) EXPECT_FALSE(is_json(text.substr(0, size))) << size;
  for (std::size_t from = 1; from + 1 < text.size(); ++from)
    EXPECT_FALSE(is_json("{" + text.substr(from) + "}"));
}

}  // namespace
}  // namespace perigee::router
