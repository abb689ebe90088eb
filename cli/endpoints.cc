#include "cli/json_text.h"
#include "cli/reading.h"
#include "cli/text_table.h"
#include "cli/verbs.h"

namespace perigee::cli {
namespace {

// Whether it takes new flows, and if not, why.
std::string new_flows(const boost::json::value& endpoint) {
  if (is_true(endpoint, "/drain")) {
    const std::string left = age_at(endpoint, "/draining/deadline_s");
    if (left == "-") return "no: drained";
    return left == "0s" ? "no: drained, over" : "no: drained, " + left + " left";
  }
  if (!is_null(endpoint, "/maintenance"))
    return "no: maintenance until " + text_at(endpoint, "/maintenance/until");
  if (is_true(endpoint, "/full")) return "no: full";
  if (is_true(endpoint, "/queueing")) return "no: its engine has a queue";
  return text_at(endpoint, "/accepts_new");
}

std::string check(const boost::json::value& endpoint) {
  std::string text = text_at(endpoint, "/check/outcome");
  if (text != "-" && text_at(endpoint, "/check/detail") != "-") {
    text += ": " + text_at(endpoint, "/check/detail");
  }
  return text;
}

// "3 waiting, 12 running, KV 25.00%, 140.120 ms old".
std::string load(const boost::json::value& endpoint) {
  if (is_null(endpoint, "/load")) return "-";
  return text_at(endpoint, "/load/waiting") + " waiting, " + text_at(endpoint, "/load/running") +
         " running, KV " + percent_at(endpoint, "/load/kv_usage") + ", " + ms_at(endpoint, "/load/age_ms") +
         " ms old";
}

void print(const boost::json::value& answer, std::ostream& out) {
  TextTable table({{"ENDPOINT"},
                   {"POP"},
                   {"ADDRESS"},
                   {"HEALTH"},
                   {"SINCE", true},
                   {"NEW FLOWS"},
                   {"FLOWS", true},
                   {"CAPACITY", true},
                   {"CREATED", true},
                   {"CONNECT ms", true},
                   {"FIRST BYTE ms", true},
                   {"LOAD"},
                   {"LAST CHECK"}});
  for (const auto& endpoint : list_at(answer, "/endpoints")) {
    table.add({text_at(endpoint, "/name"), text_at(endpoint, "/pop"), text_at(endpoint, "/address"),
               text_at(endpoint, "/health"), age_at(endpoint, "/health_age_s"), new_flows(endpoint),
               text_at(endpoint, "/flows"), text_at(endpoint, "/capacity"),
               text_at(endpoint, "/flows_created"), ms_at(endpoint, "/check/connect_rtt_ms"),
               ms_at(endpoint, "/first_byte_ms/p50"), load(endpoint), check(endpoint)});
  }
  table.print(out, "no endpoints");
}

}  // namespace

Verb endpoints_verb() {
  return {"endpoints",
          "every endpoint: health, flows, the last check",
          {},
          {kAdmin, kJson},
          [](const Arguments& arguments, Terminal& terminal) {
            return show(arguments, terminal, "/api/v1/endpoints", print);
          }};
}

}  // namespace perigee::cli
