#include "contract/address.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

TEST(IpAddress, KeepsIpv4InMappedForm) {
  const IpAddress address = IpAddress::v4(192, 0, 2, 1);
  const std::array<std::uint8_t, 16> mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1};
  EXPECT_EQ(address.octets, mapped);
  EXPECT_TRUE(address.is_v4());
  EXPECT_EQ(address.v4_value(), 0xc0000201U);
  EXPECT_EQ(IpAddress::v4(0xc0000201U), address);
  EXPECT_EQ(address.text(), "192.0.2.1");
}

TEST(IpAddress, ParsesWhatItPrints) {
  for (const char* text : {"0.0.0.0", "255.255.255.255", "10.1.0.1", "::", "::1", "2001:db8::1", "fe80::1"}) {
    const auto address = IpAddress::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->text(), text);
  }
}

TEST(IpAddress, RefusesEverythingElse) {
  using namespace std::string_view_literals;
  for (const std::string_view text :
       {""sv,          "1"sv,          "1.2.3"sv,          "1.2.3.4.5"sv,  "256.1.1.1"sv, "01.2.3.4"sv,
        "1.2.3.4 "sv,  " 1.2.3.4"sv,   "1.2.3.4/24"sv,     "1.2.3.4:80"sv, "0x1.2.3.4"sv, "1.2.3.-4"sv,
        "::1%lo"sv,    "[::1]"sv,      "::ffff:1.2.3.4"sv, ":::"sv,        "1::2::3"sv,   "12345::"sv,
        "1.2.3.4\0"sv, "1.2.3.4\0x"sv, "localhost"sv}) {
    EXPECT_FALSE(IpAddress::parse(text)) << text;
  }
  EXPECT_FALSE(IpAddress::parse(std::string(1000, '1')));
}

TEST(IpAddress, TellsHostsFromTheRest) {
  for (const char* text : {"10.0.0.1", "1.0.0.0", "223.255.255.255", "2001:db8::1", "fe80::1"}) {
    EXPECT_TRUE(IpAddress::parse(text)->is_unicast()) << text;
  }
  for (const char* text : {"0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.0.1", "224.0.0.1", "239.1.1.1",
                           "240.0.0.1", "255.255.255.255", "::", "::1", "ff02::1"}) {
    EXPECT_FALSE(IpAddress::parse(text)->is_unicast()) << text;
  }
  EXPECT_TRUE(IpAddress{}.none());
  EXPECT_FALSE(IpAddress::v4(0, 0, 0, 0).none()) << "0.0.0.0 is an address, if a useless one";
}

TEST(Prefix, ContainsByFamilyAndBits) {
  const auto contains = [](const char* prefix, const char* address) {
    return Prefix::parse(prefix)->contains(*IpAddress::parse(address));
  };
  EXPECT_TRUE(contains("10.1.0.0/16", "10.1.255.255"));
  EXPECT_FALSE(contains("10.1.0.0/16", "10.2.0.0"));
  EXPECT_TRUE(contains("10.1.2.128/25", "10.1.2.129"));
  EXPECT_FALSE(contains("10.1.2.128/25", "10.1.2.127"));
  EXPECT_TRUE(contains("10.1.2.3/32", "10.1.2.3"));
  EXPECT_FALSE(contains("10.1.2.3/32", "10.1.2.2"));
  EXPECT_TRUE(contains("0.0.0.0/0", "203.0.113.1"));
  EXPECT_FALSE(contains("0.0.0.0/0", "2001:db8::1"));
  EXPECT_FALSE(contains("::/0", "10.0.0.1"));
  EXPECT_TRUE(contains("2001:db8::/33", "2001:db8:7fff::"));
  EXPECT_FALSE(contains("2001:db8::/33", "2001:db8:8000::"));
}

TEST(Prefix, RefusesHostBitsAndOddLengths) {
  for (const char* text : {"10.1.0.0/16", "0.0.0.0/0", "10.1.2.3/32", "::/0", "2001:db8::/32", "::1/128"}) {
    const auto prefix = Prefix::parse(text);
    ASSERT_TRUE(prefix) << text;
    EXPECT_EQ(prefix->text(), text);
  }
  for (const char* text : {"", "/", "10.1.0.0", "10.1.0.0/", "10.1.0.0/33", "10.1.0.0/-1", "10.1.0.0/+8",
                           "10.1.0.0/016", "10.1.0.0/16x", "10.1.0.1/16", "10.1.0.0/15", "::/129", "::1/127",
                           "10.1.0.0/99999999999", "10.1.0.0//16"}) {
    EXPECT_FALSE(Prefix::parse(text)) << text;
  }
}

TEST(MacAddress, ParsesSixHexPairs) {
  const auto mac = MacAddress::parse("02:00:5e:10:fF:01");
  ASSERT_TRUE(mac);
  EXPECT_EQ(mac->text(), "02:00:5e:10:ff:01");
  EXPECT_FALSE(mac->none());
  for (const char* text :
       {"", "02:00:5e:10:ff", "02:00:5e:10:ff:01:02", "02-00-5e-10-ff-01", "02:00:5e:10:ff:0g",
        "2:0:5e:10:ff:1", "02:00:5e:10:ff:-1", "02:00:5e:10:ff: 1", "0x:00:5e:10:ff:01"}) {
    EXPECT_FALSE(MacAddress::parse(text)) << text;
  }
}

}  // namespace
}  // namespace perigee
