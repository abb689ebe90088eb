#include "router/proxy_protocol.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace perigee::router {
namespace {

using namespace std::string_literals;
using State = ProxyParse::State;

std::string number(std::size_t value) { return {static_cast<char>(value >> 8), static_cast<char>(value)}; }

std::string header(char version_command, char family_transport, const std::string& rest) {
  return "\r\n\r\n\0\r\nQUIT\n"s + version_command + family_transport + number(rest.size()) + rest;
}

const std::string kV4 = "\xcb\x00\x71\x05\x0a\x00\x00\x01"s + number(40000) + number(443);
const std::string kV6 = "\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\x05" + "\x20\x01\x0d\xb8"s +
                        std::string(11, '\0') + "\x01" + number(40000) + number(443);

TEST(ProxyProtocol, TellsTheClientOverIpv4) {
  const std::string octets = header('\x21', '\x11', kV4);
  const ProxyParse parsed = parse_proxy_v2(octets + "GET /");
  ASSERT_EQ(parsed.state, State::header) << parsed.reason;
  EXPECT_EQ(parsed.octets, octets.size());
  EXPECT_FALSE(parsed.header.local);
  EXPECT_EQ(parsed.header.source.text(), "203.0.113.5");
  EXPECT_EQ(parsed.header.source_port, 40000);
  EXPECT_EQ(parsed.header.destination.text(), "10.0.0.1");
  EXPECT_EQ(parsed.header.destination_port, 443);
}

TEST(ProxyProtocol, TellsTheClientOverIpv6AndSkipsExtensions) {
  const std::string extensions = "\x03"s + number(4) + "crc!" + "\x04" + number(0);
  const ProxyParse parsed = parse_proxy_v2(header('\x21', '\x21', kV6 + extensions));
  ASSERT_EQ(parsed.state, State::header) << parsed.reason;
  EXPECT_EQ(parsed.octets, 16U + 36U + 10U);
  EXPECT_EQ(parsed.header.source.text(), "2001:db8::5");
  EXPECT_EQ(parsed.header.source_port, 40000);
  EXPECT_EQ(parsed.header.destination.text(), "2001:db8::1");
}

TEST(ProxyProtocol, NeverAsksForMoreThanTheHeaderHas) {
  const std::string octets = header('\x21', '\x11', kV4);
  for (std::size_t size = 0; size < octets.size(); ++size) {
    const ProxyParse parsed = parse_proxy_v2(std::string_view(octets).substr(0, size));
    ASSERT_EQ(parsed.state, State::need_more) << size;
    EXPECT_EQ(parsed.octets, size < kProxyHeaderFixed ? kProxyHeaderFixed : octets.size());
  }
}

TEST(ProxyProtocol, TheBalancersOwnChecksAreLocal) {
  for (const auto& octets : {header('\x20', '\x00', ""), header('\x20', '\x11', kV4),
                             header('\x20', '\x31', "odd"), header('\x21', '\x00', "")}) {
    const ProxyParse parsed = parse_proxy_v2(octets);
    EXPECT_EQ(parsed.state, State::header) << parsed.reason;
    EXPECT_TRUE(parsed.header.local);
    EXPECT_TRUE(parsed.header.source.none());
    EXPECT_EQ(parsed.octets, octets.size());
  }
}

TEST(ProxyProtocol, RefusesWithAReason) {
  const struct {
    std::string octets;
    std::string_view reason;
  } cases[] = {
      {"GET / HTTP/1.1\r\n", "no version 2 signature"},
      {"PROXY TCP4 203.0.113.5 10.0.0.1 40000 443\r\n", "no version 2 signature"},
      {"\x16\x03\x01", "no version 2 signature"},
      {header('\x11', '\x11', kV4), "version is not 2"},
      {header('\x22', '\x11', kV4), "unknown command"},
      {header('\x21', '\x12', kV4), "not TCP over IPv4 or IPv6"},
      {header('\x21', '\x31', std::string(216, 'x')), "not TCP over IPv4 or IPv6"},
      {header('\x21', '\x11', kV4.substr(1)), "addresses cut short"},
      {header('\x21', '\x21', kV4), "addresses cut short"},
      {header('\x21', '\x11', kV4 + "\x03"), "malformed extensions"},
      {header('\x21', '\x11', kV4 + "\x03" + number(2) + "x"), "malformed extensions"},
      {header('\x21', '\x11', std::string(kProxyHeaderMaxRest + 1, 'x')).substr(0, 16), "header too long"},
      {header('\x21', '\x21', std::string(36, '\0')), "no source address"},
  };
  for (const auto& [octets, reason] : cases) {
    const ProxyParse parsed = parse_proxy_v2(octets);
    EXPECT_EQ(parsed.state, State::refused) << reason;
    EXPECT_EQ(parsed.reason, reason);
  }
}

}  // namespace
}  // namespace perigee::router
