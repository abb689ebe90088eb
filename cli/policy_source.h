// A policy file as the verbs that take one need it: its text and its meaning, or all its errors.
#pragma once

#include <optional>
#include <string>

#include "cli/verb.h"
#include "steering/policy.h"

namespace perigee::cli {

struct PolicySource {
  std::string text;
  Policy policy;
};

// Reads and validates `path`. On failure says why and leaves the verb's exit code in `code`: kFailed when the
// file cannot be read; kInvalid with every error on a line of its own, or as {"result": "invalid", ...} with
// `as_json`.
std::optional<PolicySource> read_policy(const std::string& path, bool as_json, Terminal& terminal, int& code);

}  // namespace perigee::cli
