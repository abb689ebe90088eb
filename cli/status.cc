#include "cli/json_text.h"
#include "cli/reading.h"
#include "cli/verbs.h"

namespace perigee::cli {
namespace {

namespace json = boost::json;

// "first, second"; `none` when the list is empty.
std::string joined(const json::array& texts, const std::string& none) {
  std::string line;
  for (const auto& text : texts) line += (line.empty() ? "" : ", ") + text_at(text, "");
  return line.empty() ? none : line;
}

// The members of an object as "local 1, nat 2".
std::string counts(const json::value& value, std::string_view path, const std::string& none) {
  boost::system::error_code ignored;
  const json::value* found = value.find_pointer({path.data(), path.size()}, ignored);
  if (found == nullptr || !found->is_object()) return "-";
  std::string line;
  for (const auto& [name, count] : found->get_object()) {
    line += (line.empty() ? "" : ", ") + printable(std::string(name)) + " " + text_at(count, "");
  }
  return line.empty() ? none : line;
}

std::string ports(const json::value& answer) {
  std::string line;
  for (const auto& port : list_at(answer, "/dataplane/ports")) {
    const std::string up = is_null(port, "/link_up") ? "-" : is_true(port, "/link_up") ? "up" : "down";
    line += (line.empty() ? "" : ", ") + text_at(port, "/name") + " " + up;
  }
  return line.empty() ? "-" : line;
}

std::string table_line(const json::value& answer) {
  if (is_null(answer, "/table")) return "none yet";
  std::string line =
      "generation " + text_at(answer, "/table/generation") + ", " + text_at(answer, "/table/state");
  if (text_at(answer, "/table/reason") != "-") line += ": " + text_at(answer, "/table/reason");
  return line;
}

std::string dataplane_line(const json::value& answer) {
  if (is_null(answer, "/dataplane/alive")) return "-";
  if (!is_true(answer, "/dataplane/alive")) return "not alive: " + text_at(answer, "/dataplane/reason");
  return "alive, pid " + text_at(answer, "/dataplane/pid") + ", up " + age_at(answer, "/dataplane/uptime_s") +
         ", serves generation " + text_at(answer, "/dataplane/in_force/generation");
}

void print(const json::value& answer, std::ostream& out) {
  const auto line = [&out](const char* name, const std::string& text) { out << name << text << "\n"; };
  line("gateway     ", "version " + text_at(answer, "/version") + ", PoP " + text_at(answer, "/pop"));
  line("ready       ",
       text_at(answer, "/ready") +
           (list_at(answer, "/reasons").empty() ? "" : ": " + joined(list_at(answer, "/reasons"), "")));
  line("policy      ", text_at(answer, "/policy/file") + ", loaded " + text_at(answer, "/policy/loaded_at") +
                           ", last reload successful: " + text_at(answer, "/policy/last_reload_successful"));
  for (const auto& error : list_at(answer, "/policy/errors")) line("            ", text_at(error, ""));
  line("table       ", table_line(answer));
  line("data plane  ", dataplane_line(answer));
  if (!is_null(answer, "/dataplane/refused")) {
    line("refused     ", "generation " + text_at(answer, "/dataplane/refused/generation") + ": " +
                             text_at(answer, "/dataplane/refused/reason"));
  }
  line("flows       ", text_at(answer, "/dataplane/flows") + " of " +
                           text_at(answer, "/dataplane/flow_capacity") + ", SNAT ports " +
                           text_at(answer, "/dataplane/snat_ports/used") + " of " +
                           text_at(answer, "/dataplane/snat_ports/total"));
  line("packets     ", counts(answer, "/dataplane/packets", "-"));
  line("drops       ", counts(answer, "/dataplane/drops", "none"));
  line("ports       ", ports(answer));
}

}  // namespace

Verb status_verb() {
  return {"status",
          "the gateway, its policy and table, and the data plane, at a glance",
          {},
          {kAdmin, kJson},
          [](const Arguments& arguments, Terminal& terminal) {
            return show(arguments, terminal, "/api/v1/status", print);
          }};
}

}  // namespace perigee::cli
