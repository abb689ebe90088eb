#include "cli/admin_client.h"
#include "cli/json_text.h"
#include "cli/reading.h"
#include "cli/text_table.h"
#include "cli/verbs.h"
#include "contract/address.h"

namespace perigee::cli {
namespace {

constexpr Option kClient{"--client", "IP", "the client's address", true};
constexpr Option kPort{"--port", "N", "the client's port"};
constexpr Option kModel{"--model", "NAME", "of a routed service, as a client asks for it"};

void print(const boost::json::value& answer, std::ostream& out) {
  out << text_at(answer, "/service") << " for " << text_at(answer, "/client") << ", table generation "
      << text_at(answer, "/generation") << ": " << text_at(answer, "/summary") << "\n\n";
  TextTable table({{"TIER", true},
                   {"ENDPOINT"},
                   {"POP"},
                   {"LINK"},
                   {"COST ms", true},
                   {"RTT", true},
                   {"DECLARED", true},
                   {"POLICY", true},
                   {"LOSS", true},
                   {"WEIGHT", true},
                   {"SHARE", true},
                   {"VERDICT"}});
  for (const auto& candidate : list_at(answer, "/candidates")) {
    table.add({text_at(candidate, "/tier"), text_at(candidate, "/endpoint"), text_at(candidate, "/pop"),
               text_at(candidate, "/link"), ms_at(candidate, "/cost_ms/total"),
               ms_at(candidate, "/cost_ms/rtt"), ms_at(candidate, "/cost_ms/declared"),
               ms_at(candidate, "/cost_ms/policy"), ms_at(candidate, "/cost_ms/loss"),
               text_at(candidate, "/weight"), percent_at(candidate, "/share"),
               text_at(candidate, "/verdict")});
  }
  table.print(out, "no candidates");
}

int run(const Arguments& arguments, Terminal& terminal) {
  const std::string client = *arguments.option(kClient.name);
  if (!IpAddress::parse(client)) {
    terminal.err << "perigee explain: --client " << client << " is no address such as 198.51.100.10\n";
    return kUsage;
  }
  std::string target = "/api/v1/services/" + percent_encoded(arguments.operand(0)) +
                       "/explain?client=" + percent_encoded(client);
  if (const auto port = arguments.option(kPort.name)) target += "&port=" + percent_encoded(*port);
  if (const auto model = arguments.option(kModel.name)) target += "&model=" + percent_encoded(*model);
  return show(arguments, terminal, target, print);
}

}  // namespace

Verb explain_verb() {
  return {"explain",
          "every candidate of a service for one client, its cost in ms, and why it won or lost",
          {"SERVICE"},
          {kClient, kPort, kModel, kAdmin, kJson},
          run};
}

}  // namespace perigee::cli
