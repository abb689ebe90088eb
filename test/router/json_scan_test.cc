#include "router/json_scan.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace perigee::router {
namespace {

JsonScanner scan(std::string_view body, std::size_t piece) {
  JsonScanner scanner;
  for (std::size_t at = 0; at < body.size(); at += piece) {
    // A copy of exactly this piece, so that the sanitizer sees a read beyond it.
    const std::string part(body.substr(at, piece));
    scanner.feed(part);
  }
  scanner.finish();
  return scanner;
}

// The same answer in whatever pieces the body comes.
JsonScanner scan(std::string_view body) {
  JsonScanner whole = scan(body, body.size() + 1);
  for (const std::size_t piece : {1UL, 2UL, 3UL, 17UL}) {
    const JsonScanner cut = scan(body, piece);
    EXPECT_EQ(cut.status(), whole.status()) << body << " in pieces of " << piece;
    EXPECT_EQ(cut.fault(), whole.fault()) << body << " in pieces of " << piece;
    EXPECT_EQ(cut.facts().model, whole.facts().model) << body;
    EXPECT_EQ(cut.facts().model_range, whole.facts().model_range) << body;
    if (whole.fault() != JsonFault::none) {
      EXPECT_EQ(cut.fault_offset(), whole.fault_offset()) << body;
    }
  }
  return whole;
}

JsonFault fault_of(std::string_view body) { return scan(body).fault(); }

std::string_view part(std::string_view body, OctetRange range) {
  return body.substr(range.begin, range.end - range.begin);
}

TEST(JsonScanner, FindsWhatRoutesAndMeters) {
  const std::string body = R"( {"messages":[{"role":"user","content":"model \"x\" {}","model":"no"}],
    "model" : "llama-70b" ,"n":2,"stream":true,"stream_options":{"a":{"include_usage":false},"include_usage": true },
    "max_tokens":100,"max_completion_tokens":1e3,"max_output_tokens":20,"previous_response_id":"resp_1"} )";
  const JsonScanner scanner = scan(body);
  ASSERT_EQ(scanner.status(), JsonScanner::Status::complete) << json_fault_name(scanner.fault());
  const JsonFacts& facts = scanner.facts();
  EXPECT_EQ(facts.model, "llama-70b");
  EXPECT_EQ(part(body, facts.model_range), "\"llama-70b\"");
  EXPECT_EQ(facts.stream, true);
  EXPECT_EQ(facts.include_usage, true);
  EXPECT_EQ(part(body, facts.include_usage_range), "true");
  EXPECT_EQ(part(body, facts.stream_options_range),
            R"({"a":{"include_usage":false},"include_usage": true })");
  EXPECT_FALSE(facts.stream_options_empty);
  EXPECT_EQ(facts.max_tokens, 100U) << "the largest whole number";
  EXPECT_EQ(facts.n, 2U);
  EXPECT_EQ(facts.previous_response_id, "resp_1");
  EXPECT_EQ(body[facts.object_end], '}');
  EXPECT_EQ(facts.object_end, body.size() - 2);
}

TEST(JsonScanner, NullReadsAsAbsent) {
  const JsonFacts facts =
      scan(R"({"stream":null,"stream_options":null,"previous_response_id":null,"max_tokens":null})").facts();
  EXPECT_EQ(facts.stream, std::nullopt);
  EXPECT_EQ(facts.include_usage, std::nullopt);
  EXPECT_EQ(facts.previous_response_id, std::nullopt);
  EXPECT_EQ(facts.max_tokens, std::nullopt);
  EXPECT_EQ(scan(R"({"stream_options":{"include_usage":null}})").facts().include_usage, std::nullopt);
}

TEST(JsonScanner, ModelIsKnownBeforeTheBodyEnds) {
  JsonScanner scanner;
  EXPECT_EQ(scanner.feed(R"({"model":"m","messages":[)"), JsonScanner::Status::need_more);
  EXPECT_EQ(scanner.facts().model, "m");
}

