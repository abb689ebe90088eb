// PROXY protocol version 2 (haproxy's doc/proxy-protocol.txt, section 2.2): who the client is, told by a load
// balancer in front. Pure: octets in, values out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "contract/address.h"

namespace perigee::router {

// The fixed part; parse_proxy_v2 says more than this only after it has seen all of it.
inline constexpr std::size_t kProxyHeaderFixed = 16;
// Addresses and extensions: cloud load balancers send some 100 octets; a client certificate chain is not for
// us.
inline constexpr std::size_t kProxyHeaderMaxRest = 2048;

struct ProxyHeader {
  bool local = false;  // the balancer's own check: the client is the socket's peer
  IpAddress source;    // none when local
  IpAddress destination;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
};

struct ProxyParse {
  enum class State : std::uint8_t { need_more, header, refused };
  State state = State::need_more;
  std::size_t octets = 0;  // need_more: how many the header has as far as known; header: how many it had
  ProxyHeader header;
  const char* reason = "";  // refused
};

// `octets`: what the connection sent first, from its first octet.
[[nodiscard]] ProxyParse parse_proxy_v2(std::string_view octets);

}  // namespace perigee::router
