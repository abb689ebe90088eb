// Where a request goes, over which link: by value.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "contract/address.h"

namespace perigee::router {

class TlsClient;

struct EndpointTarget {
  std::string key;  // names endpoint and link; connections are shared under one key only
  IpAddress address;
  std::uint16_t port = 0;
  std::string host;                      // of its Host field: its name or address, and the port
  std::shared_ptr<const TlsClient> tls;  // null: plain
};

}  // namespace perigee::router
