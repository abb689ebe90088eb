// What an admitted head gives; what is refused is in test/vectors/http (http_framing_test).
#include "router/http_head.h"

#include <gtest/gtest.h>

#include <string>

namespace perigee::router {
namespace {

const std::string kRequest =
    "POST /v1/chat/completions?x=1 HTTP/1.1\r\nhost: a\r\nX-Two: \t one two "
    "\t\r\nX-Empty:\r\nCONTENT-length: 5\r\n"
    "x-two: again\r\n\r\n";

TEST(RequestHead, GivesItsPartsAndCountsItsOctets) {
  const HeadResult result = parse_request_head(kRequest + "hello");
  ASSERT_EQ(result.state, HeadResult::State::complete);
  const Head& head = result.head;
  EXPECT_EQ(head.octets(), kRequest.size());
  EXPECT_EQ(head.method(), Method::post);
  EXPECT_EQ(head.method_text(), "POST");
  EXPECT_EQ(head.target(), "/v1/chat/completions?x=1");
  EXPECT_EQ(head.minor_version(), 1U);
  ASSERT_EQ(head.field_count(), 5U);
  EXPECT_EQ(head.field(0).id, FieldName::host);
  EXPECT_EQ(head.field(1).name, "X-Two");
  EXPECT_EQ(head.field(1).value, "one two");
  EXPECT_EQ(head.field(2).value, "");
  EXPECT_EQ(head.find(FieldName::content_length), "5");
  EXPECT_EQ(head.find("x-tWO"), "one two") << "the first one";
  EXPECT_EQ(head.find("x-three"), std::nullopt);
  EXPECT_EQ(head.find(FieldName::cookie), std::nullopt);
  EXPECT_EQ(head.count(FieldName::host), 1U);
}

TEST(RequestHead, IsACopy) {
  std::string buffer = kRequest;
  HeadResult result = parse_request_head(buffer);
  const Head head = std::move(result.head);
  buffer.assign(buffer.size(), 'x');
  EXPECT_EQ(head.target(), "/v1/chat/completions?x=1");
  EXPECT_EQ(head.field(4).value, "again");
}

TEST(RequestHead, WaitsForTheEmptyLineAndSearchesOnlyWhatIsNew) {
  std::size_t searched = 0;
  for (std::size_t size = 0; size < kRequest.size(); ++size) {
    const HeadResult result = parse_request_head(std::string_view(kRequest).substr(0, size), {}, searched);
    ASSERT_EQ(result.state, HeadResult::State::need_more) << size;
    searched = result.searched;
  }
  EXPECT_GT(searched, kRequest.size() - 20);
  EXPECT_EQ(parse_request_head(kRequest, {}, searched).state, HeadResult::State::complete);
}

TEST(RequestHead, MethodsAreCaseSensitive) {
  const auto method = [](const std::string& text) {
    return parse_request_head(text + " / HTTP/1.1\r\nHost: a\r\n\r\n").head.method();
  };
  EXPECT_EQ(method("GET"), Method::get);
  EXPECT_EQ(method("DELETE"), Method::delete_);
  EXPECT_EQ(method("get"), Method::other);
  EXPECT_EQ(method("BREW"), Method::other);
}

TEST(RequestHead, LimitsAreExact) {
  const HeadLimits limits = {kRequest.size(), 5};
  EXPECT_EQ(parse_request_head(kRequest + "more", limits).state, HeadResult::State::complete);
  EXPECT_EQ(parse_request_head(kRequest, {kRequest.size() - 1, 5}).refusal, Refusal::head_too_large);
  EXPECT_EQ(parse_request_head(kRequest, {kRequest.size(), 4}).refusal, Refusal::too_many_fields);
  const std::string cut = kRequest.substr(0, kRequest.size() - 2);
  EXPECT_EQ(parse_request_head(cut, {cut.size(), 5}).refusal, Refusal::head_too_large)
      << "no octet may follow";
  // Limits beyond what a head can hold are those of what it can hold.
  std::string many = "GET / HTTP/1.1\r\n";
  for (std::size_t i = 0; i < kMaxHeadFields; ++i) many += "a: b\r\n";
  EXPECT_EQ(parse_request_head(many + "\r\n", {1 << 20, 1000}).head.field_count(), kMaxHeadFields);
  EXPECT_EQ(parse_request_head(many + "a: b\r\n\r\n", {1 << 20, 1000}).refusal, Refusal::too_many_fields);
  const std::string huge = "GET / HTTP/1.1\r\na: " + std::string(70'000, 'x') + "\r\n\r\n";
  EXPECT_EQ(parse_request_head(huge, {1 << 20, 1000}).refusal, Refusal::head_too_large);
}

TEST(ResponseHead, GivesStatusAndVersion) {
  const HeadResult result = parse_response_head("HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n");
  ASSERT_EQ(result.state, HeadResult::State::complete);
  EXPECT_EQ(result.head.status(), 503U);
  EXPECT_EQ(result.head.minor_version(), 0U);
  EXPECT_EQ(result.head.find(FieldName::retry_after), "1");
  EXPECT_EQ(parse_response_head("HTTP/1.1 200 \r\n\r\n").state, HeadResult::State::complete);
}

TEST(FieldNames, EachIsKnownByItsText) {
  for (int i = 1; i < static_cast<int>(FieldName::count_); ++i) {
    const auto name = static_cast<FieldName>(i);
    std::string text(field_name_text(name));
    ASSERT_FALSE(text.empty());
    EXPECT_EQ(field_name(text), name) << text;
    for (char& octet : text) octet = octet >= 'a' && octet <= 'z' ? static_cast<char>(octet - 0x20) : octet;
    EXPECT_EQ(field_name(text), name) << text;
    EXPECT_EQ(field_name(text + "s"), FieldName::other);
  }
  EXPECT_EQ(field_name("x-forwarded-for"), FieldName::other);
  EXPECT_EQ(field_name(""), FieldName::other);
  EXPECT_EQ(field_name(std::string(300, 'a')), FieldName::other);
  // '-' and CR differ in the bit that makes letters lower case.
  EXPECT_EQ(field_name("content\rtype"), FieldName::other);
}

}  // namespace
}  // namespace perigee::router
