// What came of a change of policy, as the answer to apply and reload.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace perigee::gateway {

enum class ChangeResult : std::uint8_t { accepted, invalid, refused, no_dataplane };
[[nodiscard]] const char* name_of(ChangeResult result);

// The answer to apply and reload; docs/api.md says what each result means for file and policy.
struct Change {
  ChangeResult result = ChangeResult::accepted;
  std::uint64_t generation = 0;  // of the table; 0: none
  std::string reason;
  std::vector<std::string> errors;
};

}  // namespace perigee::gateway
