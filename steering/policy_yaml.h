// The policy file: YAML to Policy, or every error in it at once, in the order of lines. `where` of an error
// is "file:line:col", `what` is "path: what is wrong, and what would be right" with a path such as
// services.chat.endpoints[1]; so Error::text() is the whole message.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "contract/error.h"
#include "steering/policy.h"

namespace perigee {

using PolicyResult = boost::system::result<Policy, std::vector<Error>>;

// `file_name` is only used in messages. Pure; never throws (but for want of memory).
PolicyResult parse_policy(std::string_view text, std::string_view file_name);

// Reads at most kMaxPolicyOctets of a regular file, then parse_policy().
PolicyResult load_policy(const std::string& path);

// The errors, one a line, each line ended.
[[nodiscard]] std::string text_of(const std::vector<Error>& errors);

[[noreturn]] inline void throw_exception_from_error(const std::vector<Error>& errors,
                                                    const boost::source_location&) {
  throw std::runtime_error(text_of(errors));
}

}  // namespace perigee
