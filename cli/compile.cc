#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <random>

#include "cli/policy_source.h"
#include "cli/reading.h"
#include "cli/verbs.h"
#include "contract/directory.h"
#include "contract/table_file.h"
#include "steering/table_compiler.h"

namespace perigee::cli {
namespace {

constexpr Option kPop{"--pop", "NAME", "the PoP the table is for; must be the policy's own", true};
constexpr Option kTableDir{"--table-dir", "DIR", "where the data plane looks for its table", true};

// Follows the table that is there, so that a person sees which is newer; nothing depends on it.
std::uint64_t next_generation(const std::string& directory) {
  const auto existing = table::read_file(directory);
  return existing ? existing->identity.generation + 1 : 1;
}

// Writes under the directory's lock: a gateway that runs there holds it, and would overwrite the file.
Result<table::Identity> write_table(const Policy& policy, const std::string& directory) {
  const auto opened = open_directory(directory);
  if (!opened) return opened.error();
  const auto lock = lock_directory(*opened, directory);
  if (!lock) return lock.error();
  std::random_device random;
  const std::uint64_t instance = std::uint64_t{random()} << 32U | random();
  const table::Identity identity{instance, next_generation(directory), 0};
  return table::write_file(directory, compile(policy, identity));
}

int run(const Arguments& arguments, Terminal& terminal) {
  int code = kOk;
  const std::string& path = arguments.operand(0);
  const bool as_json = arguments.has(kJson.name);
  const auto source = read_policy(path, as_json, terminal, code);
  if (!source) return code;
  const std::string pop = *arguments.option(kPop.name);
  if (source->policy.here().name != pop) {
    terminal.err << "perigee: " << path << ": is the policy of PoP " << source->policy.here().name
                 << ", not of " << pop << "; every PoP has a policy of its own\n";
    return kFailed;
  }
  const std::string directory = *arguments.option(kTableDir.name);
  const auto identity = write_table(source->policy, directory);
  if (!identity) {
    terminal.err << "perigee: " << identity.error().text() << "\n";
    return kFailed;
  }
  if (as_json) {
    terminal.out << boost::json::serialize(
                        boost::json::object{{"result", "written"}, {"generation", identity->generation}})
                 << "\n";
  } else {
    terminal.out << directory << "/" << table::kFileName << ": generation " << identity->generation
                 << " for PoP " << pop << "\n";
  }
  return kOk;
}

}  // namespace

Verb compile_verb() {
  return {"compile",
          "writes the table of a policy with nothing measured, for a PoP without a gateway",
          {"FILE"},
          {kPop, kTableDir, kJson},
          run};
}

}  // namespace perigee::cli
