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
constexpr Option kOctets{"--octets", "N", "size of the request, of a routed service (4000)"};
constexpr Option kModel{"--model", "NAME", "of a routed service, as a client asks for it"};

// Of a routed service: what a request would meet if it came now.
void print_requests(const boost::json::value& answer, std::ostream& out) {
  TextTable table({{"ENDPOINT"},
                   {"ODDS", true},
                   {"EXPECTED ms", true},
                   {"NETWORK", true},
                   {"WAIT", true},
                   {"SERVICE", true},
                   {"IN FLIGHT", true},
                   {"TOKENS WAITING", true},
                   {"ENGINE WAITING", true},
                   {"BARRIER"}});
  bool any = false;
  for (const auto& candidate : list_at(answer, "/candidates")) {
    if (text_at(candidate, "/request/probability") == "-") continue;
    any = true;
    table.add(
        {text_at(candidate, "/endpoint"), percent_at(candidate, "/request/probability"),
         ms_at(candidate, "/request/expected_ms/total"), ms_at(candidate, "/request/expected_ms/network"),
         ms_at(candidate, "/request/expected_ms/wait"), ms_at(candidate, "/request/expected_ms/service"),
         text_at(candidate, "/request/in_flight"), text_at(candidate, "/request/tokens_waiting"),
         text_at(candidate, "/request/engine_waiting"), text_at(candidate, "/request/barrier")});
  }
  if (!any) return;
  out << "\na request that comes now (a fresh draw, until its first event):\n\n";
  table.print(out, "");
}

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
                   {"ODDS", true},
                   {"VERDICT"}});
  for (const auto& candidate : list_at(answer, "/candidates")) {
    table.add({text_at(candidate, "/tier"), text_at(candidate, "/endpoint"), text_at(candidate, "/pop"),
               text_at(candidate, "/link"), ms_at(candidate, "/cost_ms/total"),
               ms_at(candidate, "/cost_ms/rtt"), ms_at(candidate, "/cost_ms/declared"),
               ms_at(candidate, "/cost_ms/policy"), ms_at(candidate, "/cost_ms/loss"),
               text_at(candidate, "/weight"), percent_at(candidate, "/share"),
               percent_at(candidate, "/probability"), text_at(candidate, "/verdict")});
  }
  table.print(out, "no candidates");
  print_requests(answer, out);
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
  if (const auto octets = arguments.option(kOctets.name)) target += "&octets=" + percent_encoded(*octets);
  return show(arguments, terminal, target, print);
}

}  // namespace

Verb explain_verb() {
  return {"explain",
          "every candidate of a service for one client, its cost in ms, and why it won or lost",
          {"SERVICE"},
          {kClient, kPort, kModel, kOctets, kAdmin, kJson},
          run};
}

}  // namespace perigee::cli
