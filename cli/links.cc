#include "cli/json_text.h"
#include "cli/reading.h"
#include "cli/text_table.h"
#include "cli/verbs.h"

namespace perigee::cli {
namespace {

std::string state(const boost::json::value& link) {
  const std::string maintained = is_null(link, "/maintenance") ? "" : ", in maintenance";
  return text_at(link, "/state") + maintained;
}

// With a mark where it is not what the probes say.
std::string flow_rtt(const boost::json::value& link) {
  return ms_at(link, "/flow_rtt_ms/p50") + (is_true(link, "/witnesses_disagree") ? " !" : "");
}

void print(const boost::json::value& answer, std::ostream& out) {
  TextTable table({{"LINK"},
                   {"POP"},
                   {"STATE"},
                   {"SINCE", true},
                   {"MIN ms", true},
                   {"P50 ms", true},
                   {"P99 ms", true},
                   {"SAMPLES", true},
                   {"FLOWS ms", true},
                   {"LOSS", true},
                   {"LAST ms", true},
                   {"PORT"},
                   {"VLAN", true},
                   {"PEER"}});
  for (const auto& link : list_at(answer, "/links")) {
    table.add({text_at(link, "/name"), text_at(link, "/pop"), state(link), age_at(link, "/state_age_s"),
               ms_at(link, "/rtt_ms/min"), ms_at(link, "/rtt_ms/p50"), ms_at(link, "/rtt_ms/p99"),
               text_at(link, "/rtt_ms/samples"), flow_rtt(link), percent_at(link, "/loss_ratio"),
               ms_at(link, "/last_sample_age_ms"), text_at(link, "/port"), text_at(link, "/vlan"),
               text_at(link, "/peer")});
  }
  table.print(out, "no links");
}

}  // namespace

Verb links_verb() {
  return {"links",
          "every link: state, measured RTT and loss",
          {},
          {kAdmin, kJson},
          [](const Arguments& arguments, Terminal& terminal) {
            return show(arguments, terminal, "/api/v1/links", print);
          }};
}

}  // namespace perigee::cli
