#include "cli/program.h"

#include <algorithm>
#include <iomanip>

#include "cli/verbs.h"
#include "perigee_version.h"

namespace perigee::cli {
namespace {

std::vector<Verb> all_verbs() {
  return {check_verb(),    compile_verb(), apply_verb(), status_verb(), links_verb(),  endpoints_verb(),
          services_verb(), explain_verb(), key_verb(),   plan_verb(),   replay_verb(), simulate_verb()};
}

const Verb* find_verb(const std::vector<Verb>& verbs, std::string_view name) {
  const auto found =
      std::find_if(verbs.begin(), verbs.end(), [name](const Verb& verb) { return verb.name == name; });
  return found == verbs.end() ? nullptr : &*found;
}

void print_overview(const std::vector<Verb>& verbs, std::ostream& out) {
  out << "perigee " << kVersion << ": look at and change a Perigee point of presence\n\nusage:\n";
  for (const Verb& verb : verbs) out << "  " << verb.usage() << "\n      " << verb.summary << "\n";
  out << "  perigee help [VERB]\n  perigee version\n\n"
         "exit codes: 0 done; 1 failed; 2 the policy is invalid; 3 refused; 4 no data "
         "plane "
         "is alive; 64 wrong usage\n";
}

void print_verb(const Verb& verb, std::ostream& out) {
  out << "usage: " << verb.usage() << "\n" << verb.summary << "\n";
  for (const Option& option : verb.options) {
    const std::string form = std::string(option.name) + " " + std::string(option.value);
    out << "  " << std::left << std::setw(16) << form << " " << option.meaning << "\n";
  }
}

int unknown(const std::vector<Verb>& verbs, const std::string& word, std::ostream& err) {
  err << "perigee: no verb \"" << word << "\"; there are ";
  for (const Verb& verb : verbs) err << verb.name << ", ";
  err << "help and version\n";
  return kUsage;
}

int help(const std::vector<Verb>& verbs, std::span<const std::string> words, Terminal& terminal) {
  if (words.empty()) {
    print_overview(verbs, terminal.out);
    return kOk;
  }
  const Verb* verb = find_verb(verbs, words.front());
  if (verb == nullptr || words.size() > 1) return unknown(verbs, words.back(), terminal.err);
  print_verb(*verb, terminal.out);
  return kOk;
}

}  // namespace

int run(std::span<const std::string> words, Terminal& terminal) {
  const std::vector<Verb> verbs = all_verbs();
  if (words.empty()) {
    print_overview(verbs, terminal.err);
    return kUsage;
  }
  const std::string& word = words.front();
  const auto rest = words.subspan(1);
  if (word == "help" || word == "--help" || word == "-h") return help(verbs, rest, terminal);
  if (word == "version" || word == "--version") {
    terminal.out << "perigee " << kVersion << "\n";
    return kOk;
  }
  const Verb* verb = find_verb(verbs, word);
  if (verb == nullptr) return unknown(verbs, word, terminal.err);
  if (!rest.empty() && (rest.front() == "--help" || rest.front() == "-h")) {
    print_verb(*verb, terminal.out);
    return kOk;
  }
  const auto arguments = Arguments::parse(*verb, rest);
  if (!arguments) {
    terminal.err << "perigee " << verb->name << ": " << arguments.error().text() << "\n";
    return kUsage;
  }
  return verb->run(*arguments, terminal);
}

}  // namespace perigee::cli