TEST(JsonScanner, ReadsAModelInAnySpelling) {
  EXPECT_EQ(scan(R"({"mod\u0065l":"a\u002Fb\n\ud83d\ude00\u00e9\u20ac"})").facts().model, "a/b\n😀é€");
  EXPECT_EQ(scan("{\"model\":\"ключ-模型-😀\"}").facts().model, "ключ-模型-😀");
  EXPECT_EQ(scan(R"({"model":""})").facts().model, "");
}

TEST(JsonScanner, KeysThatRouteOccurOnceInAnySpelling) {
  EXPECT_EQ(fault_of(R"({"model":"a","model":"b"})"), JsonFault::duplicate_key);
  EXPECT_EQ(fault_of(R"({"model":"a","\u006dodel":"b"})"), JsonFault::duplicate_key);
  EXPECT_EQ(fault_of(R"({"m\u006Fdel":"a","mod\u0065l":"a"})"), JsonFault::duplicate_key);
  EXPECT_EQ(fault_of(R"({"stream":true,"x":1,"stream":null})"), JsonFault::duplicate_key);
  EXPECT_EQ(fault_of(R"({"stream_options":{},"stream_options":{}})"), JsonFault::duplicate_key);
  EXPECT_EQ(fault_of(R"({"stream_options":{"include_usage":true,"include\u005fusage":false}})"),
            JsonFault::duplicate_key);
  for (const std::string key : {"max_tokens", "max_completion_tokens", "max_output_tokens", "n"})
    EXPECT_EQ(fault_of("{\"" + key + "\":1,\"" + key + "\":1}"), JsonFault::duplicate_key) << key;
  EXPECT_EQ(fault_of(R"({"previous_response_id":"a","previous_response_id":"a"})"), JsonFault::duplicate_key);
  EXPECT_EQ(fault_of(R"({"a":1,"a":2,"Model":"x","model":"y","":0,"":1})"), JsonFault::none)
      << "these do not route";
  EXPECT_EQ(fault_of(R"({"a":{"model":1},"b":[{"model":2}],"model":"x"})"), JsonFault::none);
}

TEST(JsonScanner, RoutingValuesHaveTheirTypes) {
  for (const char* value : {"1", "null", "true", "[]", "{}"})
    EXPECT_EQ(fault_of("{\"model\":" + std::string(value) + "}"), JsonFault::wrong_type) << value;
  for (const char* value : {"1", "\"true\"", "[]", "{}"}) {
    EXPECT_EQ(fault_of("{\"stream\":" + std::string(value) + "}"), JsonFault::wrong_type) << value;
    EXPECT_EQ(fault_of("{\"stream_options\":{\"include_usage\":" + std::string(value) + "}}"),
              JsonFault::wrong_type);
  }
  EXPECT_EQ(fault_of(R"({"stream_options":[]})"), JsonFault::wrong_type);
  EXPECT_EQ(fault_of(R"({"previous_response_id":7})"), JsonFault::wrong_type);
}

TEST(JsonScanner, TokenCountsThatAreNotWholeAreTheEndpointsBusiness) {
  for (const char* value : {"-1", "1.5", "1e3", "18446744073709551616", "\"9\"", "{}", "[1]"})
    EXPECT_EQ(scan("{\"max_tokens\":" + std::string(value) + "}").facts().max_tokens, std::nullopt) << value;
  EXPECT_EQ(scan(R"({"max_tokens":0})").facts().max_tokens, 0U);
  EXPECT_EQ(scan(R"({"max_tokens":1844674407370955160})").facts().max_tokens, 1844674407370955160U);
}

