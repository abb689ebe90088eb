// Whether text is JSON: for the data of events, where it must not cost much.
#pragma once

#include <cstddef>
#include <string_view>

namespace perigee::router {

inline constexpr std::size_t kMaxCheckedDepth = 256;  // an answer may wrap what came in at kMaxJsonDepth

// One value with white space around it (RFC 8259), nested at most kMaxCheckedDepth deep. Octets from 0x80 on
// pass in strings as they are: half a character at the edge of an event is the model's, not the stream's.
// NaN, Infinity and -Infinity pass as numbers: engines in Python write them, as the logarithm of no chance.
[[nodiscard]] bool is_json(std::string_view text);

}  // namespace perigee::router
