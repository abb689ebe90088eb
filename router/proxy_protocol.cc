#include "router/proxy_protocol.h"

#include <algorithm>
#include <string_view>

namespace perigee::router {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kSignature = "\r\n\r\n\0\r\nQUIT\n"sv;
constexpr std::size_t kV4Octets = 12;  // two addresses, two ports
constexpr std::size_t kV6Octets = 36;

std::uint8_t octet(std::string_view from, std::size_t at) { return static_cast<std::uint8_t>(from[at]); }

std::uint16_t number(std::string_view from, std::size_t at) {
  return static_cast<std::uint16_t>(octet(from, at) << 8 | octet(from, at + 1));
}

IpAddress v4_address(std::string_view from, std::size_t at) {
  return IpAddress::v4(octet(from, at), octet(from, at + 1), octet(from, at + 2), octet(from, at + 3));
}

IpAddress v6_address(std::string_view from, std::size_t at) {
  IpAddress address;
  for (std::size_t i = 0; i < address.octets.size(); ++i) address.octets[i] = octet(from, at + i);
  return address;
}

ProxyParse refuse(const char* reason) {
  return {.state = ProxyParse::State::refused, .octets = 0, .header = {}, .reason = reason};
}

ProxyParse need(std::size_t octets) {
  return {.state = ProxyParse::State::need_more, .octets = octets, .header = {}, .reason = ""};
}

// Type, length, value up to the end. What they say is not for us, but a header they do not fill is no header.
bool well_formed_extensions(std::string_view rest) {
  while (!rest.empty()) {
    if (rest.size() < 3) return false;
    const std::size_t size = std::size_t{3} + number(rest, 1);
    if (rest.size() < size) return false;
    rest.remove_prefix(size);
  }
  return true;
}

}  // namespace

ProxyParse parse_proxy_v2(std::string_view octets) {
  const std::size_t compared = std::min(octets.size(), kSignature.size());
  if (octets.substr(0, compared) != kSignature.substr(0, compared)) return refuse("no version 2 signature");
  if (octets.size() < kProxyHeaderFixed) return need(kProxyHeaderFixed);

  const unsigned version = octet(octets, 12) >> 4;
  const unsigned command = octet(octets, 12) & 0x0f;
  const unsigned family = octet(octets, 13) >> 4;
  const unsigned transport = octet(octets, 13) & 0x0f;
  const std::size_t rest_size = number(octets, 14);
  if (version != 2) return refuse("version is not 2");
  if (command > 1) return refuse("unknown command");
  if (rest_size > kProxyHeaderMaxRest) return refuse("header too long");
  const std::size_t size = kProxyHeaderFixed + rest_size;
  if (octets.size() < size) return need(size);

  ProxyParse parsed{.state = ProxyParse::State::header, .octets = size, .header = {}, .reason = ""};
  const std::string_view rest = octets.substr(kProxyHeaderFixed, rest_size);
  ProxyHeader& header = parsed.header;
  // LOCAL: whatever else it says is to be ignored. UNSPEC: the balancer does not know the client either.
  if (command == 0 || family == 0) {
    header.local = true;
    return parsed;
  }
  if (transport != 1 || family > 2) return refuse("not TCP over IPv4 or IPv6");
  const std::size_t addresses = family == 1 ? kV4Octets : kV6Octets;
  if (rest.size() < addresses) return refuse("addresses cut short");
  if (!well_formed_extensions(rest.substr(addresses))) return refuse("malformed extensions");
  header.source = family == 1 ? v4_address(rest, 0) : v6_address(rest, 0);
  header.destination = family == 1 ? v4_address(rest, 4) : v6_address(rest, 16);
  header.source_port = number(rest, addresses - 4);
  header.destination_port = number(rest, addresses - 2);
  if (header.source.none()) return refuse("no source address");
  return parsed;
}

}  // namespace perigee::router
