#include "router/request_id.h"

#include <gtest/gtest.h>

#include <set>

namespace perigee::router {
namespace {

const std::string kTrace = "0af7651916cd43dd8448eb211c80319c";
const std::string kParent = "b7ad6b7169203331";

TEST(RequestId, TheClientsIsKeptWhenItIsHarmless) {
  RequestNames names;
  EXPECT_EQ(names.request_id("Req-1_a.B"), "Req-1_a.B");
  EXPECT_TRUE(valid_request_id(std::string(128, 'a')));
  for (const std::string& text :
       {std::string(), std::string(129, 'a'), std::string("a b"), std::string("a\nb"), std::string("a\"b"),
        std::string("a/b"), std::string("é"), std::string("a\0b", 3)}) {
    EXPECT_FALSE(valid_request_id(text)) << text;
    const std::string made = names.request_id(text);
    EXPECT_EQ(made.size(), 32U);
    EXPECT_TRUE(valid_request_id(made));
  }
}

TEST(RequestId, NewOnesDiffer) {
  RequestNames one;
  RequestNames other;
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    seen.insert(one.request_id(""));
    seen.insert(other.request_id(""));
  }
  EXPECT_EQ(seen.size(), 2000U);
}

TEST(TraceParent, IsReadAsTheSpecificationSays) {
  const auto read = parse_traceparent("00-" + kTrace + "-" + kParent + "-01");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->trace(), kTrace);
  EXPECT_EQ(read->parent(), kParent);
  EXPECT_EQ(read->flags, 1);
  EXPECT_EQ(read->text(), "00-" + kTrace + "-" + kParent + "-01");
  EXPECT_TRUE(parse_traceparent("cc-" + kTrace + "-" + kParent + "-01-later")) << "a later version";
  EXPECT_TRUE(parse_traceparent("cc-" + kTrace + "-" + kParent + "-01"));
}

TEST(TraceParent, WhatIsInvalidIsIgnored) {
  const std::string zeros(32, '0');
  for (const std::string& text :
       {std::string(), "00-" + kTrace + "-" + kParent, "00-" + kTrace + "-" + kParent + "-01-x",
        "00-" + kTrace + "-" + kParent + "-01x", "ff-" + kTrace + "-" + kParent + "-01",
        "cc-" + kTrace + "-" + kParent + "-01x", "00-" + zeros + "-" + kParent + "-01",
        "00-" + kTrace + "-" + zeros.substr(16) + "-01",
        "00-" + std::string("0AF7651916cd43dd8448eb211c80319c") + "-" + kParent + "-01",
        "00_" + kTrace + "-" + kParent + "-01", "00-" + kTrace + "-" + kParent + "-0g",
        "0g-" + kTrace + "-" + kParent + "-01"})
    EXPECT_FALSE(parse_traceparent(text)) << text;
}

TEST(TraceParent, KeepsTheTraceAndMakesItsOwnParent) {
  RequestNames names;
  const TraceParent kept = names.trace("cc-" + kTrace + "-" + kParent + "-ff-later");
  EXPECT_EQ(kept.trace(), kTrace);
  EXPECT_NE(kept.parent(), kParent);
  EXPECT_TRUE(kept.text().starts_with("00-")) << "the version that we write";
  EXPECT_EQ(kept.flags, 1);
  const TraceParent made = names.trace("nonsense");
  EXPECT_TRUE(parse_traceparent(made.text()));
  EXPECT_NE(made.text(), names.trace(std::nullopt).text());
  EXPECT_EQ(made.flags, 0);
}

}  // namespace
}  // namespace perigee::router
