// The bearer token that an endpoint asks of us.
#pragma once

#include <string>

#include "contract/error.h"
#include "steering/policy.h"

namespace perigee::router {

// The value of Authorization for `credential` ("Bearer ..."), read from its file or the environment; empty
// for none. Secret: never logged. An error for what cannot be read and for what is no token.
Result<std::string> authorization(const Policy::Credential& credential);

}  // namespace perigee::router
