// The parts of a request target (RFC 9112 section 3.2.1, origin form).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace perigee::gateway {

// Up to the query.
std::string_view path_of(std::string_view target);

// The decoded value of the first parameter `name`; nothing when it is absent or malformed.
std::optional<std::string> query_value(std::string_view target, std::string_view name);

// RFC 3986 section 2.1; '+' stays as it is. Nothing when a '%' is not followed by two hexadecimal digits.
std::optional<std::string> percent_decoded(std::string_view text);

}  // namespace perigee::gateway
