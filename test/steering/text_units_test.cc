#include "steering/text_units.h"

#include <gtest/gtest.h>

#include <vector>

#include "steering/policy.h"

namespace perigee {
namespace {

using namespace std::chrono_literals;

TEST(TextUnits, Durations) {
  EXPECT_EQ(parse_duration("100ms").value(), Nanos(100ms));
  EXPECT_EQ(parse_duration("1.5ms").value(), Nanos(1500us));
  EXPECT_EQ(parse_duration("0us").value(), Nanos(0));
  EXPECT_EQ(parse_duration("2h").value(), Nanos(2h));
  EXPECT_EQ(parse_duration("3m").value(), Nanos(3min));
  EXPECT_EQ(parse_duration("250ns").value(), Nanos(250));
  for (const char* wrong : {"", "ms", "-1s", "+1s", "1", "1 s", "1sec", "0x10s", "1e3s", "inf", "nan s",
                            "1,5s", "99999999999999999999h"})
    EXPECT_FALSE(parse_duration(wrong)) << wrong;
}

TEST(TextUnits, DurationsAreSaidAsTheyAreWritten) {
  for (const char* text : {"1h", "90m", "30s", "100ms", "250us", "0ms", "1500us", "999ns"})
    EXPECT_EQ(text_of(*parse_duration(text)), text);
  EXPECT_EQ(text_of(Nanos(1'234'567)), "1.235ms");
  EXPECT_EQ(text_of(Nanos(12'000'000'001)), "12s");
  EXPECT_EQ(text_of(Nanos(-5'000'000)), "-5ms");
}

TEST(TextUnits, Shares) {
  EXPECT_DOUBLE_EQ(parse_percent("25%").value(), 0.25);
  EXPECT_DOUBLE_EQ(parse_percent("0.5%").value(), 0.005);
  EXPECT_EQ(percent_text(0.25), "25%");
  EXPECT_EQ(percent_text(0.005), "0.5%");
  for (const char* wrong : {"", "%", "25", "-1%", "101%", "1e2%", "25 %"})
    EXPECT_FALSE(parse_percent(wrong)) << wrong;
}

TEST(TextUnits, Integers) {
  EXPECT_EQ(parse_integer("18446744073709551615").value(), 18446744073709551615ULL);
  for (const char* wrong : {"", "-1", "+1", " 1", "1 ", "1.0", "0x1", "18446744073709551616"})
    EXPECT_FALSE(parse_integer(wrong)) << wrong;
}

TEST(TextUnits, Addresses) {
  EXPECT_EQ(parse_ipv4("10.0.0.1").value(), IpAddress::v4(10, 0, 0, 1));
  for (const char* wrong : {"", "10.0.0", "10.0.0.256", "010.0.0.1", "224.0.0.1", "255.255.255.255",
                            "0.0.0.0", "127.0.0.1", "::1", "2001:db8::1", "host"})
    EXPECT_FALSE(parse_ipv4(wrong)) << wrong;
  EXPECT_TRUE(parse_listen("127.0.0.1:1"));
  EXPECT_TRUE(parse_listen("0.0.0.0:65535"));
  EXPECT_FALSE(parse_ipv4_port("127.0.0.1:1"));
  for (const char* wrong :
       {"10.0.0.1", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", ":80", "10.0.0.1:80:80", "2001:db8::1"})
    EXPECT_FALSE(parse_ipv4_port(wrong)) << wrong;
  EXPECT_EQ(parse_ipv4_interface("10.0.0.1/31").value().length, 31);
  for (const char* wrong :
       {"10.0.0.1", "10.0.0.0/24", "10.0.0.255/24", "10.0.0.1/0", "10.0.0.1/33", "10.0.0.1/"})
    EXPECT_FALSE(parse_ipv4_interface(wrong)) << wrong;
  EXPECT_EQ(parse_ipv4_prefix("10.0.0.0/8").value().text(), "10.0.0.0/8");
  for (const char* wrong : {"10.0.0.0", "10.0.0.1/8", "10.0.0.0/", "10.0.0.0/33", "x/8", "2001:db8::/32"})
    EXPECT_FALSE(parse_ipv4_prefix(wrong)) << wrong;
  EXPECT_FALSE(parse_mac("ff:ff:ff:ff:ff:ff"));
  EXPECT_FALSE(parse_mac("00:00:00:00:00:00"));
  EXPECT_TRUE(parse_mac("02:00:00:00:00:01"));
}

TEST(TextUnits, Utf8) {
  for (const char* good : {"", "plain", "caf\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xee\x80\x80"})
    EXPECT_TRUE(check_utf8(good).first) << good;
  // Overlong, surrogate, beyond U+10FFFF, cut short, stray continuation (RFC 3629 section 4).
  for (const char* bad : {"\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                          "\xe2\x82", "\x80", "\xff"})
    EXPECT_FALSE(check_utf8(bad).first);
  EXPECT_EQ(check_utf8(std::string_view("ab\0c", 4)), std::pair(false, std::size_t{2}));
}

TEST(TextUnits, NearestWord) {
  const std::vector<std::string_view> known = {"interval", "detect", "ports", "udp_port"};
  EXPECT_EQ(nearest("intervall", known), "interval");
  EXPECT_EQ(nearest("prots", known), "ports") << "two swapped letters are one slip";
  EXPECT_EQ(nearest("bandwidth", known), "");
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
}

}  // namespace
}  // namespace perigee
