// parse_policy() takes any octets: it refuses with messages that say where, in order, or gives a policy that
// routes and compiles to a valid table.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "contract/table_file.h"
#include "steering/policy_yaml.h"
#include "steering/table_compiler.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto* text = reinterpret_cast<const char*>(data);
  const perigee::PolicyResult policy = perigee::parse_policy({size == 0 ? "" : text, size}, "fuzz");
  if (policy) {
    if (!perigee::table::validate(perigee::compile(*policy, {1, 1, 0}))) std::abort();
    return 0;
  }
  if (policy.error().empty() || policy.error().size() > 101) std::abort();
  for (const perigee::Error& error : policy.error())
    if (!error.where.starts_with("fuzz:") || error.what.empty()) std::abort();
  return 0;
}