TEST(JsonScanner, LimitsAreExact) {
  const auto nested = [](std::size_t depth) {
    return "{\"a\":" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}";
  };
  EXPECT_EQ(fault_of(nested(kMaxJsonDepth)), JsonFault::none);
  EXPECT_EQ(fault_of(nested(kMaxJsonDepth + 1)), JsonFault::too_deep);
  const auto model = [](std::size_t octets) { return "{\"model\":\"" + std::string(octets, 'x') + "\"}"; };
  EXPECT_EQ(fault_of(model(kMaxModelOctets)), JsonFault::none);
  EXPECT_EQ(fault_of(model(kMaxModelOctets + 1)), JsonFault::value_too_long);
  EXPECT_EQ(fault_of("{\"" + std::string(1000, 'k') + "\":1}"), JsonFault::none);
}

TEST(JsonScanner, RefusesWhatIsNotOneObject) {
  for (const char* body : {"", " ", "[]", "null", "\"model\"", "1", "\xef\xbb\xbf{}", "model=a"})
    EXPECT_EQ(fault_of(body), JsonFault::not_an_object) << body;
  for (const char* body : {"{} {}", "{}x", "{}]", "{},"})
    EXPECT_EQ(fault_of(body), JsonFault::trailing_octets) << body;
  for (const char* body :
       {"{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":tru", "{\"a\":\"x", "{\"a\":\"\\", "{\"a\":[]"})
    EXPECT_EQ(fault_of(body), JsonFault::truncated) << body;
}

TEST(JsonScanner, RefusesWhatBreaksTheGrammar) {
  for (const char* body :
       {"{,}",         "{\"a\":1,}",       "{\"a\" 1}",      "{\"a\":}",          "{\"a\":1 \"b\":2}",
        "{a:1}",       "{'a':1}",          "{\"a\":[1,]}",   "{\"a\":[,1]}",      "{\"a\":[1 2]}",
        "{\"a\":[1}",  "{\"a\":1]",        "{\"a\":{]}",     "{\"a\":+1}",        "{\"a\":.5}",
        "{\"a\":NaN}", "{\"a\":Infinity}", "{\"a\":1/*x*/}", "{\"a\":1\x0c}",     "{1:2}",
        "{\"a\":1a}",  "{\"a\":truex}",    "{\"a\"::1}",     "{\"a\":1,,\"b\":1}"})
    EXPECT_EQ(fault_of(body), JsonFault::unexpected_octet) << body;
  for (const char* body : {"{\"a\":01}", "{\"a\":-}", "{\"a\":1.}", "{\"a\":1.e1}", "{\"a\":1e}",
                           "{\"a\":1e+}", "{\"a\":-x}", "{\"a\":00}", "{\"a\":-01}"})
    EXPECT_EQ(fault_of(body), JsonFault::bad_number) << body;
  for (const char* body : {"{\"a\":tRue}", "{\"a\":nul}", "{\"a\":falsy}"})
    EXPECT_EQ(fault_of(body), JsonFault::bad_literal) << body;
  for (const char* body : {"{\"a\":0}", "{\"a\":-0}", "{\"a\":1.50E+2}", "{\"a\":0e0}", "{\"a\":-12.3e-4}",
                           "{}", "{\"a\":[]}", "\t\r\n {\t\"a\"\r:\n[ 1 , { } , [ ] ] } \n"})
    EXPECT_EQ(fault_of(body), JsonFault::none) << body;
}

TEST(JsonScanner, RefusesBadStrings) {
  for (const char* text : {"\\x41", "\\u12G4", "\\u-123", "\\ud800", "\\udc00", "\\ud800x", "\\ud800\\n",
                           "\\ud800\\u0041", "\\ud800\\ud800", "\\U0041", "\\'"})
    EXPECT_EQ(fault_of("{\"a\":\"" + std::string(text) + "\"}"), JsonFault::bad_escape) << text;
  EXPECT_EQ(fault_of("{\"a\":\"a\nb\"}"), JsonFault::control_octet);
  EXPECT_EQ(fault_of(std::string("{\"a\":\"a\0b\"}", 11)), JsonFault::control_octet);
  EXPECT_EQ(fault_of("{\"a\":\"\x7f\\/\\b\\f\\n\\r\\t\\\\\\\"\\u0000\"}"), JsonFault::none);
  // RFC 3629: overlong forms, surrogates, beyond U+10FFFF, cut sequences, lone continuations.
  for (const char* text : {"\xc0\xaf", "\xc1\x81", "\xe0\x80\xaf", "\xe0\x9f\xbf", "\xed\xa0\x80",
                           "\xf0\x80\x80\xaf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\x80", "\xc3",
                           "\xe2\x82", "\xe2\x28\xa1", "\xf0\x9f\x98", "\xf0\x9f\x28\x80"})
    EXPECT_EQ(fault_of("{\"a\":\"" + std::string(text) + "\"}"), JsonFault::bad_utf8) << text;
  for (const char* text : {"\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                           "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"})
    EXPECT_EQ(fault_of("{\"a\":\"" + std::string(text) + "\"}"), JsonFault::none) << text;
}

TEST(JsonScanner, SaysWhereTheFaultIs) {
  EXPECT_EQ(scan(R"({"a":1,"model":7})").fault_offset(), 15U);
  EXPECT_EQ(scan(R"({"a":x})").fault_offset(), 5U);
  JsonScanner scanner;
  scanner.feed("{}");
  EXPECT_EQ(scanner.status(), JsonScanner::Status::complete);
  EXPECT_EQ(scanner.feed(" \n"), JsonScanner::Status::complete);
  EXPECT_EQ(scanner.feed("{"), JsonScanner::Status::refused) << "a second object";
  EXPECT_EQ(scanner.feed(" "), JsonScanner::Status::refused) << "and stays so";
  EXPECT_EQ(scanner.fault_offset(), 4U);
}

// What an endpoint reads after the edits.
boost::json::object edited(std::string_view body, bool include_usage) {
  const JsonScanner scanner = scan(body);
  EXPECT_EQ(scanner.status(), JsonScanner::Status::complete) << body;
  const BodyEdits edits = body_edits(scanner.facts(), "org/\"served\"", include_usage);
  const std::string out = apply_edits(body, edits);
  EXPECT_EQ(static_cast<std::int64_t>(out.size()), static_cast<std::int64_t>(body.size()) + edits.growth());
  return boost::json::parse(out).as_object();
}

TEST(BodyEdits, NameTheServedModelAndAskForUsage) {
  for (const char* options :
       {"", R"(,"stream_options":null)", R"(,"stream_options":{})", R"(,"stream_options": { } )",
        R"(,"stream_options":{"include_usage":false})", R"(,"stream_options":{"include_usage":null,"x":1})",
        R"(,"stream_options":{"x":1})", R"(,"stream_options":{"include_usage":true})"}) {
    for (const bool model_first : {true, false}) {
      const std::string rest = std::string(options);
      const std::string body = model_first ? R"({"model":"m","a":"é")" + rest + "}"
                                           : R"({"a":"é")" + rest + R"(,"mod\u0065l":"m"} )";
      const auto object = edited(body, true);
      EXPECT_EQ(object.at("model").as_string(), "org/\"served\"") << body;
      EXPECT_TRUE(object.at("stream_options").as_object().at("include_usage").as_bool()) << body;
      EXPECT_EQ(object.at("stream_options").as_object().contains("x"),
                rest.find("\"x\"") != std::string::npos);
      EXPECT_EQ(object.at("a").as_string(), "é");
      EXPECT_EQ(edited(body, false).contains("stream_options"), !rest.empty());
    }
  }
}

TEST(BodyEdits, NothingToChangeChangesNothing) {
  const std::string body = R"({"model":"m","stream_options":{"include_usage":true}})";
  EXPECT_EQ(body_edits(scan(body).facts(), "m", true).count, 0U);
}

TEST(JsonString, EscapesWhatMustBe) {
  std::string out;
  append_json_string(out, std::string("a\"\\\n\x1f\0é", 8));
  EXPECT_EQ(out, "\"a\\\"\\\\\\u000a\\u001f\\u0000é\"");
}

}  // namespace
}  // namespace perigee::router
