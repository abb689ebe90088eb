// OpenSSL's reasons as text.
#pragma once

#include <string>

namespace perigee::router {

// The newest reason in this thread's error queue, which is empty afterwards. OpenSSL judges the result of a
// read or a write by that queue, so whoever meets an error must leave it empty.
std::string take_tls_error();

}  // namespace perigee::router
