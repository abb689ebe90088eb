// What the verbs that only read share: ask the gateway, then print its answer as a table or as it came.
#pragma once

#include <boost/json/value.hpp>
#include <string>

#include "cli/verb.h"

namespace perigee::cli {

inline constexpr Option kJson{"--json", "", "print JSON, for programs"};
inline constexpr Option kAdmin{"--admin", "URL", "the gateway's admin address (http://127.0.0.1:8620)"};

using Print = void (*)(const boost::json::value& answer, std::ostream& out);

// GET `target`; kFailed with a message when there is no answer, or an error instead of one.
int show(const Arguments& arguments, Terminal& terminal, const std::string& target, Print print);

// The text of an error answer ({"error": "..."}), or what the status says when it has none.
std::string error_text(unsigned status, const std::string& body);

}  // namespace perigee::cli
