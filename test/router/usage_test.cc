#include "router/usage.h"

#include <gtest/gtest.h>

namespace perigee::router {
namespace {

const std::string kUsage =
    R"({"prompt_tokens":12,"completion_tokens":34,"total_tokens":46,"prompt_tokens_details":{"cached_tokens":8},)"
    R"("completion_tokens_details":{"reasoning_tokens":5}})";
constexpr TokenUsage kRead = {12, 34, 8, 5};

std::optional<TokenUsage> found_in_pieces(std::string_view body, std::size_t piece) {
  UsageFinder finder;
  for (std::size_t at = 0; at < body.size(); at += piece) finder.feed(body.substr(at, piece));
  return finder.usage();
}

std::optional<TokenUsage> found(std::string_view body) {
  const auto whole = found_in_pieces(body, body.size() + 1);
  for (const std::size_t piece : {1UL, 3UL, 16UL}) EXPECT_EQ(found_in_pieces(body, piece), whole) << body;
  EXPECT_EQ(find_usage(body), whole) << "two readers of one body: " << body;
  return whole;
}

TEST(TopLevelValue, FindsValuesOfEveryKind) {
  const std::string object =
      R"( { "a" : "x\"}" , "b":{"c":[1,"]"],"d":0},"c": [ {"c":1} ] ,"e":-1.5,"f":null} )";
  EXPECT_EQ(top_level_value(object, "a"), R"("x\"}")");
  EXPECT_EQ(top_level_value(object, "b"), R"({"c":[1,"]"],"d":0})");
  EXPECT_EQ(top_level_value(object, "c"), R"([ {"c":1} ])");
  EXPECT_EQ(top_level_value(object, "e"), "-1.5");
  EXPECT_EQ(top_level_value(object, "f"), "null");
  EXPECT_EQ(top_level_value(object, "d"), "");
}

TEST(TopLevelValue, BrokenTextGivesNothingOrWhatIsThere) {
  for (const char* text : {"", "[", "{", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":\"", "{\"a\":\"\\", "{\"a\":{",
                           "{x", "{\"a\" 1", "null"})
    EXPECT_EQ(top_level_value(text, "b"), "") << text;
}

TEST(Usage, ReadsTheFormsOfTheEngines) {
  EXPECT_EQ(parse_usage(kUsage), kRead);
  EXPECT_EQ(parse_usage(R"({"input_tokens":12,"input_tokens_details":{"cached_tokens":8},"output_tokens":34,)"
                        R"("output_tokens_details":{"reasoning_tokens":5}})"),
            kRead);
  EXPECT_EQ(
      parse_usage(
          R"({"prompt_tokens":7,"total_tokens":7,"completion_tokens":null,"prompt_tokens_details":null})"),
      (TokenUsage{7, 0, 0, 0}));
  EXPECT_EQ(parse_usage(R"({"total_tokens":9})"), (TokenUsage{9, 0, 0, 0})) << "rerank";
  EXPECT_EQ(parse_usage(R"({"prompt_tokens":9,"prompt_cache_hit_tokens":4})"), (TokenUsage{9, 0, 4, 0}));
  EXPECT_EQ(parse_usage(R"({"prompt_tokens":9.0})"), (TokenUsage{9, 0, 0, 0}));
  for (const char* text : {"{}", "null", "", R"({"prompt_tokens":"9"})", R"({"prompt_tokens":-9})"})
    EXPECT_EQ(parse_usage(text), std::nullopt) << text;
}

TEST(Usage, IsFoundInAnAnswer) {
  EXPECT_EQ(
      found(R"({"id":"x","choices":[{"message":{"content":"\"usage\":{\"prompt_tokens\":1}"}}],"usage":)" +
            kUsage + R"(,"system_fingerprint":null})"),
      kRead);
  EXPECT_EQ(found("{ \"usage\" : " + kUsage + " }"), kRead);
  EXPECT_EQ(found(R"({"id":"x","usage":null})"), std::nullopt);
  EXPECT_EQ(found(R"({"id":"usage","a":{"b":1}})"), std::nullopt);
  EXPECT_EQ(found("not JSON"), std::nullopt);
}

TEST(Usage, WhatTheClientSentDoesNotCount) {
  const std::string cheap = R"({"prompt_tokens":0,"completion_tokens":0})";
  EXPECT_EQ(found(R"({"tools":[{"usage":)" + cheap + R"(}],"usage":)" + kUsage + R"(,"metadata":{"usage":)" +
                  cheap + "}}"),
            kRead);
  EXPECT_EQ(found(R"({"metadata":{"usage":)" + cheap + "}}"), std::nullopt);
}

TEST(UsageFinder, DropsWhatIsTooLong) {
  EXPECT_EQ(found_in_pieces(
                R"({"usage":{"prompt_tokens":1,"x":")" + std::string(2 * kMaxUsageOctets, 'x') + "\"}}", 512),
            std::nullopt);
  EXPECT_EQ(found_in_pieces("{\"text\":\"" + std::string(100'000, 'x') + "\",\"usage\":" + kUsage + "}", 512),
            kRead);
}

TEST(Usage, OfAResponsesEventIsInItsResponse) {
  const std::string event =
      R"({"type":"response.completed","response":{"id":"resp_7","usage":)" + kUsage + "}}";
  EXPECT_EQ(find_usage(event), kRead);
  EXPECT_EQ(find_response_id(event), "resp_7");
  EXPECT_EQ(find_response_id(R"({"object":"response","id":"resp_8"})"), "resp_8");
  EXPECT_EQ(find_response_id("{}"), "");
}

TEST(UsageFinder, KeepsTheIdAtTheTopLevelIfAsked) {
  const std::string answer =
      R"({"output":[{"id":"msg"}],"meta":{"id":"no"},"say":"\"id\": \"no\"","id" : "resp_1","id":"later",)"
      R"("usage":{"id":"no","input_tokens":3,"output_tokens":4}})";
  for (std::size_t piece = 1; piece <= answer.size(); ++piece) {
    UsageFinder finder;
    UsageFinder without;
    finder.want_id();
    for (std::size_t at = 0; at < answer.size(); at += piece) {
      finder.feed(std::string_view(answer).substr(at, piece));
      without.feed(std::string_view(answer).substr(at, piece));
    }
    EXPECT_EQ(finder.id(), "resp_1") << piece;
    EXPECT_EQ(without.id(), "");
    EXPECT_EQ(finder.usage(), (TokenUsage{3, 4, 0, 0})) << piece;
  }
  UsageFinder none;
  none.want_id();
  none.feed(R"({"id":null,"x":["id","resp"],"idx":"a"})");
  EXPECT_EQ(none.id(), "");
}

}  // namespace
}  // namespace perigee::router
