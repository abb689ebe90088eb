#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

#include "cli/reading.h"
#include "cli/simulate_report.h"
#include "cli/verbs.h"
#include "simulator/sweep.h"

namespace perigee::cli {
namespace {

using simulator::RuleKind;
using simulator::Sweep;

constexpr std::size_t kMaxTraceOctets = std::size_t{2} << 30U;  // the largest public one has 600 MB

constexpr Option kScenario{"--scenario", "NAMES",
                           "these only, with commas between them; \"steady-*\": all that begin so"};
constexpr Option kRule{"--rule", "NAMES", "these only, with commas between them"};
constexpr Option kSeeds{"--seeds", "N", "runs of each scenario and rule (20; with --tune 5)"};
constexpr Option kRequests{"--requests", "N", "counted in each run (20000)"};
constexpr Option kThreads{"--threads", "N", "runs at once (1)"};
constexpr Option kTune{"--tune", "", "search each rule's constants, on seeds that the table does not use"};
constexpr Option kTrace{"--trace", "FILE", "replay a trace instead of the scenarios"};
constexpr Option kFormat{"--format", "NAME", "the trace's: azure or burstgpt"};
constexpr Option kMarkdown{"--markdown", "", "print the tables of the documentation"};
constexpr Option kList{"--list", "", "print the names of scenarios and rules, and run nothing"};

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

// What was asked for. Every fault goes to `faults`, so that they are told all at once.
class Request {
 public:
  explicit Request(const Arguments& arguments) : arguments_(arguments) {
    tune = arguments.has(kTune.name);
    sweep.seeds = count(kSeeds, tune ? 5 : 20, simulator::kMaxSeeds);
    sweep.requests = count(kRequests, sweep.requests, simulator::kMaxRequests);
    sweep.threads = count(kThreads, sweep.threads, simulator::kMaxThreads);
    rules();
    if (arguments.has(kJson.name) && (tune || arguments.has(kMarkdown.name)))
      faults.push_back("--json is for results: without --markdown and --tune");
    if (tune && arguments.has(kMarkdown.name)) faults.push_back("--markdown is for results: without --tune");
    const bool trace = arguments.has(kTrace.name);
    if (trace != arguments.has(kFormat.name)) faults.push_back("--trace and --format need each other");
    if (trace && arguments.has(kScenario.name))
      faults.push_back("--trace replaces the scenarios: without --scenario");
    if (trace)
      replay();
    else
      scenarios();
  }

  Sweep sweep;
  bool tune = false;
  std::vector<std::string> faults;

 private:
  std::uint32_t count(const Option& option, std::uint32_t usual, std::uint32_t most) {
    const auto text = arguments_.option(option.name);
    if (!text) return usual;
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (error == std::errc() && end == text->data() + text->size() && value >= 1 && value <= most)
      return value;
    faults.push_back(std::string(option.name) + ": \"" + *text + "\" is no number from 1 to " +
                     std::to_string(most));
    return usual;
  }

  void rules() {
    const auto text = arguments_.option(kRule.name);
    if (!text) sweep.rules.assign(simulator::kAllRules.begin(), simulator::kAllRules.end());
    for (const std::string& name : split(text.value_or(""))) {
      const auto rule = simulator::rule_of(name);
      if (!rule)
        faults.push_back("--rule: there is no \"" + name + "\"; there are " + all_rules());
      else if (std::find(sweep.rules.begin(), sweep.rules.end(), *rule) == sweep.rules.end())
        sweep.rules.push_back(*rule);
    }
  }

  static std::string all_rules() {
    std::string all;
    for (const RuleKind rule : simulator::kAllRules)
      all += (all.empty() ? "" : ", ") + std::string(name_of(rule));
    return all;
  }

  void scenarios() {
    const auto text = arguments_.option(kScenario.name);
    std::vector<std::string> wanted;
    for (const std::string& name : split(text.value_or("*"))) {
      const bool begins = !name.empty() && name.back() == '*';
      const std::string start = begins ? name.substr(0, name.size() - 1) : name;
      bool found = false;
      for (const std::string& known : simulator::scenario_names()) {
        if (begins ? !known.starts_with(start) : known != name) continue;
        found = true;
        if (std::find(wanted.begin(), wanted.end(), known) == wanted.end()) wanted.push_back(known);
      }
      if (!found)
        faults.push_back("--scenario: there is no \"" + name + "\"; `perigee simulate --list` names them");
    }
    if (!faults.empty()) return;
    for (const std::string& name : wanted)
      sweep.scenarios.push_back(*simulator::make_scenario(name, sweep.requests));
  }

  void replay() {
    const std::string format = arguments_.option(kFormat.name).value_or("azure");
    if (format != "azure" && format != "burstgpt")
      faults.push_back("--format: \"" + format + "\" is neither azure nor burstgpt");
    const std::string path = *arguments_.option(kTrace.name);
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    const std::streamoff size = file ? static_cast<std::streamoff>(file.tellg()) : -1;
    if (size < 0 || static_cast<std::size_t>(size) > kMaxTraceOctets) {
      faults.push_back(path + (size < 0 ? ": cannot be read" : ": more than 2 GiB"));
      return;
    }
    std::string text(static_cast<std::size_t>(size), '\0');
    file.seekg(0);
    if (!file.read(text.data(), size)) {
      faults.push_back(path + ": cannot be read");
      return;
    }
    auto trace = simulator::read_trace(
        text, format == "azure" ? simulator::TraceFormat::azure : simulator::TraceFormat::burstgpt, path);
    if (trace.has_error())
      faults.push_back(trace.error().text());
    else if (faults.empty())
      sweep.scenarios.push_back(simulator::trace_scenario(std::move(*trace), sweep.requests));
  }

  const Arguments& arguments_;
};

int list(Terminal& terminal) {
  for (const std::string& name : simulator::scenario_names()) terminal.out << "scenario " << name << "\n";
  for (const RuleKind rule : simulator::kAllRules) terminal.out << "rule " << name_of(rule) << "\n";
  return kOk;
}

int run(const Arguments& arguments, Terminal& terminal) {
  if (arguments.has(kList.name)) return list(terminal);
  const Request request(arguments);
  if (!request.faults.empty()) {
    for (const std::string& fault : request.faults) terminal.err << "perigee: " << fault << "\n";
    return kUsage;
  }
  // A long run says how far it is.
  const simulator::Progress progress = [&terminal](std::size_t done, std::size_t of) {
    if (of >= 100 && done * 10 / of != (done - 1) * 10 / of)
      terminal.err << "perigee: " << done * 100 / of << " % simulated\n" << std::flush;
  };
  if (request.tune) {
    print_tuning(simulator::tune(request.sweep, progress), terminal.out);
    return kOk;
  }
  const auto results = simulator::sweep(request.sweep, progress);
  if (arguments.has(kJson.name))
    print_simulation_json(results, terminal.out);
  else if (arguments.has(kMarkdown.name))
    print_simulation_markdown(results, terminal.out);
  else
    print_simulation(results, terminal.out);
  return kOk;
}

}  // namespace

Verb simulate_verb() {
  return {"simulate",
          "compares rules of choice in a simulation of gateways, links and engines",
          {},
          {kScenario, kRule, kSeeds, kRequests, kThreads, kTune, kTrace, kFormat, kMarkdown, kJson, kList},
          run};
}

}  // namespace perigee::cli
