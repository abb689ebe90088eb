// With what endpoints are asked, by requests and by the gateway itself: read once for a policy.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "contract/error.h"
#include "router/tls.h"
#include "steering/policy.h"

namespace perigee::router {

struct EndpointAccess {
  std::shared_ptr<const TlsClient> tls;  // null: plain
  std::string authorization;             // the field's value; empty: none. Secret: never logged
};

struct EndpointAccesses {
  std::vector<EndpointAccess> each;  // in the policy's order; what is wrong is as if there were none
  std::vector<Error> errors;         // one for each thing that is wrong, such as "endpoints.a.tls: ..."
};
[[nodiscard]] EndpointAccesses load_endpoint_access(const Policy& policy);

}  // namespace perigee::router
