#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "cli/policy_source.h"
#include "cli/reading.h"
#include "cli/verbs.h"

namespace perigee::cli {
namespace {

int run(const Arguments& arguments, Terminal& terminal) {
  int code = kOk;
  const std::string& path = arguments.operand(0);
  const bool as_json = arguments.has(kJson.name);
  const auto source = read_policy(path, as_json, terminal, code);
  if (!source) return code;
  const Policy& policy = source->policy;
  const std::size_t services = policy.services.size() + policy.routed.size();
  if (as_json) {
    terminal.out << boost::json::serialize(boost::json::object{{"result", "valid"},
                                                               {"pop", policy.here().name},
                                                               {"links", policy.links.size()},
                                                               {"endpoints", policy.endpoints.size()},
                                                               {"services", services}})
                 << "\n";
  } else {
    terminal.out << path << ": valid; PoP " << policy.here().name << ", links: " << policy.links.size()
                 << ", endpoints: " << policy.endpoints.size() << ", services: " << services << "\n";
  }
  return kOk;
}

}  // namespace

Verb check_verb() {
  return {"check", "reads a policy and prints every error in it (exit 2)", {"FILE"}, {kJson}, run};
}

}  // namespace perigee::cli
