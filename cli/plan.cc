#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <filesystem>

#include "cli/admin_client.h"
#include "cli/json_text.h"
#include "cli/policy_source.h"
#include "cli/reading.h"
#include "cli/text_table.h"
#include "cli/verbs.h"
#include "steering/plan_json.h"

namespace perigee::cli {
namespace {

namespace json = boost::json;

constexpr Option kSocket{"--socket", "PATH",
                         "the gateway's Unix socket (default: the policy's admin.socket)"};
constexpr Option kAgainst{"--against", "OLD", "another file instead of a gateway: nothing is measured then"};

// "mel-1 over syd-mel-a 67.00%": the largest share of the first tier.
std::string choice(const json::value& service, const std::string& side) {
  if (is_true(service, "/to_host")) return "this host";
  if (is_null(service, side)) return "refused";
  const std::string link = text_at(service, side + "/link");
  return text_at(service, side + "/endpoint") + (link == "-" ? " locally" : " over " + link) + " " +
         percent_at(service, side + "/share");
}

std::string listed(const json::array& texts) {
  std::string out;
  for (const auto& text : texts) out += (out.empty() ? "" : ", ") + text_at(text, "");
  return out;
}

void print_services(const json::value& answer, std::ostream& out) {
  TextTable table({{"SERVICE"},
                   {"CHANGE"},
                   {"FIRST CHOICE"},
                   {"BECOMES"},
                   {"MOVED", true},
                   {"RTT ms", true},
                   {"BECOMES", true},
                   {"KEYS"}});
  std::size_t same = 0;
  for (const auto& service : list_at(answer, "/services")) {
    const std::string change = text_at(service, "/change");
    if (change == "none") {
      ++same;
      continue;
    }
    table.add({text_at(service, "/name"), change, change == "added" ? "-" : choice(service, "/before"),
               change == "removed" ? "-" : choice(service, "/after"),
               is_true(service, "/to_host") ? "-" : percent_at(service, "/moved"),
               ms_at(service, "/rtt_before_ms"), ms_at(service, "/rtt_after_ms"),
               listed(list_at(service, "/keys"))});
  }
  table.print(out, "no service changes");
  if (same > 0) out << "services that do not change: " << same << "\n";
}

std::string fate(const json::value& endpoint) {
  const std::string change = text_at(endpoint, "/change");
  if (change == "drained") return "takes no new flows; those it has are reset after flows.drain_deadline";
  if (change == "resumed") return "takes new flows again";
  if (change == "removed") return "its flows are reset";
  return change == "reset" ? "its flows are reset at once" : "";
}

void print(const std::string& path, const json::value& answer, std::ostream& out) {
  if (text_at(answer, "/result") == "no_change") {
    out << path << ": no change\n";
    return;
  }
  out << path << ": what it would change, by "
      << (is_true(answer, "/measured") ? "what is measured now\n\n"
                                       : "the policies' static order, as nothing is measured\n\n");
  print_services(answer, out);
  if (const auto& endpoints = list_at(answer, "/endpoints"); !endpoints.empty()) {
    TextTable table({{"ENDPOINT"}, {"CHANGE"}, {"FLOWS", true}, {"WHAT"}});
    for (const auto& endpoint : endpoints)
      table.add({text_at(endpoint, "/name"), text_at(endpoint, "/change"), text_at(endpoint, "/flows"),
                 fate(endpoint)});
    out << "\n";
    table.print(out, "");
  }
  if (const auto& listeners = list_at(answer, "/listeners"); !listeners.empty()) {
    TextTable table({{"LISTENER"}, {"CHANGE"}, {"ADDRESS"}, {"PORT", true}});
    for (const auto& listener : listeners)
      table.add({text_at(listener, "/name"), text_at(listener, "/change"), text_at(listener, "/address"),
                 text_at(listener, "/port")});
    out << "\n";
    table.print(out, "");
  }
  if (const auto& sections = list_at(answer, "/sections"); !sections.empty())
    out << "\nsections that differ: " << listed(sections) << "\n";
}

int against(const PolicySource& next, const std::string& old_path, bool as_json, Terminal& terminal,
            json::value& answer) {
  int code = kOk;
  const auto old = read_policy(old_path, as_json, terminal, code);
  if (old)
    answer = plan_json(plan({old->policy, old->text}, {next.policy, next.text},
                            std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now())));
  return code;
}

int ask_gateway(const std::string& path, PolicySource next, const Arguments& arguments, Terminal& terminal,
                json::value& answer) {
  const std::string socket = arguments.option(kSocket.name).value_or(next.policy.admin.socket);
  std::error_code failed;
  const std::string name = std::filesystem::absolute(path, failed).string();
  const auto reply =
      admin_post(socket, "/api/v1/plan?name=" + percent_encoded(failed ? path : name), std::move(next.text));
  if (!reply) {
    terminal.err << "perigee: " << reply.error().text()
                 << "; without a gateway, --against OLD compares two files\n";
    return kFailed;
  }
  boost::system::error_code malformed;
  answer = json::parse(reply->body, malformed);
  const bool invalid = !malformed && reply->status == 422;
  if (malformed || (reply->status != 200 && !invalid)) {
    terminal.err << "perigee: " << error_text(reply->status, reply->body) << "\n";
    return kFailed;
  }
  if (!invalid) return kOk;
  if (arguments.has(kJson.name))
    terminal.out << reply->body;
  else
    for (const auto& error : list_at(answer, "/errors")) terminal.err << text_at(error, "") << "\n";
  return kInvalid;
}

int run(const Arguments& arguments, Terminal& terminal) {
  int code = kOk;
  const std::string& path = arguments.operand(0);
  const bool as_json = arguments.has(kJson.name);
  auto next = read_policy(path, as_json, terminal, code);
  if (!next) return code;
  const auto old = arguments.option(kAgainst.name);
  json::value answer;
  code = old ? against(*next, *old, as_json, terminal, answer)
             : ask_gateway(path, std::move(*next), arguments, terminal, answer);
  if (code != kOk) return code;
  if (as_json)
    terminal.out << json::serialize(answer) << "\n";
  else
    print(path, answer, terminal.out);
  return kOk;
}

}  // namespace

Verb plan_verb() {
  return {"plan",
          "what a policy would change if it were applied: first choices, share of new flows, latency",
          {"FILE"},
          {kSocket, kAgainst, kJson},
          run};
}

}  // namespace perigee::cli
