#include <array>
#include <boost/json/parse.hpp>
#include <filesystem>

#include "cli/admin_client.h"
#include "cli/json_text.h"
#include "cli/policy_source.h"
#include "cli/reading.h"
#include "cli/verbs.h"

namespace perigee::cli {
namespace {

namespace json = boost::json;

constexpr Option kSocket{"--socket", "PATH",
                         "the gateway's Unix socket (default: the policy's admin.socket)"};

struct Outcome {
  const char* result;  // as the gateway names it
  int code;
  const char* says;
};

constexpr std::array<Outcome, 4> kOutcomes = {{
    {"accepted", kOk, "accepted: the data plane serves it"},
    {"invalid", kInvalid, "invalid: nothing was changed"},
    {"refused", kRefused, "refused; the policy before stays in force"},
    {"no_dataplane", kNoDataplane, "loaded, but no data plane serves it yet"},
}};

const Outcome* outcome_of(const json::value& answer) {
  const std::string result = text_at(answer, "/result");
  for (const Outcome& outcome : kOutcomes) {
    if (result == outcome.result) return &outcome;
  }
  return nullptr;
}

void print(const std::string& path, const Outcome& outcome, const json::value& answer, Terminal& terminal) {
  std::ostream& out = outcome.code == kOk ? terminal.out : terminal.err;
  out << path << ": " << outcome.says;
  const std::string generation = text_at(answer, "/generation");
  if (generation != "-" && generation != "0") out << " (table generation " << generation << ")";
  if (text_at(answer, "/reason") != "-") out << ": " << text_at(answer, "/reason");
  out << "\n";
  for (const auto& error : list_at(answer, "/errors")) out << text_at(error, "") << "\n";
}

int run(const Arguments& arguments, Terminal& terminal) {
  int code = kOk;
  const std::string& path = arguments.operand(0);
  const bool as_json = arguments.has(kJson.name);
  auto source = read_policy(path, as_json, terminal, code);
  if (!source) return code;
  const std::string socket = arguments.option(kSocket.name).value_or(source->policy.admin.socket);
  std::error_code failed;
  const std::string name = std::filesystem::absolute(path, failed).string();
  const auto reply = admin_post(socket, "/api/v1/apply?name=" + percent_encoded(failed ? path : name),
                                std::move(source->text));
  if (!reply) {
    terminal.err << "perigee: " << reply.error().text() << "\n";
    return kFailed;
  }
  boost::system::error_code malformed;
  const json::value answer = json::parse(reply->body, malformed);
  const Outcome* outcome = malformed ? nullptr : outcome_of(answer);
  if (outcome == nullptr) {
    terminal.err << "perigee: " << error_text(reply->status, reply->body) << "\n";
    return kFailed;
  }
  if (as_json) {
    terminal.out << reply->body << (reply->body.ends_with('\n') ? "" : "\n");
  } else {
    print(path, *outcome, answer, terminal);
  }
  return outcome->code;
}

}  // namespace

Verb apply_verb() {
  return {"apply",
          "makes a policy the gateway's, and waits until the data plane serves it",
          {"FILE"},
          {kSocket, kJson},
          run};
}

}  // namespace perigee::cli
