// The sections of a policy file, each read into its part of a Policy. What concerns one value or the name it
// refers to is judged here; what concerns several sections, in policy_check.h.
#pragma once

#include <cstddef>
#include <vector>

#include "steering/policy.h"
#include "steering/yaml_reader.h"

namespace perigee {

// The index of a name that was wrong; checks pass over it, as it was reported.
inline constexpr std::size_t kNoIndex = static_cast<std::size_t>(-1);

// The endpoints under the key "endpoints": a list of names, or a selector by labels. Indexes, each once.
[[nodiscard]] std::vector<std::size_t> read_members(yaml::Map& map, const Policy& policy);

// Reads the whole document. With errors reported, what was right is in `policy` all the same, so that the
// checks that follow can find more of them.
void read_policy(yaml::Map& root, Policy& policy);

}  // namespace perigee
